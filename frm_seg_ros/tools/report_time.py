"""Scores and times along the recording, for the report."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from frm_seg_ros.tools import report_charts as charts
from frm_seg_ros.tools.details import latencies_ms, percentiles_ms
from frm_seg_ros.tools.evaluation import Evaluation, Sample
from frm_seg_ros.tools.report_frames import anchor_of
from frm_seg_ros.tools.report_page import facts, section, table, tiles

_POINTS = 1500      # of a line, at most: more than a screen shows
_STAGES = {'pre': 'resize to network size', 'inference': 'inference with decoding',
           'decode': 'of that, decoding'}


def series(evaluation: Evaluation, marked: Sequence[Sample]) -> str:
    """Draw mIoU of every camera along the recording; marked frames lead to their pictures."""
    times, unit = _times(evaluation)
    cameras = list(evaluation.cameras())
    links = [(times[sample.index], sample.score.miou, anchor_of(sample, cameras),
              f'{sample.frame.stamp_ns * 1e-9:.3f} s: mIoU {sample.score.miou:.3f}')
             for sample in marked]
    lines, step = _lines(evaluation, times, evaluation.mious())
    return section('mIoU along the recording', charts.curves(lines, unit, links=links),
                   'Every frame by itself; a small class weighs as much as a large one. Red '
                   f'points lead to the worst frames.{_thinned(step)}')


def timing(evaluation: Evaluation) -> str:
    """Tell how long the frames took; nothing where that was not measured."""
    latencies = latencies_ms(evaluation)
    known = latencies[~np.isnan(latencies)]
    if not len(known):
        return ''
    figures = {name: _ms(value) for name, value in percentiles_ms(latencies).items()}
    times, unit = _times(evaluation)
    lines, step = _lines(evaluation, times, latencies)
    along = charts.curves(lines, unit, charts.nice_top(known.max()))
    rows = [[text, *(f'{value:.1f}' for value in np.percentile(
        [frame.times_ms[stage] for frame in evaluation.counts if frame.times_ms], (50, 90, 99)))]
        for stage, text in _STAGES.items()]
    return ('<div class="pair" id="times">' + section(
        'Time of a frame', tiles(figures) + charts.histogram(known.tolist(), 'ms'),
        'From the image in memory to its labels, on this machine and under its load at the time; '
        'without the first frame of a process, which warms up.')
        + section('Time along the recording', along + table(
            ['milliseconds', 'p50', 'p90', 'p99'], rows), f'In milliseconds.{_thinned(step)}')
        + '</div>')


def delivery(latency_ms: Sequence[float], accounts: Mapping[str, str] | None) -> str:
    """Tell what became of the frames and how long they took; nothing where none was sent."""
    parts = []
    if accounts:
        parts.append(section('What became of the frames', facts(accounts)))
    if len(latency_ms):
        figures = {f'p{rank}': _ms(float(np.percentile(latency_ms, rank)))
                   for rank in (50, 90, 99)}
        parts.append(section('Latency', tiles(figures) + charts.histogram(latency_ms, 'ms'),
                             'From the sending of the image to the receipt of its labels, each '
                             'in a process of its own.'))
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ''


def _ms(value: float) -> str:
    return f'{value:.1f} ms' if value < 1000 else f'{value:,.0f} ms'


def _times(evaluation: Evaluation) -> tuple[np.ndarray, str]:
    """Give a time to every frame: seconds from the first, or numbers where stamps go back."""
    stamps = np.array([frame.stamp_ns for frame in evaluation.counts])
    cameras = evaluation.cameras().values()
    if all(np.all(np.diff(stamps[places]) > 0) for places in cameras):
        return (stamps - stamps.min()) * 1e-9, 's'
    times = np.empty(len(stamps))
    for places in cameras:
        times[places] = np.arange(len(places))
    return times, 'frames'


def _lines(evaluation: Evaluation, times: np.ndarray, values: np.ndarray
           ) -> tuple[dict[str, tuple[list[float], list[float]]], int]:
    """Make a line of every camera, and tell of how many frames each of its points is the mean."""
    step = -(-max(map(len, evaluation.cameras().values())) // _POINTS)
    return {camera: (_means(times[places], step), _means(values[places], step))
            for camera, places in evaluation.cameras().items()}, step


def _means(values: np.ndarray, step: int) -> list[float]:
    return [float(values[start:start + step].mean()) for start in range(0, len(values), step)]


def _thinned(step: int) -> str:
    return f' A point of the line is the mean of {step} frames.' if step > 1 else ''
