"""What this machine's ROS looks like from inside: a program that prints it as one line of JSON.

`frm-seg doctor` starts it as a child process, so that an rclpy that crashes or hangs is a finding.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.ros.cv_bridge_probe import usable
from frm_seg_ros.ros.subscription import DEPTH, matching_reliability

KINDS = {'sensor_msgs/msg/Image': Image, 'sensor_msgs/msg/CompressedImage': CompressedImage}
LABEL_SPACE = 'frm_seg_ros/msg/LabelSpace'
DISCOVERY_SECONDS = 4.0   # mostly a tenth of that; resent after 3 s where something was lost


class Listener:
    """Counts what arrives from one camera, subscribed as our node would with `qos: auto`."""

    def __init__(self, node: Node, topic: str, kind: str) -> None:
        self._node, self._topic, self._kind = node, topic, kind
        self._reliability = matching_reliability(node, topic)
        self._arrivals: list[float] = []
        self._delays_s: list[float] = []
        self._sizes: set[int] = set()
        self._last: Any = None
        self._lost = 0
        options = [KINDS[kind], topic, self._take,
                   QoSProfile(depth=DEPTH, reliability=self._reliability)]
        try:
            node.create_subscription(*options, event_callbacks=SubscriptionEventCallbacks(
                message_lost=self._lose))
        except UnsupportedEventTypeError:
            node.create_subscription(*options)

    def _lose(self, info: Any) -> None:
        self._lost += info.total_count_change

    def _take(self, message: Any) -> None:
        self._arrivals.append(time.monotonic())
        stamp = message.header.stamp
        self._delays_s.append(time.time() - stamp.sec - 1e-9 * stamp.nanosec)
        self._sizes.add(len(message.data))
        self._last = message

    def facts(self) -> dict[str, Any]:
        """Tell what was seen: rate in Hz, sizes in bytes, delay of the newest stamp in seconds."""
        span = self._arrivals[-1] - self._arrivals[0] if self._arrivals else 0.0
        found = {'topic': self._topic, 'type': self._kind, 'node_takes': self._reliability.name,
                 'publishers': [_endpoint(one) for one in
                                self._node.get_publishers_info_by_topic(self._topic)],
                 'received': len(self._arrivals), 'lost': self._lost,
                 'rate_hz': (len(self._arrivals) - 1) / span if span else 0.0,
                 'largest_bytes': max(self._sizes, default=0)}
        if self._last is not None:
            stamp = self._last.header.stamp
            found |= {'delay_s': self._delays_s[-1], 'stamped': bool(stamp.sec or stamp.nanosec),
                      'frame_id': self._last.header.frame_id,
                      'format': getattr(self._last, 'encoding', None) or self._last.format}
        if isinstance(self._last, Image):
            found |= {'height': self._last.height, 'width': self._last.width}
        return found


def _endpoint(info: Any) -> dict[str, str]:
    profile = info.qos_profile
    return {'node': f'{info.node_namespace.rstrip("/")}/{info.node_name}',
            'reliability': profile.reliability.name, 'durability': profile.durability.name}


def our_nodes(node: Node) -> set[str]:
    """Name the segmentation nodes on the graph: they alone tell their label space."""
    return {_endpoint(info)['node'] for topic, kinds in node.get_topic_names_and_types()
            if LABEL_SPACE in kinds for info in node.get_publishers_info_by_topic(topic)}


def image_topics(node: Node) -> list[tuple[str, str]]:
    """List (topic, type) of all topics with images."""
    return [(topic, kind) for topic, kinds in node.get_topic_names_and_types()
            for kind in kinds if kind in KINDS]


def mismatches(node: Node, topic: str) -> list[str]:
    """Tell which publishers and subscriptions of a topic do not connect, and why."""
    found = []
    for sender in node.get_publishers_info_by_topic(topic):
        for taker in node.get_subscriptions_info_by_topic(topic):
            verdict, why = qos_check_compatible(sender.qos_profile, taker.qos_profile)
            if verdict == QoSCompatibility.ERROR:
                why = ' '.join(why.replace('ERROR:', '').split()).rstrip(';')
                found.append(f'{topic}: nothing goes from {_endpoint(sender)["node"]} to '
                             f'{_endpoint(taker)["node"]} ({why})')
    return found


def messages_problem() -> str:
    """Say why our own messages cannot be used; empty when they can."""
    try:
        from frm_seg_ros.ros import messages
        messages.LabelSpace()
    except SystemExit as error:
        return str(error)
    except Exception as error:     # built for another Python or ROS, they raise many kinds
        return f'the messages of frm_seg_ros do not load: {type(error).__name__}: {error}'
    return ''


def look(node: Node, seconds: float) -> dict[str, Any]:
    """Listen for some seconds to all cameras on the graph, and look at who is connected."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    _spin(executor, DISCOVERY_SECONDS)
    ours = our_nodes(node)
    topics = image_topics(node)
    listeners, unheard = [], []
    for topic, kind in topics:
        senders = {_endpoint(info)['node'] for info in node.get_publishers_info_by_topic(topic)}
        takers = {_endpoint(info)['node'] for info in node.get_subscriptions_info_by_topic(topic)}
        if senders - ours:
            listeners.append(Listener(node, topic, kind))
        elif not senders and takers & ours:
            unheard.append(topic)
    wrong = [text for topic, _ in topics for text in mismatches(node, topic)]
    _spin(executor, seconds)
    executor.shutdown()
    return {'cameras': [one.facts() for one in listeners], 'mismatches': wrong,
            'our_nodes': sorted(ours), 'nobody_publishes': unheard}


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def main(argv: list[str] | None = None) -> int:
    """Print the facts; return 0."""
    parser = argparse.ArgumentParser(prog='doctor', description=__doc__)
    parser.add_argument('--seconds', type=float, default=3.0, help='how long cameras are listened '
                        'to (default: %(default)s)')
    seconds = parser.parse_args(argv).seconds
    rclpy.init(args=[])
    try:
        node = rclpy.create_node('frm_seg_doctor')
        facts = {'distro': os.environ.get('ROS_DISTRO', ''),
                 'rmw': rclpy.get_rmw_implementation_identifier(),
                 'messages_problem': messages_problem(), 'cv_bridge': usable(),
                 **look(node, seconds)}
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    print(json.dumps(facts), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
