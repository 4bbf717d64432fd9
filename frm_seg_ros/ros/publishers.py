"""The image topics of one camera: who listens, and what they get."""
from __future__ import annotations

import array
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.core.encodings import fill_image
from frm_seg_ros.ros.outputs import OVERLAYS, Labelled, Output
from frm_seg_ros.ros.rate import RateLimit

OUTPUT_DEPTH = 2


class Publishers:
    """Publish of a frame what somebody listens to."""

    def __init__(self, node: LifecycleNode, prefix: str, outputs: Mapping[str, Output]) -> None:
        """Make the topics, whose names begin with `prefix`."""
        self._node = node
        self._outputs = outputs
        self._publishers = {
            topic: create_output(node, CompressedImage if output.encoding == 'jpeg' else Image,
                                 prefix + topic)
            for topic, output in outputs.items()}
        self._overlay_rate = RateLimit()

    def wanted(self) -> dict[str, int]:
        """Give the topics that somebody listens to, and by how many."""
        counts = {topic: publisher.get_subscription_count()
                  for topic, publisher in self._publishers.items()}
        return {topic: count for topic, count in counts.items() if count}

    def due(self, topics: set[str], now: float, overlay_max_rate: float) -> set[str]:
        """Leave the overlays out of the wanted topics when they are not due yet."""
        if topics & OVERLAYS and not self._overlay_rate.allows(now, overlay_max_rate):
            return topics - OVERLAYS
        return topics

    def make(self, topics: set[str], frame: Labelled, header: Any) -> dict[str, Any]:
        """Make the messages of some topics."""
        return {topic: _message(self._outputs[topic].make(frame), self._outputs[topic].encoding,
                                header) for topic in topics}

    def publish(self, messages: dict[str, Any]) -> None:
        """Publish messages by topic."""
        for topic, message in messages.items():
            self._publishers[topic].publish(message)

    def close(self) -> None:
        """Remove the topics."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)


def create_output(node: LifecycleNode, message_type: type, topic: str) -> Any:
    """Make a topic: reliable and volatile, so that RViz and best-effort listeners connect."""
    # A profile for each, since rclpy writes the overrides into it.
    return node.create_lifecycle_publisher(
        message_type, topic, QoSProfile(depth=OUTPUT_DEPTH),
        qos_overriding_options=QoSOverridingOptions.with_default_policies())


def _message(image: np.ndarray, encoding: str, header: Any) -> Any:
    if encoding != 'jpeg':
        message = Image(header=header)
        fill_image(message, image, encoding)
        return message
    jpeg = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    return CompressedImage(header=header, format='jpeg', data=array.array('B', jpeg.tobytes()))
