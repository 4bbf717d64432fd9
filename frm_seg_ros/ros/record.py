"""Record topics to a bag, as bytes, with the time of receipt.

A process of its own that knows nothing of the node: types and QoS are found from the graph, and
messages are written as they came.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.ros.command import run_with_node
from frm_seg_ros.ros.play import message_class

# Deep enough that no message is lost while another one is written.
_DEPTH = 200
# Longer arrays, such as pixels, are echoed as null: whoever reads the lines must keep up.
_ECHO_ELEMENTS = 256


def wait_for_types(node: Node, topics: Sequence[str], timeout_s: float,
                   stop: threading.Event) -> dict[str, str]:
    """Find the type of every topic in the graph.

    Raises:
        ConfigError: if one is not published in time.
    """
    until = time.monotonic() + timeout_s
    while True:
        found = {name: types[0] for name, types in node.get_topic_names_and_types()
                 if name in topics and node.count_publishers(name)}
        missing = sorted(set(topics) - set(found))
        if not missing:
            return found
        if time.monotonic() > until:
            raise ConfigError(f'nobody publishes {", ".join(missing)} after {timeout_s:g} s: is '
                              'the node running, and on the same ROS_DOMAIN_ID?')
        if stop.wait(0.05):
            raise KeyboardInterrupt


def offered_qos(node: Node, topic: str) -> QoSProfile:
    """Give the strongest QoS that every publisher of the topic offers, with a deep queue."""
    offers = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    reliable = all(one.reliability == ReliabilityPolicy.RELIABLE for one in offers)
    latched = all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in offers)
    return QoSProfile(
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def make_typestore(types: Sequence[str]) -> Typestore:
    """Give the message definitions of ROS 2 Jazzy, and those of `types` from the sourced share.

    Raises:
        ConfigError: if a definition is not found.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for name in types:
        if name not in store.fielddefs:
            store.register(get_types_from_msg(_definition(name), name))
    return store


def _definition(name: str) -> str:
    package, _, kind = name.partition('/msg/')
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    for prefix in filter(None, prefixes):
        path = Path(prefix) / 'share' / package / 'msg' / f'{kind}.msg'
        if path.is_file():
            return path.read_text(encoding='utf-8')
    raise ConfigError(f'no {package}/msg/{kind}.msg in AMENT_PREFIX_PATH: build and source '
                      f'{package}')


class Recorder:
    """Subscribes to topics and writes what comes to an open bag."""

    def __init__(self, node: Node, writer: Writer, types: dict[str, str],
                 echo: str | None = None) -> None:
        """Subscribe.

        Args:
            node: the node that subscribes.
            writer: an open bag.
            types: type of message by topic.
            echo: topic whose messages are printed too, as a JSON object a line.
        """
        self.counts = dict.fromkeys(types, 0)
        self._writer = writer
        self._store = make_typestore(list(types.values()))
        self._connections = {
            topic: writer.add_connection(topic, kind, typestore=self._store)
            for topic, kind in types.items()}
        self._echo = echo
        self._subscriptions: list[Subscription] = [
            node.create_subscription(message_class(kind), topic, partial(self._write, topic),
                                     offered_qos(node, topic), raw=True)
            for topic, kind in types.items()]

    @property
    def matched(self) -> bool:
        """Tell whether every subscription has its publisher."""
        return all(one.get_publisher_count() for one in self._subscriptions)

    def _write(self, topic: str, data: bytes) -> None:
        now = time.time_ns()
        connection = self._connections[topic]
        self._writer.write(connection, now, data)
        self.counts[topic] += 1
        if topic == self._echo:
            message = self._store.deserialize_cdr(data, connection.msgtype)
            print(json.dumps(_plain(message)), flush=True)


def _plain(value: Any) -> Any:
    """Turn a message of rosbags into what JSON knows."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.size <= _ECHO_ELEMENTS else None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, '__msgtype__'):
        return {name: _plain(item) for name, item in vars(value).items()
                if name != '__msgtype__'}
    return value


def _record(args: argparse.Namespace, node: Node, stop: threading.Event) -> None:
    topics = [node.resolve_topic_name(name) for name in args.topic]
    echo = node.resolve_topic_name(args.echo) if args.echo else None
    types = wait_for_types(node, topics, args.wait_timeout, stop)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with atomic_path(args.out) as temporary:
        with Writer(temporary, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            recorder = Recorder(node, writer, types, echo)
            ready = False
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
                if not ready and recorder.matched:
                    ready = True
                    print('ready', flush=True)
    executor.shutdown()
    counts = ', '.join(f'{topic} {count}' for topic, count in recorder.counts.items())
    print(f'recorded to {args.out}: {counts}', file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='record', description='Record topics to a bag until SIGINT or SIGTERM, with the time '
        'of receipt. Prints "ready" when all are matched; the bag appears under its name at the '
        'end.',
        epilog='example: ros2 run frm_seg_ros record labels --topic /frm_seg/label_image')
    parser.add_argument('out', metavar='OUT', help='folder of the bag (mcap)')
    parser.add_argument('--topic', action='append', required=True, metavar='NAME',
                        help='topic to record; may be given more than once')
    parser.add_argument('--echo', metavar='NAME',
                        help='one of the topics: print its messages too, a JSON object a line, '
                             'long arrays as null')
    parser.add_argument('--force', action='store_true', help='replace a bag that is there')
    parser.add_argument('--wait-timeout', type=float, default=60.0, metavar='S',
                        help='give up after so many seconds on a topic that nobody publishes '
                             '(default: %(default)s)')
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Record; return the exit code: 0, 2 with one sentence on stderr, 130 if nothing was begun."""
    args = _parser().parse_args(argv)
    out = Path(args.out)
    if out.exists() and not (args.force and (out / 'metadata.yaml').is_file()):
        print(f'record: {out} is there already: name another folder, or add --force to replace a '
              'bag', file=sys.stderr)
        return 2
    return run_with_node('record', partial(_record, args))


if __name__ == '__main__':
    sys.exit(main())
