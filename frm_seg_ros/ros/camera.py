"""One camera of the node: its subscription, and what becomes of each of its frames."""
from __future__ import annotations

import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.core.encodings import compressed_to_rgb
from frm_seg_ros.core.errors import FrameError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.ros.accounting import Accounting
from frm_seg_ros.ros.cv_bridge_probe import image_to_rgb
from frm_seg_ros.ros.diagnostics import Input, camera_status
from frm_seg_ros.ros.health import Health
from frm_seg_ros.ros.job import Job, Stopwatch
from frm_seg_ros.ros.mailbox import Arrival, Mailbox
from frm_seg_ros.ros.messages import FrameReport, SegmentationStats, stats_message
from frm_seg_ros.ros.outlet import Outlet, Publishing
from frm_seg_ros.ros.parameters import NodeParameters
from frm_seg_ros.ros.rate import Quiet, RateLimit
from frm_seg_ros.ros.subscription import ImageSubscription
from frm_seg_ros.ros.view import View

STATS_SECONDS = 1.0
LOG_SECONDS = 5.0
TRANSPORTS = {'raw': (Image, 'image', image_to_rgb),
              'compressed': (CompressedImage, 'image/compressed', compressed_to_rgb)}


class Camera:
    """The state of one camera.

    Attributes:
        name: of the camera; empty where there is one only.
        parameters: the node's current ones; replaced as a whole.
        accounting: what became of the frames since the node was configured.
    """

    def __init__(self, node: LifecycleNode, publishing: Publishing, parameters: NodeParameters,
                 name: str = '') -> None:
        self.name = name
        self.parameters = parameters
        self.accounting = Accounting()
        self._view = View(parameters.roi, parameters.rotate, parameters.ignore_mask)
        self._health = Health()
        self._node = node
        self._outlet = Outlet(node, publishing, self._view, name, parameters.qos)
        self._stats = node.create_publisher(
            SegmentationStats, f'~/{name}/stats' if name else '~/stats', 10)
        self._stats_lock = threading.Lock()
        self._stats_sent = False
        self._timer = node.create_timer(STATS_SECONDS, self._on_timer,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._rate = RateLimit()
        self._quiet = Quiet(LOG_SECONDS)
        self._told_of_losses = False
        self._mailbox = Mailbox()
        self._subscription: ImageSubscription | None = None

    def subscribe(self, mailbox: Mailbox) -> None:
        """Subscribe; what comes goes into the mailbox."""
        message_type, topic, self._decode = TRANSPORTS[self.parameters.transport]
        self._mailbox = mailbox
        self._outlet.info.subscribe()
        self._health.start(self.accounting.snapshot(), time.monotonic())
        self._subscription = ImageSubscription(
            self._node, message_type, f'{self.name}/{topic}'.lstrip('/'), self.parameters.qos,
            self._on_message, self._on_lost)

    def unsubscribe(self) -> None:
        """Stop subscribing."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
            self._health.stop()
            self._outlet.info.unsubscribe()
            self._outlet.points.unsubscribe()

    def close(self) -> None:
        """Remove all topics; the worker has stopped."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._stats)
        self._outlet.close()

    def diagnose(self) -> DiagnosticStatus:
        """Tell how the camera is doing."""
        subscription = self._subscription
        source = None if subscription is None else Input(
            subscription.topic, subscription.publishers, subscription.reliability.name.lower())
        return camera_status(
            f'{self._node.get_name()}: camera {self.name}'.rstrip(), self._health,
            self.accounting.snapshot(), source, self.parameters, time.monotonic())

    def _on_message(self, message: Any) -> None:
        now = time.monotonic()
        stamp = message.header.stamp
        self._health.arrive((stamp.sec, stamp.nanosec), now)
        self.accounting.receive()
        arrival = Arrival(message, self._age_ms(message), now)
        if not self._rate.allows(now, self.parameters.max_rate):
            self.accounting.drop('rate')
        elif (replaced := self._mailbox.put(self.name, arrival)) is not None:
            self.accounting.drop('overwritten' if replaced is not arrival else 'inactive')

    def _on_lost(self, count: int) -> None:
        self.accounting.lose(count)
        if not self._told_of_losses:
            self._told_of_losses = True
            self._node.get_logger().warning(
                'the middleware lost images before they got here (lost_in_transport in ~/stats): '
                'best-effort images above 480 KB want more shared memory where the camera runs; '
                'start it with FASTRTPS_DEFAULT_PROFILES_FILE naming our config/fastdds_shm.xml')

    def _age_ms(self, message: Any) -> float:
        stamp = message.header.stamp   # any numbers: rclpy's Time raises on negative ones
        now = self._node.get_clock().now().nanoseconds
        return 1e-6 * (now - 1_000_000_000 * stamp.sec - stamp.nanosec)

    def prepare(self, arrival: Arrival) -> Job | None:
        """Decode a frame; None when it was dropped and counted."""
        try:
            return self._prepare(arrival)
        except Exception as error:   # of a kind that no frame was yet seen to cause
            self.fail(error)
            return None

    def _prepare(self, arrival: Arrival) -> Job | None:
        parameters = self.parameters
        taken = time.monotonic()
        age_ms = arrival.age_ms + 1e3 * (taken - arrival.monotonic)
        topics = self._outlet.wanted()
        if not parameters.enabled:
            self.accounting.drop('paused')
        elif not topics:
            self.accounting.drop('no_listener')
        elif 0 < parameters.max_age_ms < age_ms:
            self._drop('too_old', f'its stamp is {age_ms:.0f} ms old, max_age_ms is '
                                  f'{parameters.max_age_ms:g}')
        elif not (topics := self._outlet.due(topics, taken, parameters.overlay_max_rate)):
            self.accounting.drop('rate')
        else:
            report = FrameReport(arrival.message.header)
            watch = Stopwatch()
            image = self._decode(arrival.message)
            self._health.see(image, taken)
            view = self._view.look(image)
            report.times_ms |= {'age': arrival.age_ms, 'pre': watch.lap_ms()}
            return Job(image, view, topics, parameters, arrival.monotonic, report)
        return None

    def finish(self, job: Job, prediction: Prediction) -> None:
        """Publish the outputs and the statistics of a frame."""
        try:
            self._outlet.publish(job, prediction)
        except Exception as error:
            self.fail(error)
        else:
            self._health.times_ms = job.report.times_ms
            self.accounting.process()
            self._send_stats(job.report)

    def fail(self, error: Exception) -> None:
        """Count and log a frame that could not be labelled."""
        if isinstance(error, FrameError):
            self._drop(error.reason, str(error))
        else:
            self._drop('engine_error' if self._node.context.ok() else 'inactive',
                       f'{type(error).__name__}: {error}')

    def _drop(self, reason: str, why: str) -> None:
        now = time.monotonic()
        self._health.error = (now, reason, why)
        self.accounting.drop(reason)
        if self._node.context.ok() and self._quiet.allows(reason, now):
            of = f' of {self.name}' if self.name else ''
            self._node.get_logger().warning(f'frame{of} dropped ({reason}): {why}')

    def _on_timer(self) -> None:
        if self._subscription is not None:
            self._outlet.points.look()
        if not self._stats_sent:
            self._send_stats(None)
        self._stats_sent = False

    def _send_stats(self, report: FrameReport | None) -> None:
        with self._stats_lock:   # so that counts never go back from one message to the next
            message = stats_message(self.name, self.accounting.snapshot(), report)
            try:
                self._stats.publish(message)
            except RuntimeError:   # of rclpy, when it shuts down under us
                if self._node.context.ok():
                    raise
        self._stats_sent = report is not None
