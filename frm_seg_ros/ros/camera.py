"""One camera of the node: from its subscription through the worker to its outputs."""
from __future__ import annotations

import threading
import time
from typing import Any

import cv2
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.core.encodings import compressed_to_rgb, fill_image
from frm_seg_ros.core.errors import FrameError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.label_space import IGNORE
from frm_seg_ros.ros.accounting import Accounting
from frm_seg_ros.ros.cv_bridge_probe import image_to_rgb
from frm_seg_ros.ros.mailbox import Arrival, Mailbox
from frm_seg_ros.ros.messages import FrameReport, SegmentationStats, stats_message
from frm_seg_ros.ros.outputs import OUTPUTS, Labelled
from frm_seg_ros.ros.parameters import NodeParameters
from frm_seg_ros.ros.rate import Quiet, RateLimit
from frm_seg_ros.ros.subscription import ImageSubscription
from frm_seg_ros.segmenter import Segmenter

OUTPUT_DEPTH = 2
STATS_SECONDS = 1.0
LOG_SECONDS = 5.0
TRANSPORTS = {'raw': (Image, 'image', image_to_rgb),
              'compressed': (CompressedImage, 'image/compressed', compressed_to_rgb)}


class Camera:
    """The state of one camera.

    The executor's thread only stores the newest message; a thread of our own takes, decodes,
    labels and publishes it.

    Attributes:
        name: of the camera; empty where there is one only.
        parameters: the node's current ones; replaced as a whole.
        accounting: what became of the frames since the node was configured.
    """

    def __init__(self, node: LifecycleNode, segmenter: Segmenter, parameters: NodeParameters,
                 name: str = '') -> None:
        self.name = name
        self.parameters = parameters
        self.accounting = Accounting()
        self._node = node
        self._segmenter = segmenter
        prefix = f'~/{name}/' if name else '~/'
        # Reliable and volatile: RViz and best-effort listeners connect. A profile for each, since
        # rclpy writes the overrides into it.
        self._outputs = {
            topic: node.create_lifecycle_publisher(
                Image, prefix + topic, QoSProfile(depth=OUTPUT_DEPTH),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
            for topic in OUTPUTS}
        self._stats = node.create_publisher(SegmentationStats, prefix + 'stats', 10)
        self._stats_lock = threading.Lock()
        self._stats_sent = False
        self._timer = node.create_timer(STATS_SECONDS, self._on_timer,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._rate, self._overlay_rate = RateLimit(), RateLimit()
        self._quiet = Quiet(LOG_SECONDS)
        self._told_of_losses = False
        self._mailbox = Mailbox()
        self._subscription: ImageSubscription | None = None
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        """Subscribe and begin to work."""
        message_type, topic, self._decode = TRANSPORTS[self.parameters.transport]
        if self.name:
            topic = f'{self.name}/{topic}'
        self._mailbox = Mailbox()
        self._subscription = ImageSubscription(
            self._node, message_type, topic, self.parameters.qos, self._on_message,
            self._on_lost)
        self._worker = threading.Thread(target=self._work, name=f'camera {self.name}')
        self._worker.start()

    def stop(self) -> None:
        """Stop subscribing and finish the frame in hand."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        if self._mailbox.close() is not None:
            self.accounting.drop('inactive')
        if self._worker is not None:
            self._worker.join()
            self._worker = None

    def close(self) -> None:
        """Remove all topics."""
        self.stop()
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._stats)
        for publisher in self._outputs.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def _on_message(self, message: Any) -> None:
        now = time.monotonic()
        self.accounting.receive()
        if not self._rate.allows(now, self.parameters.max_rate):
            self.accounting.drop('rate')
        elif self._mailbox.put(Arrival(message, self._age_ms(message), now)) is not None:
            self.accounting.drop('overwritten')

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

    def _work(self) -> None:
        while (arrival := self._mailbox.take()) is not None:
            try:
                report = self._handle(arrival)
            except FrameError as error:
                self._drop(error.reason, str(error))
            except Exception as error:   # whatever an engine raises: the node lives on
                self._drop('engine_error' if self._node.context.ok() else 'inactive',
                           f'{type(error).__name__}: {error}')
            else:
                if report is not None:
                    self.accounting.process()
                    self._send_stats(report)

    def _drop(self, reason: str, why: str) -> None:
        self.accounting.drop(reason)
        if self._node.context.ok() and self._quiet.allows(reason, time.monotonic()):
            self._node.get_logger().warning(f'frame dropped ({reason}): {why}')

    def _handle(self, arrival: Arrival) -> FrameReport | None:
        """Label a frame and publish its outputs; None when it was dropped and counted."""
        parameters = self.parameters
        taken = time.monotonic()
        wait_ms = 1e3 * (taken - arrival.monotonic)
        age_ms = arrival.age_ms + wait_ms
        topics = {topic for topic, publisher in self._outputs.items()
                  if publisher.get_subscription_count()}
        if not parameters.enabled:
            self.accounting.drop('paused')
        elif not topics:
            self.accounting.drop('no_listener')
        elif 0 < parameters.max_age_ms < age_ms:
            self._drop('too_old', f'its stamp is {age_ms:.0f} ms old, max_age_ms is '
                                  f'{parameters.max_age_ms:g}')
        elif not self._bounded(topics, taken, parameters.overlay_max_rate):
            self.accounting.drop('rate')
        else:
            report = FrameReport(arrival.message.header)
            report.times_ms |= {'age': arrival.age_ms, 'wait': wait_ms}
            self._label(arrival.message, parameters, topics, report)
            return report
        return None

    def _bounded(self, topics: set[str], now: float, overlay_max_rate: float) -> set[str]:
        """Take the overlay out of the wanted topics when it is not due yet."""
        if 'overlay' in topics and not self._overlay_rate.allows(now, overlay_max_rate):
            topics.remove('overlay')
        return topics

    def _label(self, message: Any, parameters: NodeParameters, topics: set[str],
               report: FrameReport) -> None:
        """Compute the topics that are listened to, publish them, and fill in the report."""
        watch = Stopwatch()
        image = self._decode(message)
        pre_ms = watch.lap_ms()
        confident = 'confidence' in topics or parameters.min_confidence > 0
        prediction = self._segmenter([image], confident)[0]
        watch.lap_ms()
        labels = masked(prediction, parameters.min_confidence)
        frame = Labelled(image, labels, prediction.confidence, self._segmenter.label_space,
                         parameters.overlay_alpha)
        messages = {topic: self._image(topic, frame, message.header) for topic in topics}
        report.class_shares = shares(labels, len(frame.label_space.classes))
        post_ms = watch.lap_ms()
        for topic, output in messages.items():
            self._outputs[topic].publish(output)
        report.times_ms |= {
            'pre': pre_ms + prediction.times_ms['pre'],
            'inference': prediction.times_ms['inference'],
            'post': post_ms, 'publish': watch.lap_ms()}

    @staticmethod
    def _image(topic: str, frame: Labelled, header: Any) -> Image:
        output = Image(header=header)
        fill_image(output, OUTPUTS[topic].make(frame), OUTPUTS[topic].encoding)
        return output

    def _on_timer(self) -> None:
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


class Stopwatch:
    """Time the stages of one frame."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap_ms(self) -> float:
        """Give the milliseconds since the last lap."""
        last, self._last = self._last, time.perf_counter()
        return 1e3 * (self._last - last)


def masked(prediction: Prediction, min_confidence: float) -> np.ndarray:
    """Give the labels (H, W) uint8, 255 where the confidence is below `min_confidence`, 0..1."""
    if min_confidence <= 0:
        return prediction.labels
    unsure = prediction.confidence < 255 * min_confidence
    return np.where(unsure, np.uint8(IGNORE), prediction.labels)


def shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """Give the share of the pixels that each class holds: (classes,) float32, 0..1."""
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()
    return counts[:classes] / np.float32(labels.size)
