"""The subscription to a camera, whose reliability follows what the camera offers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

LOOK_SECONDS = 1.0
DEPTH = 5   # the callback takes each at once; this bridges a busy interpreter


def matching_reliability(node: Node, topic: str) -> ReliabilityPolicy:
    """Choose reliable where all publishers of a topic offer it, else best effort."""
    offers = {info.qos_profile.reliability for info in node.get_publishers_info_by_topic(topic)}
    if offers == {ReliabilityPolicy.RELIABLE}:
        return ReliabilityPolicy.RELIABLE
    return ReliabilityPolicy.BEST_EFFORT


class ImageSubscription:
    """Subscribe to a topic with the wanted reliability.

    With `auto` that is reliable where all publishers offer it. Best effort connects to every
    publisher, so it is taken if any offers no better, and while there is none.
    """

    def __init__(self, node: Node, message_type: type, topic: str, qos: str,
                 on_message: Callable[[Any], None], on_lost: Callable[[int], None]) -> None:
        """Subscribe.

        Args:
            node: the node that subscribes.
            message_type: class of the messages.
            topic: its name, before remapping.
            qos: `auto`, `reliable` or `best_effort`.
            on_message: called with every message, from the executor.
            on_lost: called with the number of messages that the middleware lost.
        """
        self._node = node
        self._message_type = message_type
        self.topic = node.resolve_topic_name(topic)
        self._asked = qos
        self._on_message = on_message
        self._on_lost = on_lost
        self._warned = False
        self._look_soon = node.create_guard_condition(self._look)
        self._timer = node.create_timer(LOOK_SECONDS, self._look,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.reliability = self._wanted()
        self._subscription = self._subscribe()

    @property
    def publishers(self) -> int:
        """Number of publishers that it is connected to."""
        return self._subscription.get_publisher_count()

    def close(self) -> None:
        """Stop subscribing."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_guard_condition(self._look_soon)
        self._node.destroy_subscription(self._subscription)

    def _wanted(self) -> ReliabilityPolicy:
        if self._asked != 'auto':
            return ReliabilityPolicy[self._asked.upper()]
        return matching_reliability(self._node, self.topic)

    def _look(self) -> None:
        """Subscribe anew if the publishers now offer another reliability."""
        wanted = self._wanted()
        if wanted != self.reliability:
            self.reliability = wanted
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def _subscribe(self) -> Any:
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda _: self._mismatch(),
            message_lost=lambda info: self._on_lost(info.total_count_change),
            matched=lambda _: self._look_soon.trigger())
        try:
            return self._create(events)
        except UnsupportedEventTypeError:   # a middleware that tells less; the timer still looks
            return self._create(SubscriptionEventCallbacks())

    def _create(self, events: SubscriptionEventCallbacks) -> Any:
        policies = [QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY]
        return self._node.create_subscription(
            self._message_type, self.topic, self._on_message,
            QoSProfile(depth=DEPTH, reliability=self.reliability), event_callbacks=events,
            qos_overriding_options=QoSOverridingOptions(policies))

    def _mismatch(self) -> None:
        """Follow a publisher that offers less than asked for, or say once how to mend it."""
        if self._asked == 'auto':
            self._look_soon.trigger()
        elif not self._warned:
            self._warned = True
            self._node.get_logger().warning(
                f'a publisher of {self.topic} offers a QoS that does not match, so nothing of it '
                f'arrives: qos is {self._asked}, set it to auto or best_effort, or let the camera '
                'publish reliable')
