"""Play one topic of a bag into ROS, as a camera would send it.

A process of its own that knows nothing of the node: messages go out as the serialised bytes that
are in the bag, whatever their type, and a log tells when each was sent.
"""
from __future__ import annotations

import argparse
import json
import struct
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.ros.command import run_with_node

# The queue of rmw_qos_profile_sensor_data, with which cameras publish.
_DEPTH = 5
# A subscriber is known to the publisher a little before it is ready for best-effort messages.
SETTLE_S = 0.5
_LINGER_S = 1.0


@dataclass(frozen=True)
class Recorded:
    """A recorded message: when it was recorded, its header's stamp (both in ns), its CDR bytes."""

    time_ns: int
    stamp_ns: int
    data: bytes


def load_topic(bag: Path, topic: str, limit_mb: int) -> tuple[str, list[Recorded]]:
    """Read all messages of a topic into memory.

    Returns:
        The type, such as `sensor_msgs/msg/Image`, and the messages in the order of recording.

    Raises:
        ConfigError: if the bag cannot be read, lacks the topic, or the messages exceed the limit.
    """
    from rosbags.highlevel import AnyReader, AnyReaderError

    from frm_seg_ros.sources.bag_bounds import BagBoundError
    messages, size = [], 0
    try:
        with AnyReader([bag]) as reader:
            chosen = [one for one in reader.connections if one.topic == topic]
            if not chosen:
                there = ', '.join(sorted(reader.topics)) or 'none'
                raise ConfigError(f'{bag} has no topic {topic}: it has {there}')
            for _, time_ns, data in reader.messages(chosen):
                size += len(data)
                if size > limit_mb << 20:
                    raise ConfigError(f'{topic} in {bag} holds more than {limit_mb} MB: play a '
                                      'shorter bag, or raise --limit-mb')
                messages.append(Recorded(time_ns, stamp_of(data), bytes(data)))
    except (AnyReaderError, BagBoundError) as error:
        raise ConfigError(f'{bag} cannot be read as a bag: {error}') from error
    if not messages:
        raise ConfigError(f'{topic} in {bag} holds no message')
    return chosen[0].msgtype, messages


def stamp_of(data: bytes) -> int:
    """Read the stamp, in nanoseconds, of a serialised message that begins with a std_msgs/Header.

    CDR (OMG DDSI-RTPS 10.2): four bytes of which the second tells the byte order, then int32
    seconds and uint32 nanoseconds.
    """
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def message_class(name: str) -> Any:
    """Import the class of a type such as `sensor_msgs/msg/Image`.

    Raises:
        ConfigError: if its package is not built or not sourced.
    """
    package, _, kind = name.partition('/msg/')
    try:
        return getattr(import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'the message type {name} is not available ({error}): build and source '
                          f'{package}') from error


def wait_for_subscribers(publisher: Publisher, wanted: int, timeout_s: float,
                         stop: threading.Event) -> None:
    """Wait until enough subscribers are matched.

    Raises:
        ConfigError: if they are not there in time.
        KeyboardInterrupt: if told to stop.
    """
    until = time.monotonic() + timeout_s
    while publisher.get_subscription_count() < wanted:
        if time.monotonic() > until:
            raise ConfigError(
                f'{publisher.topic_name} has {publisher.get_subscription_count()} of {wanted} '
                f'subscribers after {timeout_s:g} s: is the node running, on the same '
                'ROS_DOMAIN_ID, and with a QoS that matches?')
        if stop.wait(0.05):
            raise KeyboardInterrupt
    if wanted:
        stop.wait(SETTLE_S)


def pace(due_s: Iterable[float], stop: threading.Event) -> Iterator[int]:
    """Yield 0, 1, 2 ... when each is due, in seconds from now on, until told to stop."""
    start = time.monotonic()
    for index, due in enumerate(due_s):
        if stop.wait(max(0.0, start + due - time.monotonic())):
            break
        yield index


def send(publisher: Publisher, messages: Sequence[Recorded], rate_hz: float | None,
         stop: threading.Event) -> list[tuple[int, int]]:
    """Publish at the pace of the recording, or at `rate_hz`, until done or told to stop.

    Returns:
        (stamp, time just before sending by time.time_ns) of every message sent, both in ns.
    """
    log = []
    due_s = [index / rate_hz if rate_hz else 1e-9 * (message.time_ns - messages[0].time_ns)
             for index, message in enumerate(messages)]
    for index in pace(due_s, stop):
        log.append((messages[index].stamp_ns, time.time_ns()))
        publisher.publish(messages[index].data)
    return log


def write_log(path: str, log: Sequence[tuple[int, int]]) -> None:
    """Write the log, one JSON object a line: stamp_ns and sent_ns."""
    lines = [json.dumps({'stamp_ns': stamp, 'sent_ns': sent}) for stamp, sent in log]
    with atomic_path(path) as temporary:
        temporary.write_text('\n'.join([*lines, '']), encoding='utf-8')


def _play(args: argparse.Namespace, node: Node, stop: threading.Event) -> None:
    kind, messages = load_topic(Path(args.bag), args.topic, args.limit_mb)
    qos = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy[args.reliability.upper()])
    publisher = node.create_publisher(message_class(kind), args.to or args.topic, qos)
    wait_for_subscribers(publisher, args.wait_subscribers, args.wait_timeout, stop)
    log = send(publisher, messages, args.rate, stop)
    if args.log:
        write_log(args.log, log)
    print(f'{len(log)} of {len(messages)} messages sent to {publisher.topic_name}', flush=True)
    if stop.is_set():
        raise KeyboardInterrupt
    stop.wait(_LINGER_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='play', description='Play one topic of a bag into ROS, with the stamps of the bag.',
        epilog='example: ros2 run frm_seg_ros play drive --to /camera/image --rate 10')
    parser.add_argument('bag', metavar='BAG', help='folder of a bag, or its mcap file')
    parser.add_argument('--topic', default='/camera/image',
                        help='topic in the bag (default: %(default)s)')
    parser.add_argument('--to', metavar='TOPIC', help='topic to publish (default: the same)')
    parser.add_argument('--rate', type=positive, metavar='HZ',
                        help="messages a second (default: the bag's own pace)")
    parser.add_argument('--reliability', choices=['best_effort', 'reliable'],
                        default='best_effort',
                        help='QoS; cameras mostly send %(default)s, the default')
    parser.add_argument('--wait-subscribers', type=int, default=1, metavar='N',
                        help='wait for so many subscribers (default: %(default)s)')
    parser.add_argument('--wait-timeout', type=float, default=60.0, metavar='S',
                        help='give up on them after so many seconds (default: %(default)s)')
    parser.add_argument('--limit-mb', type=int, default=2048, metavar='MB',
                        help='messages are read into memory before the first is sent, no more '
                             'than this (default: %(default)s)')
    parser.add_argument('--log', metavar='FILE',
                        help='write stamp_ns and sent_ns of every message, a JSON object a line')
    return parser


def positive(text: str) -> float:
    """Read an argument above 0."""
    value = float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not above 0')
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Play; return the exit code: 0, 2 with one sentence on stderr, 130 when interrupted."""
    args = _parser().parse_args(argv)
    return run_with_node('play', partial(_play, args))


if __name__ == '__main__':
    sys.exit(main())
