"""Runs of `eval` over the same frames, put side by side."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from frm_seg_ros.core.bootstrap import LEVEL, difference_interval
from frm_seg_ros.core.bounds import read_json
from frm_seg_ros.core.errors import ConfigError

# What runs must have alike, beside their frames, to be compared.
_ALIKE = ('source', 'bag_options', 'shard', 'label_space', 'classes')
CALIBRATION, FLICKER = 'calibration error (0 is best)', 'flicker (0 is best)'
TIME = 'ms a frame, p50'
LOW_IS_BEST = (CALIBRATION, FLICKER)
_NOTHING = 'the difference means nothing'


@dataclass(frozen=True)
class Run:
    """One run of `eval`.

    Attributes:
        letter: A for the first, B for the second ...
        path: its JSON file.
        result: what that holds.
        stamps_ns: (frames,) int64, stamps of the scored frames.
        counts: (frames, 2, classes) int64, intersection and union of every class by frame.
    """

    letter: str
    path: str
    result: dict[str, Any]
    stamps_ns: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Difference:
    """mIoU of a run less that of the first run.

    Attributes:
        first, second: letters of the runs.
        value: the difference; NaN where one has no mIoU.
        low, high: its paired 95 % interval over frames; NaN where there is none.
    """

    first: str
    second: str
    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """Say what the difference is and what it means."""
        interval = (f'{LEVEL:.0%} interval {self.low:+.4f} to {self.high:+.4f}'
                    if self.low == self.low else 'too few frames for an interval')
        meaning = (f'{self.second} is better than {self.first}' if self.low > 0 else
                   f'{self.first} is better than {self.second}' if self.high < 0 else _NOTHING)
        return f'mIoU, {self.second} less {self.first}: {self.value:+.4f}, {interval}: {meaning}'


def read_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Read runs that can be compared, frame by frame.

    Raises:
        ConfigError: if there are fewer than two or too many, one cannot be read, or they are over
            different frames, sources, classes or truths.
    """
    if not 2 <= len(paths) <= len(ascii_uppercase):
        raise ConfigError(f'{len(paths)} files were named, wanted 2 to {len(ascii_uppercase)}: '
                          'name the JSON files of runs of eval')
    runs = [_read_run(letter, str(path)) for letter, path in zip(ascii_uppercase, paths)]
    for run in runs[1:]:
        _check_alike(runs[0], run)
    return runs


def _read_run(letter: str, path: str) -> Run:
    try:
        result = read_json(path)
        known = result['per_frame']
        counts = np.array([known['intersection'], known['union']], np.int64)
        stamps = np.array(known['stamp_ns'], np.int64)
        if counts.shape != (2, len(stamps), len(result['iou'])):
            raise ValueError(f'counts of the shape {counts.shape} for {len(stamps)} frames')
        return Run(letter, path, result, stamps, counts.transpose(1, 0, 2))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'{path} holds no counts by frame ({type(error).__name__}: {error}): '
                          'write it with eval --json') from error


def _check_alike(first: Run, other: Run) -> None:
    """Make sure that two runs scored the same frames against the same truth."""
    for key in _ALIKE:
        ours, theirs = (json.dumps(run.result.get(key)) for run in (first, other))
        if ours != theirs:
            raise ConfigError(f'{other.path} has the {key} {_short(theirs)} and {first.path} '
                              f'{_short(ours)}: compare runs over the same frames')
    if not np.array_equal(first.stamps_ns, other.stamps_ns):
        raise ConfigError(f'{other.path} scored {len(other.stamps_ns)} frames and {first.path} '
                          f'{len(first.stamps_ns)}, not all of the same stamps: compare runs over '
                          'the same frames')
    if _truth_pixels(first) != _truth_pixels(other):
        raise ConfigError(f'{other.path} and {first.path} have different numbers of true pixels: '
                          'the truth was changed in between, run both again')


def _truth_pixels(run: Run) -> list[int]:
    return [sum(row) for row in run.result['confusion']]


def _short(text: str) -> str:
    return text if len(text) <= 80 else f'{text[:77]}...'


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Compare mIoU of every run with that of the first."""
    first = runs[0]
    return [Difference(first.letter, run.letter,
                       _value(run.result['miou']) - _value(first.result['miou']),
                       *difference_interval(first.counts, run.counts)) for run in runs[1:]]


def rows_of(runs: Sequence[Run]) -> list[list[str]]:
    """Lay out the scores: name, a value a run, and for all but the first the difference to it."""
    scores = [scores_of(run) for run in runs]
    return [[name, *(_number(one[name]) for one in scores),
             *(_number(one[name] - scores[0][name], '+') for one in scores[1:])]
            for name in scores[0]]


def head_of(runs: Sequence[Run]) -> list[str]:
    """Name the columns of `rows_of`."""
    return ['', *(run.letter for run in runs),
            *(f'{run.letter} - {runs[0].letter}' for run in runs[1:])]


def scores_of(run: Run) -> dict[str, float]:
    """Give all scores of a run by name; NaN where there is none."""
    result = run.result
    found = {name: result.get(name) or {} for name in ('calibration', 'flicker', 'timing')}
    return {name: _value(value) for name, value in {
        **{f'IoU {name}': value for name, value in result['iou'].items()},
        'mIoU': result['miou'],
        'frequency-weighted IoU': result['frequency_weighted_iou'],
        'pixel accuracy': result['pixel_accuracy'],
        'boundary F': result['boundary']['f'],
        CALIBRATION: found['calibration'].get('error'),
        FLICKER: found['flicker'].get('share'),
        TIME: found['timing'].get('latency_ms', {}).get('p50'),
    }.items()}


def _value(value: float | None) -> float:
    return float('nan') if value is None else value


def _number(value: float, sign: str = '') -> str:
    return f'{value:{sign}.3f}' if value == value else '–'


def name_of(run: Run) -> str:
    """Name a run by its letter and by what was scored."""
    return f'{run.letter}: {run.result.get("model") or run.result.get("predictions")}'


def facts_of(run: Run) -> dict[str, str]:
    """Tell what a run is."""
    keys = ('model', 'model_sha256', 'predictions', 'backend', 'precision', 'size', 'scales',
            'flip', 'map', 'command')
    known = {key: run.result.get(key) for key in keys}
    return {'file': run.path, **{key: str(value) for key, value in known.items()
                                 if value is not None}}


def comparison_text(runs: Sequence[Run]) -> str:
    """Lay out a comparison for a terminal."""
    names = [f'{name_of(run)} ({run.path})' for run in runs]
    lines = [head_of(runs), *rows_of(runs)]
    width = max(len(line[0]) for line in lines)
    laid_out = [f'{line[0]:<{width}}' + ''.join(f'{cell:>9}' for cell in line[1:])
                for line in lines]
    return '\n'.join([*names, *laid_out, *(found.words for found in differences(runs))])
