"""The latched topics that say what the pixels of a label image mean."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from frm_seg_ros.core.label_space import LabelSpace as Space
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros.messages import LabelSpace, label_space_message

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ModuleNotFoundError as error:
    if error.name != 'vision_msgs':
        raise
    LabelInfo = None   # a package that is not part of every ROS

HOLD_SECONDS = 0.5
LOOK_SECONDS = 0.005


class LabelTopics:
    """Publishes ~/label_space and, where vision_msgs is installed, ~/label_info."""

    def __init__(self, node: Node, card: ModelCard, space: Space, pixel_ids: np.ndarray,
                 min_confidence: float) -> None:
        """Publish; `pixel_ids` (256,) uint8 is what train ids become in ~/label_image."""
        self._node = node
        self._space = space
        self._pixel_ids = pixel_ids
        self._publishers = [self._latched(LabelSpace, 'label_space')]
        self._publishers[0].publish(label_space_message(card, space, pixel_ids))
        if LabelInfo is not None:
            self._publishers.append(self._latched(LabelInfo, 'label_info'))
            self.tell_threshold(min_confidence)

    def _latched(self, message_type: type, topic: str) -> Any:
        return self._node.create_publisher(
            message_type, f'~/{topic}',
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def tell_threshold(self, min_confidence: float) -> None:
        """Publish ~/label_info: the names by their pixel value, and `min_confidence`, 0..1."""
        if LabelInfo is None:
            return
        values = [int(self._pixel_ids[number]) for number in range(len(self._space.names))]
        info = LabelInfo(threshold=float(min_confidence), class_map=[
            VisionClass(class_id=value, class_name=name)
            for value, name in zip(values, self._space.names) if value != LabelSpace.UNLABELLED])
        info.header.stamp = self._node.get_clock().now().to_msg()
        self._publishers[1].publish(info)

    def hold(self) -> None:
        """Wait until all who listen to these topics have what they say, at most HOLD_SECONDS.

        rclpy tells how many readers there are in the graph and how many of them are matched, and
        waits until matched readers have acknowledged. A reader that nobody has heard of yet
        cannot be waited for.
        """
        deadline = time.monotonic() + HOLD_SECONDS
        for publisher in self._publishers:
            while (publisher.get_subscription_count()
                   < self._node.count_subscribers(publisher.topic_name)
                   and time.monotonic() < deadline):
                time.sleep(LOOK_SECONDS)
            left_s = max(deadline - time.monotonic(), 0.0)
            publisher.wait_for_all_acked(Duration(seconds=left_s))

    def close(self) -> None:
        """Remove the topics."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
