"""The ROS 2 node: life cycle and wiring; `worker` and `camera` do the work."""
from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool

from frm_seg_ros.core.errors import ConfigError, one_line
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros import parameters as parameters_
from frm_seg_ros.ros.camera import Camera
from frm_seg_ros.ros.clashes import Clashes
from frm_seg_ros.ros.diagnostics import ERROR, engine_status, status
from frm_seg_ros.ros.engine import Engine
from frm_seg_ros.ros.label_topics import LabelTopics
from frm_seg_ros.ros.machine import machine_status
from frm_seg_ros.ros.outlet import Publishing
from frm_seg_ros.ros.outputs import check_min_confidence, outputs_of, pixel_ids
from frm_seg_ros.ros.parameters import OWN, SPECS, NodeParameters
from frm_seg_ros.ros.process import EXIT_CODE, end, keep_freed_memory, spin
from frm_seg_ros.ros.transitions import logged, refuse_impossible
from frm_seg_ros.ros.worker import Worker

NAME = 'frm_seg'
DIAGNOSTICS_SECONDS = 1.0


class SegmentationNode(LifecycleNode):
    """Labels the images of one or more cameras.

    Attributes:
        finished: done, with an exit code, when the process should end.
    """

    def __init__(self, **options: Any) -> None:
        """Make the node, unconfigured; `options` go to `rclpy.node.Node`."""
        super().__init__(NAME, automatically_declare_parameters_from_overrides=True, **options)
        self.finished = Future()
        self._fault = ''
        self._clashes = Clashes(self)
        self._engine: Engine | None = None
        self._cameras: dict[str, Camera] = {}
        self._worker: Worker | None = None
        self._labels: LabelTopics | None = None
        self._unconfigured = True
        refuse_impossible(self)
        parameters_.declare(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_timer(DIAGNOSTICS_SECONDS, self._diagnose,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Configure and activate, unless `autostart` is false."""
        if self.get_parameter('autostart').value is False:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, open the model, warm up, tell what labels mean."""
        return self._attempt(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the cameras."""
        super().on_activate(state)
        result = self._attempt(self._worker.start)
        if result != TransitionCallbackReturn.SUCCESS:
            self.on_deactivate(state)
        return result

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop subscribing and finish the frames in hand."""
        self._worker.stop()
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the device."""
        self.release()
        self._unconfigured = True
        return TransitionCallbackReturn.SUCCESS

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the frames in hand and free the device; nothing starts the node again."""
        self.release()
        self._unconfigured = False
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after a fault in a transition."""
        return self.on_cleanup(state)

    def release(self) -> None:
        """Finish the frames in hand, remove the topics and free the device."""
        worker, self._worker = self._worker, None
        cameras, self._cameras = self._cameras, {}
        labels, self._labels = self._labels, None
        engine, self._engine = self._engine, None
        if worker is not None:
            worker.stop()
        for camera in cameras.values():
            camera.close()
        if labels is not None:
            labels.close()
        if engine is not None:
            engine.close()

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        """Run a step of a transition; a failure is logged, diagnosed and ends the transition."""
        try:
            step()
        except Exception as error:   # the runtimes of the models raise anything
            if self.context.ok():
                self._fail(error)
            return TransitionCallbackReturn.FAILURE
        self._fault = ''
        return TransitionCallbackReturn.SUCCESS

    def _fail(self, error: Exception) -> None:
        self._fault = one_line(error)
        self.get_logger().error(self._fault)
        self._diagnose()
        if self.get_parameter('exit_on_failure').value is True:
            self.finished.set_result(1)

    def _give_up(self, why: str) -> None:
        """Say why only a new process can help, and end this one; from any thread."""
        try:
            self._fault = f'{why}; the process ends with exit code {EXIT_CODE}'
            self.get_logger().fatal(self._fault)
            self._diagnose()
            self._diagnostics.wait_for_all_acked(Duration(seconds=1))
        finally:
            end()

    def _configure(self) -> None:
        cameras = NodeParameters.read(self)
        values = next(iter(cameras.values()))   # what they share
        try:
            card = ModelCard.load(values.model)
            check_min_confidence(card, values.min_confidence)
            self._engine = Engine(card, values, len(cameras), self._give_up, self.get_logger())
            publishing = self._publish_meaning(values)
            for name, own in cameras.items():   # one by one: what is made is removed on failure
                self._cameras[name] = Camera(self, publishing, own, name)
            self._worker = Worker(self._engine, self._cameras, self._give_up)
        except Exception:
            self.release()
            raise
        self._unconfigured = False
        if not card.has_confidence:
            self.get_logger().warning('the model gives labels without confidence, so there is no '
                                      'topic ~/confidence')
        height, width = self._engine.segmenter.size
        self.get_logger().info(f'model {card.name} at {height}x{width}, {self._engine.chosen}')

    def _publish_meaning(self, values: NodeParameters) -> Publishing:
        """Say what labels will mean; return what the cameras publish."""
        segmenter = self._engine.segmenter
        card, space = segmenter.card, segmenter.label_space
        outputs = outputs_of(card, values.masks, space)
        ids = pixel_ids(space, values.id_offset, values.label_ids)
        self._labels = LabelTopics(self, card, space, ids, values.min_confidence)
        size = segmenter.size if values.output_size == 'network' else values.output_pixels
        return Publishing(space, outputs, ids, size, self._labels.hold)

    def _check_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            for change in changes:
                self._check_parameter(change)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _check_parameter(self, change: Parameter) -> None:
        camera, _, name = change.name.rpartition('.')
        if name not in (OWN if camera else SPECS):
            return
        value = parameters_.check(name, change.value)
        fixed = not SPECS[name].metadata['live'] and not self._unconfigured
        if fixed and value != parameters_.check(name, self.get_parameter(change.name).value):
            raise ConfigError(f'parameter {change.name} can be set only while the node is '
                              'unconfigured: deactivate and clean it up first')
        if change.name == 'min_confidence' and self._engine is not None:
            check_min_confidence(self._engine.segmenter.card, value)

    def _take_parameters(self, changes: list[Parameter]) -> None:
        live = {change.name: change.value for change in changes if change.name in SPECS}
        for camera in self._cameras.values():
            camera.parameters = dataclasses.replace(camera.parameters, **live)
        if self._labels is not None and 'min_confidence' in live:
            self._labels.tell_threshold(live['min_confidence'])
        if self._engine is not None and 'engine_timeout_ms' in live:
            self._engine.timeout_s = 1e-3 * live['engine_timeout_ms']

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        result = self.set_parameters([Parameter('enabled', value=request.data)])[0]
        response.success = result.successful
        response.message = result.reason or ('enabled' if request.data else 'paused')
        return response

    def _diagnose(self) -> None:
        """Tell how the engine and the cameras are doing, or what kept the node from starting."""
        name = self.get_name()
        found = [camera.diagnose() for camera in self._cameras.values()]
        if self._engine is not None:
            found.insert(0, engine_status(name, self._engine))
            found += filter(None, [machine_status(name), self._clashes.look()])
        if self._fault:
            found.insert(0, status(f'{name}: start', ERROR, self._fault, {}))
        if found:
            message = DiagnosticArray(status=found)
            message.header.stamp = self.get_clock().now().to_msg()
            self._diagnostics.publish(message)



def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end; return the exit code."""
    keep_freed_memory()
    # rclpy's own handlers end the executor and then call these, so that no KeyboardInterrupt can
    # hit the clean-up, though launch repeats SIGINT.
    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: signals.append(caught))
    try:
        rclpy.init(args=args)
        node = SegmentationNode()
    except Exception as error:   # arguments that rclpy cannot parse, or a signal meanwhile
        rclpy.try_shutdown()
        if signals:
            return 0
        print(f'segmentation_node: {error}', file=sys.stderr)
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        node.start()
        if not signals:
            spin(executor, node.finished)
    except Exception:   # of many kinds in rclpy, when it was told to end
        if not signals:
            raise
    finally:
        node.release()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
        for number in (signal.SIGINT, signal.SIGTERM):   # launch repeats them
            signal.signal(number, signal.SIG_IGN)
    return node.finished.result() or 0
