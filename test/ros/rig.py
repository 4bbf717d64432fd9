"""The real node, and a peer that sends, listens and calls as other programs do."""
from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from frm_seg_ros.msg import SegmentationStats
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.core.encodings import compressed_to_rgb, fill_image
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.ros.node import SegmentationNode

SECONDS = 20.0   # generous: the machine may be busy
TRANSITIONS = {'configure': Transition.TRANSITION_CONFIGURE,
               'activate': Transition.TRANSITION_ACTIVATE,
               'deactivate': Transition.TRANSITION_DEACTIVATE,
               'cleanup': Transition.TRANSITION_CLEANUP}   # shutdown has an id for each state


def picture(seed: int = 0, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Paint blocks of 8x8 in random colours of the CamVid palette: (H, W, 3) uint8 RGB."""
    height, width = size
    palette = LabelSpace.load('camvid').palette
    cells = np.random.default_rng(seed).integers(0, 11, (-(-height // 8), -(-width // 8)))
    return np.repeat(np.repeat(palette[cells], 8, 0), 8, 1)[:height, :width].copy()


def pixels(message: Any) -> np.ndarray:
    """Give the pixels of a mono8 or rgb8 message with unpadded rows, or of a compressed one."""
    if isinstance(message, CompressedImage):
        assert message.format == 'jpeg'
        return compressed_to_rgb(message)
    shape = (message.height, message.width) + ((3,) if message.encoding == 'rgb8' else ())
    assert message.step == int(np.prod(shape[1:])) and message.is_bigendian == 0
    return np.array(message.data, np.uint8).reshape(shape)


def topic_of(camera: str, namespace: str, name: str) -> str:
    """Name a topic of a camera, which may have no name."""
    return '/'.join(part for part in (namespace, camera, name) if part)


class Rig:
    """The node in one thread, a peer in another, in one context.

    Attributes:
        node: the real node.
        peer: an ordinary node.
        stats: all messages of the cameras' ~/stats.
        wrong_stats: those whose sums do not add up, or whose counts went back.
        stamps: how many messages were stamped.
    """

    def __init__(self, start: bool = True, sender: ReliabilityPolicy | None =
                 ReliabilityPolicy.RELIABLE, **parameters: Any) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = SegmentationNode(context=self.context, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
        self.peer = rclpy.create_node('peer', context=self.context)
        self.stats: list[SegmentationStats] = []
        self.wrong_stats: list[SegmentationStats] = []
        self._senders: dict[str, Any] = {}
        self.stamps = 0
        compressed = parameters.get('transport') == 'compressed'
        for camera in parameters.get('cameras', ['']):
            self.peer.create_subscription(SegmentationStats, topic_of(camera, '/frm_seg', 'stats'),
                                          self._on_stats, 100)
            if sender is not None:
                self._senders[camera] = self.peer.create_publisher(
                    CompressedImage if compressed else Image,
                    topic_of(camera, '', 'image/compressed' if compressed else 'image'),
                    QoSProfile(depth=100, reliability=sender))
        if start:
            self.node.start()
        self._threads = [self._spin(self.node), self._spin(self.peer)]

    def _spin(self, node: Any) -> tuple[SingleThreadedExecutor, threading.Thread]:
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(node)

        def run() -> None:
            try:
                executor.spin()
            except ExternalShutdownException:
                pass

        thread = threading.Thread(target=run)
        thread.start()
        return executor, thread

    def close(self) -> None:
        """End both nodes."""
        for executor, thread in self._threads:
            executor.shutdown()
            thread.join()
        self._threads.clear()
        self.node.release()
        self.node.destroy_node()
        self.peer.destroy_node()
        self.context.try_shutdown()
        # rclpy keeps the services of the life cycle until the node is collected. A node that is
        # collected in the middle of a later test takes part in its discovery until then.
        node = weakref.ref(self.node)
        del self.node
        gc.collect()
        assert node() is None

    def _on_stats(self, message: SegmentationStats) -> None:
        sums = message.processed + sum(message.dropped) + message.pending
        last = self.newest(message.camera)
        back = last and (message.received < last.received or message.processed < last.processed)
        if message.received != sums or message.pending > 2 or back:
            self.wrong_stats.append(message)
        self.stats.append(message)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f'waited {seconds:g} s for {what}'
            time.sleep(0.005)

    def wait_messages(self, messages: list[Any], count: int) -> None:
        """Wait until a list from `listen` holds so many messages."""
        self.wait(lambda: len(messages) >= count, f'{count} messages')
        assert len(messages) == count

    def wait_received(self, count: int, camera: str = '') -> None:
        """Wait until the statistics say that so many frames came and none is pending."""
        def counted() -> bool:
            counts = self.counts(camera)
            return counts.get('received') == count and not counts['pending']

        self.wait(counted, f'{count} frames to be counted')

    def listen(self, topic: str, message_type: type | None = None, qos: Any = 100,
               callback: Callable[[Any], None] | None = None) -> list[Any]:
        """Subscribe to a topic of the node; return the list that its messages go to."""
        messages: list[Any] = []
        name = f'/frm_seg/{topic}'
        if message_type is None:
            message_type = CompressedImage if topic.endswith('/compressed') else Image
        self.peer.create_subscription(message_type, name, callback or messages.append, qos)
        if self.publisher(name) is not None:
            self.wait(lambda: self.publisher(name).get_subscription_count(), f'{name} to match')
        return messages

    def publisher(self, name: str) -> Any:
        """Give the node's publisher of a topic."""
        return next((one for one in self.node.publishers if one.topic_name == name), None)

    def connected(self) -> bool:
        """Tell whether the node listens to all senders."""
        return all(one.get_subscription_count() == 1 for one in self._senders.values())

    def message(self, image: np.ndarray) -> Image:
        """Make an rgb8 message with a stamp of its own."""
        message = Image()
        fill_image(message, image, 'rgb8')
        return self.stamped(message)

    def stamped(self, message: Any) -> Any:
        """Stamp a message with the next odd stamp."""
        self.stamps += 1
        message.header.frame_id = f'camera {self.stamps}/left'
        message.header.stamp.sec = 1_700_000_000 + self.stamps
        message.header.stamp.nanosec = 999_999_000 + self.stamps
        return message

    def send(self, *messages: Any, camera: str = '') -> None:
        """Send messages of a camera once the node is connected."""
        self.wait(self.connected, 'the node to subscribe')
        for message in messages:
            self._senders[camera].publish(message)

    def newest(self, camera: str = '') -> SegmentationStats | None:
        """Give the newest statistics of a camera."""
        return next((one for one in reversed(self.stats) if one.camera == camera), None)

    def counts(self, camera: str = '') -> dict[str, int]:
        """Give the newest counts, drops by their reason."""
        newest = self.newest(camera)
        if newest is None:
            return {}
        return {'received': newest.received, 'processed': newest.processed,
                'pending': newest.pending, **dict(zip(newest.drop_reasons, newest.dropped))}

    def wait_counts(self, camera: str = '', **wanted: int) -> None:
        """Wait until the statistics say exactly this, with no other drops and none pending."""
        wanted = {'received': sum(wanted.values()), 'processed': 0, 'pending': 0, **wanted}
        deadline = time.monotonic() + SECONDS
        while (counts := self.counts(camera)) != wanted:
            assert time.monotonic() < deadline, f'counts are {counts}, wanted {wanted}'
            time.sleep(0.005)

    def wait_pending(self, count: int, camera: str = '') -> None:
        """Wait until so many frames of a camera are in the mailbox or in hand."""
        self.wait(lambda: self.counts(camera).get('pending') == count, f'{count} frames pending')

    def wait_engine(self) -> None:
        """Wait until the engine is open again."""
        self.wait(lambda: not self.node._engine.fault, 'the engine to be mended')

    def call(self, service_type: type, name: str, request: Any) -> Any:
        """Call a service of the node."""
        client = self.peer.create_client(service_type, f'/frm_seg/{name}')
        assert client.wait_for_service(SECONDS), f'waited {SECONDS:g} s for the service {name}'
        done = client.call_async(request)
        self.wait(done.done, f'{name} to answer')
        self.peer.destroy_client(client)
        return done.result()

    def set(self, name: str, value: Any) -> tuple[bool, str]:
        """Set a parameter of the node; give success and reason."""
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        result = self.call(SetParameters, 'set_parameters', request).results[0]
        return result.successful, result.reason

    def change(self, transition: str) -> bool:
        """Ask for a transition of the life cycle."""
        request = ChangeState.Request()
        if transition in TRANSITIONS:   # by id, as managers ask
            request.transition.id = TRANSITIONS[transition]
        else:
            request.transition.label = transition
        return self.call(ChangeState, 'change_state', request).success

    def state(self) -> str:
        """Give the state of the life cycle."""
        return self.call(GetState, 'get_state', GetState.Request()).current_state.label
