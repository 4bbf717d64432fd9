"""Let the node run under a steady stream, and tell whether memory grows or latency drifts.

The node is a process of its own; this one sends, and receives its labels. Every second the
resident memory of the node is read from /proc. The slope is a straight line of least squares
through the means of BLOCKS equal stretches of time after the warm-up: samples of neighbouring
seconds say nearly the same, means of long stretches much less so. Its 95 % interval is Student's,
with BLOCKS - 2 degrees of freedom; where neighbouring residuals still go together (lag-1
autocorrelation r > 0) it is widened by sqrt((1 + r) / (1 - r)), as for an AR(1) process.

`make soak` runs it; ARGS='--help' shows what it can be told.
"""
from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from frm_seg_ros.msg import SegmentationStats
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from frm_seg_ros.core.encodings import fill_image
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.ros.command import run_with_node
from frm_seg_ros.sources.synthetic import render_scene
from frm_seg_ros.tools.conditions import conditions
from frm_seg_ros.tools.evaluate import write_json

BLOCKS = 20
T_95 = 2.101    # two-sided quantile of Student's t with 18 = BLOCKS - 2 degrees of freedom
WARM_UP = 0.1   # of the time is left out
IMAGES = 16
NODE = 'import sys; from frm_seg_ros.ros.node import main; sys.exit(main())'


def trend(times: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Give the slope of values over time with its 95 % interval, as the module says.

    Args:
        times: (N,) increasing, N at least BLOCKS.
        values: (N,) at these times.

    Returns:
        `slope` in units of values / times, `low` and `high` of its interval, and the
        `autocorrelation` of the residuals at lag 1.
    """
    edges = np.linspace(times[0], times[-1], BLOCKS + 1)
    block = np.clip(np.searchsorted(edges, times, 'right') - 1, 0, BLOCKS - 1)
    t, v = (np.array([array[block == b].mean() for b in range(BLOCKS)])
            for array in (times, values))
    t, v = t - t.mean(), v - v.mean()
    slope = float(t @ v / (t @ t))
    residuals = v - slope * t
    variance = float(residuals @ residuals)
    r = float(residuals[1:] @ residuals[:-1] / variance) if variance else 0.0
    wide = np.sqrt((1 + max(r, 0.0)) / (1 - max(r, 0.0)))
    half = float(T_95 * wide * np.sqrt(variance / (BLOCKS - 2) / (t @ t)))
    return {'slope': slope, 'low': slope - half, 'high': slope + half, 'autocorrelation': r}


def rss_mb(pid: int | str = 'self') -> float:
    """Give the resident memory of a process, MiB."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


class Stream:
    """Sends images at a rate, and keeps when their labels came.

    Attributes:
        latency: (seconds since the start, ms) of every label image.
        stats: the newest statistics.
    """

    def __init__(self, node: Node, size: tuple[int, int], rate_hz: float) -> None:
        self.latency: list[tuple[float, float]] = []
        self.stats: SegmentationStats | None = None
        self.sent = 0
        self._node = node
        self._start = time.monotonic()
        self._sent_at: dict[int, float] = {}
        self._messages = []
        for seed in range(IMAGES):
            message = Image()
            fill_image(message, resize_image(render_scene(seed).image, size), 'rgb8')
            self._messages.append(message)
        self._publisher = node.create_publisher(Image, '/soak/image', 5)
        node.create_subscription(Image, '/frm_seg/label_image', self._take, 5)
        node.create_subscription(SegmentationStats, '/frm_seg/stats', self._keep, 10)
        self._timer = node.create_timer(1 / rate_hz, self._send)

    def _send(self) -> None:
        if not self._publisher.get_subscription_count():
            return
        self.sent += 1
        message = self._messages[self.sent % IMAGES]
        message.header.stamp.sec = self.sent
        self._sent_at[self.sent] = time.monotonic()
        self._sent_at.pop(self.sent - 1000, None)
        self._publisher.publish(message)

    def _take(self, message: Image) -> None:
        now = time.monotonic()
        sent = self._sent_at.get(message.header.stamp.sec, now)
        self.latency.append((now - self._start, 1e3 * (now - sent)))

    def _keep(self, message: SegmentationStats) -> None:
        self.stats = message

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()


def watch(pid: int, node: Node, stream: Stream, seconds: float,
          stop: threading.Event) -> np.ndarray:
    """Spin and read the memory every second; give (N, 2) of seconds and MiB."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    samples, start = [], time.monotonic()
    while (now := time.monotonic() - start) < seconds and not stop.is_set():
        if now >= len(samples):
            samples.append((now, rss_mb(pid)))
        executor.spin_once(timeout_sec=0.1)
    stream.stop()
    end = time.monotonic() + 3   # for the last labels and statistics
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(node)
    return np.array(samples)


def summarise(samples: np.ndarray, stream: Stream) -> dict[str, Any]:
    """Give slope, drift and counts for JSON."""
    late = samples[samples[:, 0] >= WARM_UP * samples[-1, 0]]
    latency = np.array(stream.latency)
    latency = latency[latency[:, 0] >= WARM_UP * latency[-1, 0]]
    stats, hour = stream.stats, 1 / 3600
    dropped = dict(zip(stats.drop_reasons, stats.dropped))
    return {
        'seconds': samples[-1, 0], 'rss_mb': {'first': late[0, 1], 'last': late[-1, 1],
                                              'largest': late[:, 1].max()},
        'rss_mb_each_minute': samples[::60, 1].tolist(),
        'rss_mb_per_hour': trend(late[:, 0] * hour, late[:, 1]),
        'latency_ms': dict(zip(('p50', 'p90', 'p99'),
                               np.percentile(latency[:, 1], (50, 90, 99)).tolist())),
        'latency_ms_per_hour': trend(latency[:, 0] * hour, latency[:, 1]),
        'sent': stream.sent, 'received': stats.received, 'processed': stats.processed,
        'dropped': dropped, 'pending': stats.pending, 'labels': len(stream.latency),
        'lost_in_transport': stats.lost_in_transport,
        'adds_up': stats.received == stats.processed + sum(dropped.values()) + stats.pending}


def soak(args: argparse.Namespace, node: Node, stop: threading.Event) -> None:
    """Run the node, print the figures and write the JSON file."""
    command = [sys.executable, '-c', NODE, '--ros-args', '-r', 'image:=/soak/image',
               '-p', f'model:={args.model}', '-p', f'backend:={args.backend}',
               '-p', 'qos:=reliable', *shlex.split(args.ros_args)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            stream = Stream(node, tuple(map(int, args.camera.split('x'))), args.rate)
            samples = watch(process.pid, node, stream, 60 * args.minutes, stop)
            if process.poll() is not None or stream.stats is None or not stream.latency:
                log.seek(0)
                raise ConfigError(f'the node did not run: {log.read()[-500:].decode()}')
            found = summarise(samples, stream)
        finally:
            process.terminate()
            code = process.wait(60)
    found |= {'exit_code': code, 'arguments': vars(args), 'conditions': conditions()}
    rss, drift = found['rss_mb_per_hour'], found['latency_ms_per_hour']
    print(f'{found["seconds"]:.0f} s, {found["processed"]} frames; RSS {rss["slope"]:+.2f} MB/h '
          f'[{rss["low"]:+.2f}, {rss["high"]:+.2f}]; latency p50 {found["latency_ms"]["p50"]:.2f} '
          f'ms, drift {drift["slope"]:+.2f} ms/h [{drift["low"]:+.2f}, {drift["high"]:+.2f}]; '
          f'dropped {found["dropped"]}')
    if args.json:
        write_json(args.json, found)


def main() -> int:
    """Read the command line and soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--rate', type=float, default=10.0, metavar='HZ')
    parser.add_argument('--camera', default='360x480', metavar='HEIGHTxWIDTH')
    parser.add_argument('--model', default='frm_b0_fast')
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--ros-args', default='-p network_size:=360x480',
                        help='more arguments of the node')
    parser.add_argument('--json', metavar='FILE', help='write the figures')
    args = parser.parse_args()
    return run_with_node('soak', lambda node, stop: soak(args, node, stop))


if __name__ == '__main__':
    sys.exit(main())
