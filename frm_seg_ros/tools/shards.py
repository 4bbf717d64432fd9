"""An evaluation in parts: runs of frames of a source, and the sum of the parts."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.bounds import read_json
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.sources.base import FrameSource
from frm_seg_ros.tools.details import frames_from_json
from frm_seg_ros.tools.evaluation import Evaluation


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`, from 0 on: a source is cut into so many runs of frames.

    Raises:
        ConfigError: if there is no such part.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ConfigError(f'there is no part {self.index}/{self.count}: parts are counted '
                              'from 0 on, such as 0/4, 1/4, 2/4 and 3/4')

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `INDEX/COUNT`, such as `0/4`.

        Raises:
            ConfigError: if it is none, or there is no such part.
        """
        index, _, count = text.partition('/')
        if not (index.isdecimal() and count.isdecimal()):
            raise ConfigError(f'{text!r} is no part INDEX/COUNT: write it as 0/4')
        return cls(int(index), int(count))

    def bounds(self, frames: int) -> tuple[int, int]:
        """Give the first frame of the part and the one after its last, of so many frames."""
        return (self.index * frames // self.count, (self.index + 1) * frames // self.count)

    def record(self, source: FrameSource) -> dict[str, Any]:
        """Tell for JSON which part of the whole source it is, and what its classes are."""
        classes = source.label_space.classes if source.label_space else ()
        return {'index': self.index, 'count': self.count, 'of_frames': len(source),
                'first': self.bounds(len(source))[0],
                'categories': {label.name: label.category for label in classes}}


class ShardSource:
    """The frames of one part, and the one before, with which the first is compared.

    Attributes:
        label_space, rate_hz: those of the whole source.
        first: place of the part's first frame in the whole source, from 0 on.
        lead: 1 where the one before comes first, else 0.
    """

    def __init__(self, source: FrameSource, shard: Shard) -> None:
        self.label_space, self.rate_hz = source.label_space, source.rate_hz
        self._source = source
        self.first, self._end = shard.bounds(len(source))
        self._last = shard.index + 1 == shard.count
        self.lead = int(0 < self.first < self._end)

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Frame]:
        """Yield its frames; sources that can read a single frame read no others."""
        read = getattr(self._source, 'frame', None)
        if read:
            return map(read, self._chosen)
        # to its end, or the source does not tell what it had to leave out
        return islice(self._source, self._chosen.start, None if self._last else self._end)

    @property
    def _chosen(self) -> range:
        return range(self.first - self.lead, self._end)


def find_done(path: str | Path, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Find the result of a part that an earlier run wrote; None where there is no file.

    Args:
        path: where the part's JSON goes.
        told: what has to be the same for it to be the same part, as the JSON tells it.

    Raises:
        ConfigError: if the file is no such part.
    """
    if not Path(path).exists():
        return None
    found = read_part(path)
    _same(str(path), found, told, 'this run')
    return found


def read_part(path: str | Path) -> dict[str, Any]:
    """Read the JSON of a part.

    Raises:
        ConfigError: if it cannot be read, or holds no part.
    """
    try:
        part = read_json(path)
        if not isinstance(part['shard'], dict) or not isinstance(part['scored'], list):
            raise ValueError('it holds something else')
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise ConfigError(f'{path} is no part of an evaluation ({type(error).__name__}: {error}): '
                          'write it with eval --shard, or name another file') from error
    return part


def _same(name: str, found: Mapping[str, Any], wanted: Mapping[str, Any], other: str) -> None:
    for key, value in wanted.items():
        if found.get(key) != value:
            raise ConfigError(f'{name} has the {key} {_short(found.get(key))}, {other} '
                              f'{_short(value)}: name parts of one evaluation only')


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f'{text[:77]}...'


def read_parts(paths: Sequence[str | Path], same: Callable[[Mapping[str, Any]], dict[str, Any]]
               ) -> list[dict[str, Any]]:
    """Read all parts of one evaluation, in their order.

    Args:
        paths: their files, in any order.
        same: picks what must be alike in all parts, `shard` aside.

    Raises:
        ConfigError: if one is no part or of another evaluation, or one is missing or there twice.
    """
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    first: dict[str, Any] = {}
    for path in paths:
        part = read_part(path)
        first = first or part
        _same(str(path), part, same(first), str(paths[0]))
        _same(f'the shard of {path}', part['shard'],
              {key: value for key, value in first['shard'].items()
               if key not in ('index', 'first')},
              str(paths[0]))
        index = part['shard']['index']
        if index in found:
            raise ConfigError(f'{found[index][0]} and {path} are both part {index}/'
                              f'{part["shard"]["count"]}: name every part once')
        found[index] = (str(path), part)
    missing = sorted(set(range(first['shard']['count'])) - set(found))
    if missing:
        raise ConfigError(f'of {first["shard"]["count"]} parts {", ".join(map(str, missing[:9]))}'
                          f'{" ..." if len(missing) > 9 else ""} are missing: name every part, '
                          'or run them')
    return [found[index][1] for index in sorted(found)]


def sum_parts(parts: Sequence[Mapping[str, Any]],
              space: LabelSpace | None = None) -> Evaluation:
    """Add up what the parts counted, in their order; the sum has no samples.

    Args:
        parts: what `read_parts` gives.
        space: that of the truth; None where only the parts tell, which know no colours.
    """
    total = Evaluation(space or _space_of(parts[0]), 0)
    for part in parts:
        total.confusion.counts += np.array(part['confusion'])
        total.boundary.sums += np.array(part['boundary']['sums_in_millionths'])
        total.boundary.frames += np.array(part['boundary']['frames'])
        known = part['calibration']
        if known:
            total.calibration.counts += np.array([known['wrong_by_confidence'],
                                                  known['right_by_confidence']])
        total.counts += frames_from_json(part)
    return total


def _space_of(part: Mapping[str, Any]) -> LabelSpace:
    """Make a label space of the names and categories that a part tells, all black."""
    labels = [Label(name, index, index, category, (0, 0, 0)) for index, (name, category)
              in enumerate(part['shard']['categories'].items())]
    return LabelSpace(part['label_space'], tuple(labels))
