"""Send the frames of a bag to a node and see what comes back."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.ros.monitor import READY
from frm_seg_ros.ros.play import pace
from frm_seg_ros.tools.latency import Run
from frm_seg_ros.tools.replay_frames import ReplayFrames
from frm_seg_ros.tools.resources import Resources

# The queue of rmw_qos_profile_sensor_data, with which cameras publish.
_DEPTH = 5
# How long an output may take: so many times the slowest of the warm-up, and at least so many
# seconds; in the warm-up itself a little more.
_SLOWER, _PATIENCE_S, _FIRST_PATIENCE_S = 5.0, 1.0, 3.0
# The node's statistics come once a second while no frame is processed.
_STATS_S = 2.5
_AGAIN_S = 0.5


class Outputs:
    """What the monitor has told so far; filled from the thread that reads its lines.

    Attributes:
        ready: set once the monitor listens.
        received: time of the first receipt by stamp, in the order of arrival; both in ns.
        repeated: stamps of outputs whose stamp had come before.
        differing: outputs that differ from the first one of their frame.
        stages: stage times in ms by stamp.
        counts: the newest counts of the node; None where it publishes none.
        label_space: fields of the node's LabelSpace; None where it publishes none.
    """

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.received: dict[int, int] = {}
        self.repeated: list[int] = []
        self.differing = 0
        self.stages: dict[int, Mapping[str, float]] = {}
        self.counts: Mapping[str, Any] | None = None
        self.label_space: Mapping[str, Any] | None = None
        self._idle_counts = 0
        self._changed = threading.Condition()

    def on_line(self, line: str) -> None:
        """Take a line of the monitor."""
        if line == READY:
            self.ready.set()
            return
        told = json.loads(line)
        with self._changed:
            if 'output' in told:
                self._take_output(**told['output'])
            elif 'stats' in told:
                self._take_stats(told['stats'])
            else:
                self.label_space = told['label_space']
            self._changed.notify_all()

    def _take_output(self, stamp_ns: int, received_ns: int, differs: bool) -> None:
        if stamp_ns in self.received:
            self.repeated.append(stamp_ns)
        else:
            self.received[stamp_ns] = received_ns
        self.differing += differs

    def _take_stats(self, stats: dict[str, Any]) -> None:
        self.counts = stats
        if stats['stamp_ns'] is None:
            self._idle_counts += 1
        else:
            self.stages[stats['stamp_ns']] = stats['stages']

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition on the attributes holds; tell whether it did in time."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def wait_counts(self) -> None:
        """Wait for counts of a node at rest, if it tells any."""
        if self.counts is not None:
            until = self._idle_counts + 1
            self.wait(lambda: self._idle_counts >= until, _STATS_S)


class Sender:
    """Sends frames and collects what belongs to them.

    Attributes:
        outputs: what the monitor tells.
        sent: time of sending by stamp, ns, of all frames so far.
    """

    def __init__(self, node: Node, frames: ReplayFrames, topic: str, reliability: str,
                 clock: bool, outputs: Outputs, stop: threading.Event,
                 check: Callable[[], None]) -> None:
        """Begin to publish.

        Args:
            node: the node that publishes.
            frames: what to send.
            topic: where to.
            reliability: `reliable` or `best_effort`.
            clock: whether /clock tells the stamp of every frame just before it.
            outputs: filled by the monitor.
            stop: set when the user wants to end.
            check: called now and then; raises when there is no sense in going on.
        """
        self.outputs, self.sent = outputs, {}
        self._frames, self._stop, self._check = frames, stop, check
        self._sending = count()
        self._patience_s = _FIRST_PATIENCE_S
        self._publisher = node.create_publisher(
            Image, topic, QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy[
                reliability.upper()]))
        self._clock = node.create_publisher(Clock, '/clock', 10) if clock else None

    @property
    def connected(self) -> bool:
        """Tell whether somebody listens."""
        return self._publisher.get_subscription_count() > 0

    def warm_up(self, frames: int, timeout_s: float) -> None:
        """Send the first frame again and again until an output comes, then more, one by one.

        Raises:
            ConfigError: if nothing comes back in time.
        """
        until = time.monotonic() + timeout_s
        while not self.outputs.wait(lambda: bool(self.outputs.received), _AGAIN_S):
            self._check()
            if time.monotonic() > until:
                raise ConfigError(f'no image came back within {timeout_s:g} s, though '
                                  f'{len(self.sent)} were sent to {self._publisher.topic_name}: '
                                  'is the node active, and does it take such images?')
            self._send(next(self._sending))
        self._settle(list(self.sent))
        cold = list(self.sent)
        self._send_in_turn(frames)
        slowest_ns = max((self.outputs.received[stamp] - sent for stamp, sent in self.sent.items()
                          if stamp in self.outputs.received and stamp not in cold), default=0)
        self._patience_s = max(_PATIENCE_S, _SLOWER * 1e-9 * slowest_ns)

    def at_rate(self, rate_hz: float, frames: int, pids: Mapping[str, int],
                progress: Callable[[int, int], None]) -> Run:
        """Send so many frames at a rate, each when it is due."""
        def send() -> None:
            for done in pace((index / rate_hz for index in range(frames)), self._stop):
                self._send(next(self._sending))
                progress(done + 1, frames)
        return self._run(send, pids)

    def lockstep(self, pids: Mapping[str, int], progress: Callable[[int, int], None]) -> Run:
        """Send every frame of the bag once, each when the last one's output is here."""
        total = len(self._frames.messages)
        return self._run(lambda: self._send_in_turn(total, progress), pids)

    def _run(self, send: Callable[[], None], pids: Mapping[str, int]) -> Run:
        lap = len(self._frames.messages)
        self._sending = count(lap * -(-next(self._sending) // lap))     # from the first frame on
        self.outputs.wait_counts()
        already, before = len(self.sent), self.outputs.counts
        resources = Resources(pids)
        send()
        used = resources.stop()
        self._check()
        stamps = list(self.sent)[already:]
        self._settle(stamps)
        mine = set(stamps)
        return Run(
            {stamp: self.sent[stamp] for stamp in stamps},
            {stamp: at for stamp, at in self.outputs.received.items() if stamp in mine},
            sum(stamp in mine for stamp in self.outputs.repeated), before, self.outputs.counts,
            [self.outputs.stages[stamp] for stamp in stamps if stamp in self.outputs.stages],
            used)

    def _send(self, sending: int) -> int:
        """Send a frame; give its stamp."""
        stamp = self._frames.loop.stamp(sending)
        message = self._frames.message(sending)
        if self._clock is not None:
            seconds, nanoseconds = divmod(stamp, 10**9)
            self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))
        self.sent[stamp] = time.monotonic_ns()
        self._publisher.publish(message)
        return stamp

    def _send_in_turn(self, frames: int,
                      progress: Callable[[int, int], None] = lambda *_: None) -> None:
        for done in range(frames):
            stamp = self._send(next(self._sending))
            self.outputs.wait(lambda stamp=stamp: stamp in self.outputs.received,
                              self._patience_s)
            self._check()
            progress(done + 1, frames)

    def _settle(self, stamps: Iterable[int]) -> None:
        """Wait until all outputs are here, or none comes any more; then for the counts."""
        missing = set(stamps)
        while missing:
            here = len(self.outputs.received)
            if not self.outputs.wait(lambda here=here: len(self.outputs.received) > here,
                                     self._patience_s):
                break
            missing -= self.outputs.received.keys()
        self.outputs.wait_counts()
