"""Speed of models and backends, bare of ROS, stage by stage: they take turns in one process.

Differences of a few per cent drown in what a machine does over minutes, so every candidate runs
once in each round, and each round begins with another one. Before its timed call a candidate makes
an untimed one, since the others have emptied the caches of the CPU.
"""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.precision import PrecisionError
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.segmenter import LARGEST, Segmenter
from frm_seg_ros.sources.synthetic import render_scene
from frm_seg_ros.tools.conditions import OtherPrograms, conditions
from frm_seg_ros.tools.progress import track

RANDOM = 'random:'
WARM_UP_ROUNDS = 2
# Rendered streets: how long decoding takes depends on how many borders a picture has.
SCENES = 8
Times = dict[str, list[float]]


def run_benchmark(models: Sequence[str], backends: Sequence[str], *,
                  precisions: Sequence[str] = ('auto',), device: str = 'auto',
                  size: tuple[int, int] | None = None, camera: tuple[int, int] = (720, 1280),
                  batch: int = 1, rounds: int = 100, command: str = '') -> dict[str, Any]:
    """Do what `frm-seg bench` does: time every model on every backend in every precision.

    Args:
        models: each the name or folder of a model, or `random:VARIANT,KEY=VALUE,...`.
        backends: each as in `Segmenter.open`.
        precisions: likewise; of several, those that a backend does not do are left out.
        device: likewise.
        size: (height, width) at which all networks run; the first model's own when None.
        camera: (height, width) of the images.
        batch: images in a call.
        rounds: timed calls of each candidate.
        command: the exact command, for the record.

    Returns:
        What `benchmark` does, and `left_out`, a line for each that was not timed.

    Raises:
        ConfigError: if a model, backend, precision, size or count is wrong.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        cards = [open_card(model, folder / str(index)) for index, model in enumerate(models)]
        segmenters: list[Segmenter] = []
        left_out: list[str] = []
        for card, backend, precision in product(cards, backends, precisions):
            try:
                segmenters.append(Segmenter(card, backend, device, size or cards[0].input_size,
                                            precision=precision))
            except PrecisionError as error:
                if len(precisions) == 1:
                    raise
                left_out.append(f'{card.name}, {backend}, {precision}: {error}')
            else:
                stack.callback(segmenters[-1].close)
        if not segmenters:
            raise ConfigError(f'nothing is left to time: {left_out[0]}')
        return {**benchmark(segmenters, camera, batch, rounds, command), 'left_out': left_out}


def open_card(model: str, folder: Path) -> ModelCard:
    """Read a model's card; a `random:VARIANT,KEY=VALUE,...` is first written into `folder`.

    Raises:
        ConfigError: if there is no such model, or none can be built.
    """
    if not model.startswith(RANDOM):
        return ModelCard.load(model)
    from frm_seg_ros.tools.random_model import export_random
    return replace(export_random(model.removeprefix(RANDOM), folder), name=model)


def benchmark(segmenters: Sequence[Segmenter], camera: tuple[int, int], batch: int, rounds: int,
              command: str) -> dict[str, Any]:
    """Time segmenters against one another.

    Args:
        segmenters: at least one, all of the same network size; the first is the yardstick.
        camera: (height, width) of the images.
        batch: images in a call.
        rounds: timed calls of each segmenter.
        command: the exact command, for the record.

    Returns:
        For JSON: the conditions, and `candidates`, each with its facts, with `ms`, the median, p99
        and min in milliseconds a call of `resize`, `network` (normalising included), `decode`,
        `total` and `cpu` (CPU time of all threads), and with `ratio`, its median total over that
        of the first.

    Raises:
        ConfigError: if a size or count is impossible.
    """
    _check(camera, batch, rounds)
    scenes = [resize_image(render_scene(seed).image, camera) for seed in range(SCENES)]
    others = OtherPrograms()
    times = take_turns(segmenters, scenes, batch, rounds)
    busy_cores = others.cores()
    return {
        'command': command, **conditions(), 'cores_busy_with_others': busy_cores,
        'network_size': list(segmenters[0].size), 'camera_size': list(camera), 'batch': batch,
        'rounds': rounds, 'warm_up_rounds': WARM_UP_ROUNDS,
        'candidates': [{**_facts(segmenter), **summarise(own, times[0])}
                       for segmenter, own in zip(segmenters, times)],
    }


def _check(camera: tuple[int, int], batch: int, rounds: int) -> None:
    if not 1 <= min(camera) <= max(camera) <= LARGEST:
        raise ConfigError(f'the camera size is {camera[0]}x{camera[1]}: take one from 1x1 to '
                          f'{LARGEST}x{LARGEST}')
    for name, count in (('batch', batch), ('rounds', rounds)):
        if count < 1:
            raise ConfigError(f'{name} is {count}: take 1 or more')


def take_turns(segmenters: Sequence[Segmenter], scenes: Sequence[np.ndarray], batch: int,
               rounds: int) -> list[Times]:
    """Run the segmenters round by round; give each one's milliseconds by stage.

    Args:
        segmenters: at least one.
        scenes: images (H, W, 3) uint8 RGB; each round takes the next `batch` of them.
        batch: images in a call.
        rounds: timed rounds, which follow `WARM_UP_ROUNDS` untimed ones.
    """
    times: list[Times] = [{} for _ in segmenters]
    for turn in track(range(WARM_UP_ROUNDS + rounds), WARM_UP_ROUNDS + rounds, 'rounds'):
        images = [scenes[(turn + i) % len(scenes)] for i in range(batch)]
        for k in range(len(segmenters)):
            candidate = (turn + k) % len(segmenters)
            stages = _call(segmenters[candidate], images)
            if turn >= WARM_UP_ROUNDS:
                for stage, milliseconds in stages.items():
                    times[candidate].setdefault(stage, []).append(milliseconds)
    return times


def _call(segmenter: Segmenter, images: Sequence[np.ndarray]) -> dict[str, float]:
    segmenter(images)
    cpu_s = time.process_time()
    told = segmenter(images)[0].times_ms
    cpu_s = time.process_time() - cpu_s
    return {'resize': told['pre'], 'network': told['inference'] - told['decode'],
            'decode': told['decode'], 'total': told['pre'] + told['inference'],
            'cpu': 1e3 * cpu_s}


def summarise(times: Times, first: Times) -> dict[str, Any]:
    """Reduce milliseconds by stage to median, p99 and min, and compare the totals' medians."""
    stages = {stage: {'median': float(np.median(values)), 'p99': float(np.percentile(values, 99)),
                      'min': min(values)} for stage, values in times.items()}
    return {'ms': stages, 'ratio': float(np.median(times['total']) / np.median(first['total']))}


def _facts(segmenter: Segmenter) -> dict[str, Any]:
    card = segmenter.card
    return {'model': card.name, 'trained_on': card.trained_on, 'architecture': card.architecture,
            'sha256': card.files, 'backend': segmenter.backend.name,
            'device': segmenter.backend.device, 'precision': segmenter.backend.precision}


def benchmark_table(result: Mapping[str, Any]) -> str:
    """Lay out the result of `benchmark` for a terminal, one candidate a line."""
    size, camera = ('x'.join(map(str, result[key])) for key in ('network_size', 'camera_size'))
    rows = [('model', 'backend', 'precision', 'resize', 'network', 'decode', 'total', 'p99', 'min',
             'cpu', 'ratio'), *(_row(candidate) for candidate in result['candidates'])]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['  '.join(cell.ljust(width) if place < 3 else cell.rjust(width)
                       for place, (cell, width) in enumerate(zip(row, widths))) for row in rows]
    return '\n'.join([
        f'network {size}, camera {camera}, batch {result["batch"]}, {result["rounds"]} rounds; '
        'milliseconds a batch: medians, p99 and min of the total, cpu of all threads', *lines,
        f'{result["cpu"]}, {result["allowed_cores"]} of {result["cores"]} cores; '
        f'{_others(result["cores_busy_with_others"])}'])


def _row(candidate: Mapping[str, Any]) -> tuple[str, ...]:
    ms = candidate['ms']
    values = [ms[stage]['median'] for stage in ('resize', 'network', 'decode', 'total')]
    values += [ms['total']['p99'], ms['total']['min'], ms['cpu']['median']]
    return (candidate['model'], f'{candidate["backend"]} {candidate["device"]}',
            candidate['precision'], *(f'{value:.2f}' for value in values),
            f'{candidate["ratio"]:.2f}')


def _others(cores: float | None) -> str:
    if cores is None:
        return 'what other programs did meanwhile is not known'
    return f'other programs kept {cores:.2f} cores busy meanwhile'
