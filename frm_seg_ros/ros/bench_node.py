"""Time the node against its bare engine: what ROS costs, in one run, on the same frames.

Each round times three things, in an order that turns: the engine by itself (resize, network,
decoding, back to back), the node in lockstep, and the node under a flood of more frames than it
can take. Engine and node run the same model with the same number of threads; only label_image is
subscribed.
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
from typing import Any

import numpy as np
from rclpy.node import Node

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.core.size import parse_size
from frm_seg_ros.core.threads import VARIABLE
from frm_seg_ros.ros.command import run_with_node
from frm_seg_ros.ros.play import positive
from frm_seg_ros.ros.replay import at_least_one
from frm_seg_ros.ros.replay_run import Sender
from frm_seg_ros.ros.replay_stage import Stage
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.synthetic import render_scene
from frm_seg_ros.tools.conditions import conditions
from frm_seg_ros.tools.evaluate import write_json
from frm_seg_ros.tools.latency import Run, percentiles, summarise
from frm_seg_ros.tools.processes import ChildError, child_environment
from frm_seg_ros.tools.replay_frames import make_frames

LATENCY_GOAL, THROUGHPUT_GOAL = 1.15, 0.95
_FLOOD = 2.0        # so many times what the engine takes
_WARM_UP = 5
_WAIT_S = 60.0


def bench(args: argparse.Namespace, node: Node, stop: threading.Event, command: str) -> None:
    """Do what the module's docstring says; print a table and write the JSON file."""
    images = [resize_image(render_scene(seed).image, args.camera) for seed in range(args.frames)]
    frames = make_frames(images, rate_hz=10.0)
    segmenter = Segmenter.open(args.model, args.backend, 'cpu', precision=args.precision)
    for image in images[:_WARM_UP]:
        segmenter([image])
    stage_args = argparse.Namespace(pid=None, output='/frm_seg/label_image', wait_timeout=_WAIT_S)
    with TemporaryDirectory() as folder:
        stage = Stage(stage_args, node, '/bench_node/image', Path(folder), stop)
        try:
            stage.start_node(shlex.join([
                'segmentation_node', '--ros-args', '-r', f'image:={stage.image}', '-p',
                f'model:={segmenter.card.folder.resolve()}', '-p', f'backend:={args.backend}',
                '-p', 'device:=cpu', '-p', f'precision:={args.precision}', '-p',
                'exit_on_failure:=true']))
            sender = Sender(node, frames, stage.image, 'best_effort', False, stage.outputs, stop,
                            stage.check)
            stage.start_monitor(frames.loop.stamps_ns)
            stage.wait_listener(lambda: sender.connected)
            sender.warm_up(_WARM_UP, _WAIT_S)
            rounds = list(_rounds(args, segmenter, images, sender, stage))
            result = compare(rounds)
            used = [used for one in rounds for used in (one['lockstep'].processes,
                                                        one['flood'].processes)]
        except ChildError as error:
            raise ConfigError(' '.join(str(error).split())) from error
        finally:
            stage.close()
            segmenter.close()
    result = {
        'command': command, 'conditions': conditions(),
        'cpu_cores': cores(used),
        'threads': int(os.environ[VARIABLE]), 'model': segmenter.card.name,
        'backend': segmenter.backend.name, 'precision': segmenter.backend.precision,
        'network_size': list(segmenter.size), 'camera_size': list(args.camera),
        'rounds': len(rounds), 'frames': len(images),
        'real_time': os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR), **result}
    print(table(result))
    if args.json:
        write_json(args.json, result)


def cores(used: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Give the mean number of cores that node, player, monitor and all others kept busy."""
    found = {name: float(np.mean([one[name]['cpu_cores'] for one in used]))
             for name in ('node', 'player', 'monitor')}
    busy = np.mean([one['machine']['ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION']
                    for one in used]) / 100 * (os.cpu_count() or 1)
    return {**found, 'others': max(0.0, float(busy) - sum(found.values()))}


def _rounds(args: argparse.Namespace, segmenter: Segmenter, images: Sequence[np.ndarray],
            sender: Sender, stage: Stage) -> Any:
    """Yield what each round measured: `engine` (a list of ms), `lockstep` and `flood` (Run)."""
    capacity_hz = [1.0]

    def quiet(*_: int) -> None:
        stage.check()

    def engine() -> list[float]:
        times = [_time(segmenter, image) for image in images]
        capacity_hz[0] = 1e3 / float(np.median(times))
        return times

    def flood() -> Run:
        rate_hz = _FLOOD * capacity_hz[0]
        return sender.at_rate(rate_hz, round(rate_hz * args.seconds), stage.pids, quiet)

    parts: list[tuple[str, Callable[[], Any]]] = [
        ('engine', engine), ('lockstep', lambda: sender.lockstep(stage.pids, quiet)),
        ('flood', flood)]
    engine()        # once for the rate of the flood
    for index in range(args.rounds):
        turned = parts[index % 3:] + parts[:index % 3]
        yield {name: measure() for name, measure in turned}
        print(f'round {index + 1} of {args.rounds} done', file=sys.stderr, flush=True)


def _time(segmenter: Segmenter, image: np.ndarray) -> float:
    """Give milliseconds of resize, network and decoding."""
    start = time.perf_counter()
    segmenter([image])
    return 1e3 * (time.perf_counter() - start)


def compare(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give the figures of engine and node and their ratios, over all rounds and round by round.

    `latency_ratio`: p50 from the sending of a frame to the receipt of its labels in another
    process, over p50 of the engine. `in_node_ratio`: the same from the arrival in the node to the
    end of publishing. `throughput_ratio`: outputs a second under flood over engine calls a second.
    """
    engine = np.concatenate([one['engine'] for one in rounds])
    lockstep = summarise([one['lockstep'] for one in rounds])
    flood = summarise([one['flood'] for one in rounds])
    engine_hz = 1e3 / float(engine.mean())
    floods_hz = [output_hz(one['flood']) for one in rounds]
    p50 = float(np.median(engine))
    found = {
        'latency_ratio': lockstep['latency_ms']['p50'] / p50,
        'in_node_ratio': lockstep['in_node_ms']['p50'] / p50,
        'throughput_ratio': float(np.mean(floods_hz)) / engine_hz,
        'latency_ratio_by_round': [float(np.median(one['lockstep'].latencies_ms)
                                         / np.median(one['engine'])) for one in rounds],
        'throughput_ratio_by_round': [hz * float(np.mean(one['engine'])) / 1e3
                                      for hz, one in zip(floods_hz, rounds)],
    }
    return {
        **found,
        'goals': {'latency_ratio': LATENCY_GOAL, 'throughput_ratio': THROUGHPUT_GOAL},
        'reached': bool(found['latency_ratio'] <= LATENCY_GOAL
                        and found['throughput_ratio'] >= THROUGHPUT_GOAL),
        'engine_ms': percentiles(engine), 'engine_hz': engine_hz,
        'flood_hz': float(np.mean(floods_hz)), 'lockstep': lockstep, 'flood': flood}


def output_hz(run: Run) -> float:
    """Give outputs a second between the first and the last."""
    times = list(run.received.values())
    if len(times) < 2:
        raise ConfigError(f'only {len(times)} outputs came under flood: give more --seconds')
    return 1e9 * (len(times) - 1) / (times[-1] - times[0])


def table(result: dict[str, Any]) -> str:
    """Lay out the result for a terminal."""
    engine, latency = result['engine_ms'], result['lockstep']['latency_ms']
    stages = ', '.join(f'{stage} {figures["p50"]:.2f}'
                       for stage, figures in result['lockstep']['stages_ms'].items())
    shares = ', '.join(f'{name} {value:.2f}' for name, value in result['cpu_cores'].items())
    return '\n'.join([
        f'{result["model"]}, {result["backend"]} {result["precision"]}, {result["threads"]} '
        f'thread(s), camera {"x".join(map(str, result["camera_size"]))}, {result["rounds"]} '
        f'rounds of {result["frames"]} frames',
        f'engine: p50 {engine["p50"]:.2f} p99 {engine["p99"]:.2f} ms, '
        f'{result["engine_hz"]:.2f} frames a second',
        f'node, sender to monitor: p50 {latency["p50"]:.2f} p99 {latency["p99"]:.2f} ms; '
        f'under flood {result["flood_hz"]:.2f} frames a second',
        f'in the node, p50 in ms: {stages}',
        f'latency {result["latency_ratio"]:.3f} x the engine (goal: <= {LATENCY_GOAL}), in the '
        f'node {result["in_node_ratio"]:.3f} x',
        f'throughput {result["throughput_ratio"]:.3f} x the engine (goal: >= {THROUGHPUT_GOAL})',
        f'cores busy: {shares}'])


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; return 0, 2 with one sentence on stderr, or 130."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog='python -m frm_seg_ros.ros.bench_node', description=__doc__.splitlines()[0],
        epilog='example: make bench-node')
    add = parser.add_argument
    add('--model', default='frm_b0_fast', help='default: %(default)s')
    add('--backend', default='openvino', help='default: %(default)s')
    add('--precision', default='auto', help='default: %(default)s')
    add('--threads', type=at_least_one, default=1, metavar='N',
        help='of the engine, in both (default: %(default)s)')
    add('--rounds', type=at_least_one, default=12, metavar='N', help='default: %(default)s')
    add('--camera', type=parse_size, default=(720, 1280), metavar='HEIGHTxWIDTH',
        help='size of the frames, which are rendered streets (default: 720x1280)')
    add('--frames', type=at_least_one, default=16, metavar='N',
        help='for the engine and in lockstep, in each round (default: %(default)s)')
    add('--seconds', type=positive, default=3.0, metavar='S',
        help='of flood in each round (default: %(default)s)')
    add('--json', metavar='FILE', help='write all figures there')
    args = parser.parse_args(words)
    if not all(args.camera):
        parser.error('--camera wants a HEIGHTxWIDTH of at least 1x1')
    os.environ.update(child_environment())
    os.environ[VARIABLE] = str(args.threads)
    command = shlex.join(['python', '-m', 'frm_seg_ros.ros.bench_node', *words])
    return run_with_node('bench_node', partial(bench, args, command=command))


if __name__ == '__main__':
    sys.exit(main())
