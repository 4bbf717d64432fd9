"""The image topics of one camera: who listens, and what they get."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image

from frm_seg_ros.core.encodings import fill_image
from frm_seg_ros.ros.outputs import OUTPUTS, Labelled
from frm_seg_ros.ros.rate import RateLimit

OUTPUT_DEPTH = 2
OVERLAYS = {'overlay'}


class Publishers:
    """Publish of a frame what somebody listens to."""

    def __init__(self, node: LifecycleNode, prefix: str, topics: Iterable[str]) -> None:
        """Make the topics, keys of OUTPUTS, whose names begin with `prefix`."""
        self._node = node
        # Reliable and volatile: RViz and best-effort listeners connect. A profile for each, since
        # rclpy writes the overrides into it.
        self._publishers = {
            topic: node.create_lifecycle_publisher(
                Image, prefix + topic, QoSProfile(depth=OUTPUT_DEPTH),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
            for topic in topics}
        self._overlay_rate = RateLimit()

    def wanted(self) -> set[str]:
        """Name the topics that somebody listens to."""
        return {topic for topic, publisher in self._publishers.items()
                if publisher.get_subscription_count()}

    def due(self, topics: set[str], now: float, overlay_max_rate: float) -> set[str]:
        """Leave the overlays out of the wanted topics when they are not due yet."""
        if topics & OVERLAYS and not self._overlay_rate.allows(now, overlay_max_rate):
            return topics - OVERLAYS
        return topics

    @staticmethod
    def make(topics: set[str], frame: Labelled, header: Any) -> dict[str, Any]:
        """Make the messages of some topics."""
        messages = {topic: Image(header=header) for topic in topics}
        for topic, message in messages.items():
            fill_image(message, OUTPUTS[topic].make(frame), OUTPUTS[topic].encoding)
        return messages

    def publish(self, messages: dict[str, Any]) -> None:
        """Publish messages by topic."""
        for topic, message in messages.items():
            self._publishers[topic].publish(message)

    def close(self) -> None:
        """Remove the topics."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
