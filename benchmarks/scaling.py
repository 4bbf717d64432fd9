"""Measure how the cost of a frame grows with pixels, batch and classes, on the CPU.

All weights are random: this compares speed, never labels. Cameras of one node are a batch, see
docs/node.md. Run it from the root of the repository, where `.[export]` and openvino are installed:

    PYTHONPATH=. python benchmarks/scaling.py --json benchmarks/results/scaling.json
"""
from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.synthetic import render_scene
from frm_seg_ros.tools.benchmark import SCENES, summarise, take_turns
from frm_seg_ros.tools.conditions import OtherPrograms, conditions
from frm_seg_ros.tools.evaluate import write_json
from frm_seg_ros.tools.random_model import export_random

# The camera sees as many pixels as the network takes, so that a row shows one size only.
SIZES = ((256, 512), (360, 480), (384, 768), (512, 1024), (768, 1536), (1024, 2048))
BATCHES = (1, 2, 4, 8)
CLASSES = (2, 11, 19, 40, 80, 150)
SIZE = (360, 480)   # of the sweeps over batch and classes


def _in_batches(segmenter: Segmenter, batch: int,
                size: tuple[int, int]) -> Callable[[Sequence[np.ndarray]], list[Prediction]]:
    """Make what `take_turns` calls with one image: it runs that image `batch` times at once."""
    def call(images: Sequence[np.ndarray]) -> list[Prediction]:
        return segmenter([resize_image(images[0], size)] * batch)
    return call


def sweep(name: str, values: Sequence[Any], variant: str, backend: str, rounds: int,
          folder: Path) -> dict[str, Any]:
    """Time one sweep, its values taking turns.

    Args:
        name: `pixels`, `batch` or `classes`.
        values: (height, width) of each size, else numbers.
        variant: as of `export_random`, without classes.
        backend: as of `Segmenter.open`.
        rounds: timed calls of each value.
        folder: for scratch.

    Returns:
        Its rows for JSON: the value, milliseconds a call by stage, and `per_image`, the median
        total divided by the batch.
    """
    scenes = [render_scene(seed).image for seed in range(SCENES)]
    with ExitStack() as stack:
        calls = []
        for value in values:
            size = value if name == 'pixels' else SIZE
            text = f'{variant},classes={value}' if name == 'classes' else variant
            card = export_random(text, folder / f'{name}{len(calls)}')
            segmenter = Segmenter(card, backend, 'cpu', size)
            stack.callback(segmenter.close)
            calls.append(_in_batches(segmenter, value if name == 'batch' else 1, size))
        others = OtherPrograms()
        times = take_turns(calls, scenes, 1, rounds)
        busy = others.cores()
    rows = [{'value': value, **summarise(own, times[0])} for value, own in zip(values, times)]
    for row in rows:
        batch = row['value'] if name == 'batch' else 1
        row['per_image'] = row['ms']['total']['median'] / batch
    return {'sweep': name, 'cores_busy_with_others': busy, 'rows': rows}


def table(result: dict[str, Any]) -> str:
    """Lay the sweeps out for a terminal."""
    lines = []
    for part in result['sweeps']:
        lines.append(f'{part["sweep"]:>12}  resize  network   decode    total  per image')
        for row in part['rows']:
            ms = {stage: figures['median'] for stage, figures in row['ms'].items()}
            value = row['value']
            text = 'x'.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            lines.append(f'{text:>12} {ms["resize"]:7.2f} {ms["network"]:8.2f} '
                         f'{ms["decode"]:8.2f} {ms["total"]:8.2f} {row["per_image"]:10.2f}')
    return '\n'.join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Time a variant with random weights over pixels, batch and classes.',
        epilog='example: PYTHONPATH=. python benchmarks/scaling.py --rounds 30')
    parser.add_argument('--variant', default='frm_b0_fast', help='(default: %(default)s)')
    parser.add_argument('--backend', default='openvino', help='(default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=30, help='(default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='where the figures go too')
    return parser.parse_args()


def main() -> None:
    """Run the three sweeps and print them."""
    args = _arguments()
    with TemporaryDirectory() as scratch:
        sweeps = [sweep(name, values, args.variant, args.backend, args.rounds, Path(scratch))
                  for name, values in (('pixels', SIZES), ('batch', BATCHES),
                                       ('classes', CLASSES))]
    result = {'note': 'all weights are random: this is speed only',
              'command': shlex.join(['python', *sys.argv]), **conditions(),
              'variant': args.variant, 'backend': args.backend, 'rounds': args.rounds,
              'size_of_batch_and_classes': list(SIZE), 'sweeps': sweeps}
    print(table(result))
    if args.json:
        write_json(args.json, result)


if __name__ == '__main__':
    try:
        main()
    except (ConfigError, ImportError) as error:
        print(f'scaling.py: {error}', file=sys.stderr)
        sys.exit(2)
