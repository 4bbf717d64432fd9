"""Watch what a node publishes, in a process of its own, for a replay.

Every message is told at once, as a line of JSON on stdout, with the time of receipt by the
machine's monotonic clock, which all processes of a machine share. The first output of every frame
is kept and written to a bag at the end.
"""
from __future__ import annotations

import argparse
import json
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
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.ros.command import run_with_node
from frm_seg_ros.ros.play import message_class, stamp_of
from frm_seg_ros.ros.record import make_typestore, offered_qos, wait_for_types
from frm_seg_ros.tools.latency import STAGES
from frm_seg_ros.tools.replay_frames import Loop, with_stamp

READY = 'ready'
STATS, SPACE = 'frm_seg_ros/msg/SegmentationStats', 'frm_seg_ros/msg/LabelSpace'
_DEPTH = 200
_HEADER = 12    # bytes of CDR up to the end of the stamp


class Monitor:
    """Tells of outputs, statistics and the label space, and keeps the outputs.

    Attributes:
        kept: first output of every frame, by its place in the bag.
    """

    def __init__(self, node: Node, output: str, kind: str, loop: Loop) -> None:
        """Subscribe.

        Args:
            node: the node that subscribes.
            output: the topic to watch; statistics and label space lie beside it.
            kind: its type.
            loop: the stamps of the frames that are sent.
        """
        self.kept: dict[int, bytes] = {}
        self._loop = loop
        self._output = node.create_subscription(
            message_class(kind), output, self._on_output, offered_qos(node, output), raw=True)
        beside = output.rpartition('/')[0]
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        try:
            node.create_subscription(message_class(STATS), f'{beside}/stats', self._on_stats,
                                     _DEPTH)
            node.create_subscription(message_class(SPACE), f'{beside}/label_space',
                                     self._on_space, latched)
        except ConfigError:     # our messages are not built: the node cannot be ours
            pass

    @property
    def matched(self) -> bool:
        """Tell whether the output has its publisher."""
        return self._output.get_publisher_count() > 0

    def _on_output(self, data: bytes) -> None:
        told = {'received_ns': time.monotonic_ns(), 'stamp_ns': stamp_of(data), 'differs': False}
        frame = self._loop.frame(told['stamp_ns'])
        if frame is not None:
            first = self.kept.setdefault(frame, data)
            told['differs'] = first is not data and not np.array_equal(
                *(np.frombuffer(one, np.uint8)[_HEADER:] for one in (first, data)))
        _tell(output=told)

    @staticmethod
    def _on_stats(message: Any) -> None:
        stamp = message.header.stamp
        _tell(stats={
            'received': message.received, 'processed': message.processed,
            'dropped': dict(zip(message.drop_reasons, message.dropped)),
            'pending': message.pending, 'lost_in_transport': message.lost_in_transport,
            'stamp_ns': stamp.sec * 10**9 + stamp.nanosec if message.has_frame else None,
            'stages': {stage: getattr(message, f'{stage}_ms') for stage in STAGES}})

    @staticmethod
    def _on_space(message: Any) -> None:
        _tell(label_space={name: list(value) if name != 'name' else value for name, value in (
            (name, getattr(message, name))
            for name in ('name', 'names', 'ids', 'categories', 'colors'))})


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def write_kept(path: Path, topic: str, kind: str, kept: dict[int, bytes], loop: Loop) -> None:
    """Write the outputs as a bag, in the order of their frames and with the stamps of these."""
    with atomic_path(path) as temporary, \
            Writer(temporary, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, kind, typestore=make_typestore([kind]))
        for frame, data in sorted(kept.items()):
            stamp = loop.stamps_ns[frame]
            writer.write(connection, max(stamp, 0), with_stamp(data, stamp))


def _watch(args: argparse.Namespace, node: Node, stop: threading.Event) -> None:
    loop = Loop(json.loads(Path(args.stamps).read_text(encoding='utf-8')))
    kind = wait_for_types(node, [args.output], args.wait_timeout, stop)[args.output]
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    monitor = Monitor(node, args.output, kind, loop)
    ready = False
    while not stop.is_set():
        executor.spin_once(timeout_sec=0.1)
        if not ready and monitor.matched:
            ready = True
            print(READY, flush=True)
    executor.shutdown()
    write_kept(Path(args.keep), args.output, kind, monitor.kept, loop)


def main(argv: Sequence[str] | None = None) -> int:
    """Watch until SIGINT or SIGTERM; return the exit code: 0, or 2 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog='monitor', description=__doc__.splitlines()[0])
    parser.add_argument('output', help='topic to watch, with its full name')
    parser.add_argument('--stamps', required=True, metavar='FILE',
                        help='JSON list of the stamps of the frames, ns')
    parser.add_argument('--keep', required=True, metavar='BAG', help='where the outputs go')
    parser.add_argument('--wait-timeout', type=float, default=60.0, metavar='S',
                        help='give up on a topic that nobody publishes (default: %(default)s)')
    return run_with_node('monitor', partial(_watch, parser.parse_args(argv)))


if __name__ == '__main__':
    sys.exit(main())
