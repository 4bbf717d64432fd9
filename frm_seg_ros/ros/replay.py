"""Replay a bag through a node by DDS, and measure what comes back: times, losses, load, mIoU.

This process sends; a monitor of its own receives. Latency runs from just before the sending to
the monitor's receipt, by the monotonic clock that the processes of a machine share.
"""
from __future__ import annotations

import argparse
import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from rclpy.node import Node

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_message import read_label_space
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.ros.command import run_with_node
from frm_seg_ros.ros.play import positive
from frm_seg_ros.ros.replay_run import Sender
from frm_seg_ros.ros.replay_stage import Stage
from frm_seg_ros.sources.bag import BagSource, open_bag
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.tools.evaluate import write_json
from frm_seg_ros.tools.latency import R2B, Run, find_peak, run_line, summarise
from frm_seg_ros.tools.processes import ChildError, child_environment
from frm_seg_ros.tools.progress import ProgressLine
from frm_seg_ros.tools.replay_facts import facts
from frm_seg_ros.tools.replay_frames import load_frames
from frm_seg_ros.tools.replay_scores import hash_labels, score_labels
from frm_seg_ros.tools.resources import check_pid

RATES = (10.0, 15.0, 30.0, 60.0)


def _replay(args: argparse.Namespace, node: Node, stop: threading.Event, command: str) -> None:
    if args.pid:
        check_pid(args.pid)
    source = open_bag(args.bag, BagOptions(topic=args.topic, truth_topic=args.truth_topic))
    space = LabelSpace.load(args.predictions_space) if args.predictions_space else None
    frames = load_frames(source, args.limit_mb)
    image = node.resolve_topic_name(args.image or source.image_topic)
    with TemporaryDirectory() as folder:
        stage = Stage(args, node, image, Path(folder), stop)
        try:
            if args.node:
                stage.start_node(args.node)
            sender = Sender(node, frames, image, args.reliability, args.clock, stage.outputs,
                            stop, stage.check)
            stage.start_monitor(frames.loop.stamps_ns)
            stage.wait_listener(lambda: sender.connected)
            sender.warm_up(args.warm_up, args.answer_timeout)
            figures = measure(args, stage, sender)
            stage.finish_monitor()
            result = {**figures, **labels_told(stage, source, space),
                      **facts(args, source, frames, stage.output, command)}
        except ChildError as error:
            raise ConfigError(' '.join(str(error).split())) from error
        finally:
            stage.close()
    if 'node' not in stage.pids:
        print('CPU and memory of the node are not known: name its process with --pid')
    if args.json:
        write_json(args.json, result)
        print(f'figures: {args.json}')


def measure(args: argparse.Namespace, stage: Stage, sender: Sender) -> dict[str, Any]:
    """Do the runs that are asked for, tell of each in a line, and give their figures for JSON."""
    def run(name: str, send: Callable[..., Run], *wanted: Any) -> Run:
        done = send(*wanted, stage.pids, ProgressLine(f'frames, {name}'))
        print(run_line(name, done), flush=True)
        return done

    def at_rate(rate_hz: float, repeat: int = 0) -> Run:
        which = f' {repeat}/{args.repeats}' if repeat else ''
        return run(f'{rate_hz:.4g} Hz{which}', sender.at_rate, rate_hz,
                   max(2, round(rate_hz * args.seconds)))

    if args.lockstep:
        return {'lockstep': summarise([run('lockstep', sender.lockstep)])}
    runs: dict[float, list[Run]] = {rate_hz: [] for rate_hz in args.rates}
    left = Remaining(len(runs) * args.repeats)
    for repeat in range(1, args.repeats + 1):
        for rate_hz, done in runs.items():
            done.append(at_rate(rate_hz, repeat))
            left.tell()
    figures: dict[str, Any] = {f'{rate_hz}fps': summarise(done) for rate_hz, done in runs.items()}
    if args.peak:
        rate_hz, tried = find_peak(args.peak, at_rate)
        print(f'highest rate with at most 5 % loss: {rate_hz or 0:.4g} Hz', flush=True)
        figures['peak'] = {'rate_hz': rate_hz, 'tried': tried}
        if rate_hz:
            best = summarise([at_rate(rate_hz, repeat + 1) for repeat in range(args.repeats)])
            figures['peak'] |= best
            figures = {**{key: value for key, value in best.items() if key.startswith(R2B)},
                       **figures}
    return figures


class Remaining:
    """Tells on a terminal how long the rest of the runs will take."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._start = total, 0, time.monotonic()

    def tell(self) -> None:
        """Count a run as done."""
        self._done += 1
        left_s = (time.monotonic() - self._start) / self._done * (self._total - self._done)
        if sys.stderr.isatty() and left_s:
            print(f'{self._done} of {self._total} runs, {left_s:.0f} s left', file=sys.stderr)


def labels_told(stage: Stage, source: BagSource, space: LabelSpace | None) -> dict[str, Any]:
    """Give for JSON what the label images are: hash, number, scores; print the score."""
    told = stage.outputs.label_space
    digest, count = hash_labels(stage.labels, stage.output)
    if space is None and told is not None:
        space = read_label_space(SimpleNamespace(**told), 'what the node tells on ~/label_space')
    scores = score_labels(source, stage.labels, stage.output, space)
    print(f'mIoU of {scores["frames"]} frames: {scores["miou"]:.4f}' if scores.get('miou')
          is not None else f'no scores: {scores.get("none", "no class can be scored")}')
    return {'scores': scores, 'labels_sha256': digest, 'labels_frames': count,
            'labels_differing': stage.outputs.differing}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='replay', description=__doc__.splitlines()[0],
        epilog='example: ros2 run frm_seg_ros replay drive --json drive.json --node '
               '"segmentation_node --ros-args -r image:=/camera/image"')
    add = parser.add_argument
    add('bag', metavar='BAG', help='PATH of a bag, or PATH#/image/topic#/truth/topic')
    add('--topic', default='', help='images in the bag (default: its only ones)')
    add('--truth-topic', default='', help='truth in the bag (default: its only one, if any)')
    add('--image', metavar='TOPIC', help='where to send (default: the topic of the bag)')
    add('--output', metavar='TOPIC', default='/frm_seg/label_image',
        help="the node's images; ~/stats and ~/label_space are looked for beside them "
             '(default: %(default)s)')
    add('--predictions-space', metavar='NAME', help='label space of the output, where the node '
        'does not publish it: a shipped one or a YAML file')
    add('--node', metavar='COMMAND', help='start this as the node; a program that is not on the '
        'PATH is looked for in this package (default: it runs already)')
    add('--pid', type=int, help='its process, where it runs already, to measure CPU and memory')
    add('--rates', type=_rates, default=None, metavar='HZ,HZ',
        help='rates to send at (default: 10,15,30,60)')
    add('--seconds', type=positive, default=5.0, metavar='S',
        help='length of a run (default: %(default)s)')
    add('--repeats', type=at_least_one, default=3, metavar='N',
        help='runs at each rate, in turn with the others (default: %(default)s)')
    add('--warm-up', type=at_least_one, default=10, metavar='N',
        help='frames before the first run (default: %(default)s)')
    add('--peak', type=positive, metavar='HZ',
        help='search the highest rate up to this that loses at most 5 %% of its frames')
    add('--lockstep', action='store_true',
        help='one run instead: send every frame once, each when the output of the last is here')
    add('--reliability', choices=['best_effort', 'reliable'],
        help='QoS of the images (default: best_effort as cameras, with --lockstep reliable)')
    add('--clock', action='store_true',
        help='publish the stamps on /clock, for a node with use_sim_time')
    add('--wait-timeout', type=positive, default=60.0, metavar='S',
        help='wait for the topics of the node so long (default: %(default)s)')
    add('--answer-timeout', type=positive, default=30.0, metavar='S',
        help='wait for the first output so long (default: %(default)s)')
    add('--limit-mb', type=at_least_one, default=2048, metavar='MB',
        help='memory that the images may take (default: %(default)s)')
    add('--json', metavar='FILE', help='write all figures there')
    return parser


def _rates(text: str) -> list[float]:
    return list(dict.fromkeys(positive(word) for word in text.split(',')))


def at_least_one(text: str) -> int:
    """Read an argument that is a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is less than 1')
    return value


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    args = parser.parse_args(argv)
    if args.node and args.pid:
        parser.error('--node starts the node, --pid names one that runs: give one of them')
    if args.lockstep and (args.rates or args.peak):
        parser.error('--lockstep has no rate: leave out --rates and --peak')
    args.rates = args.rates or list(RATES)
    args.reliability = args.reliability or ('reliable' if args.lockstep else 'best_effort')
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Replay; return the exit code: 0, 2 with one sentence on stderr, 130 when interrupted."""
    args = _arguments(argv)
    os.environ.update(child_environment())      # before rclpy starts: the profile is for us too
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(['ros2', 'run', 'frm_seg_ros', 'replay', *words])
    return run_with_node('replay', partial(_replay, args, command=command))


if __name__ == '__main__':
    sys.exit(main())
