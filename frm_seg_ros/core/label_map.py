"""Maps between label spaces: what a class of one means in the other."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from frm_seg_ros.core.bounds import read_yaml
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.label_space import IGNORE, LabelSpace


@dataclass(frozen=True)
class LabelMap:
    """A class of `target` for every class of `origin` that has one; several may have the same.

    Attributes:
        name: such as `camvid-cityscapes`, or the path of one's own file.
        origin: the space that is mapped, a model's.
        target: the space into which it is mapped, that of the truth.
        rows: (class of origin, class of target) by name.
        unmapped: classes of origin that have no counterpart.

    Raises:
        ConfigError: if a name is unknown, or a class of `origin` is missing or there twice.
    """

    name: str
    origin: LabelSpace
    target: LabelSpace
    rows: tuple[tuple[str, str], ...]
    unmapped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sources = [row[0] for row in self.rows] + list(self.unmapped)
        _refuse(self.name, sorted(set(sources) - set(self.origin.names)),
                f'is no class of {self.origin.name}: take its names, without ignored labels')
        _refuse(self.name, sorted({row[1] for row in self.rows} - set(self.target.names)),
                f'is no class of {self.target.name}: take its names, without ignored labels')
        _refuse(self.name, sorted({name for name in sources if sources.count(name) > 1}),
                'is there more than once: give every class one row')
        _refuse(self.name, [name for name in self.origin.names if name not in sources],
                f'is missing: give every class of {self.origin.name} a row, or list it in '
                'unmapped')

    @cached_property
    def table(self) -> np.ndarray:
        """Look up the target's train id of a train id: (256,) uint8; 255 where there is none."""
        table = np.full(256, IGNORE, np.uint8)
        for source, target in self.rows:
            table[self.origin.names.index(source)] = self.target.names.index(target)
        return table

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the target's classes that a class leads to, in the target's order."""
        reached = {target for _, target in self.rows}
        return tuple(name for name in self.target.names if name in reached)

    @cached_property
    def _counted(self) -> np.ndarray:
        table = np.full(256, IGNORE, np.uint8)
        reached = [self.target.names.index(name) for name in self.classes]
        table[reached] = reached
        return table

    def map_labels(self, labels: np.ndarray) -> np.ndarray:
        """Map labels of the origin to the target: (H, W) uint8; 255 for unmapped classes."""
        return self.table.take(labels)

    def restrict_truth(self, truth: np.ndarray) -> np.ndarray:
        """Give the target's truth with 255 for classes not in `classes`: (H, W) uint8."""
        return self._counted.take(truth)

    @classmethod
    def load(cls, origin: LabelSpace, target: LabelSpace, path: str | Path | None = None
             ) -> LabelMap:
        """Read the shipped map between two spaces, or one's own file.

        Raises:
            ConfigError: if there is no such file, it is no map, or it is one of other spaces.
        """
        folder = share_dir() / 'config' / 'labels' / 'map'
        file = Path(path) if path else folder / f'{origin.name}-{target.name}.yaml'
        if not file.is_file():
            raise ConfigError(_no_map(origin, target, file, folder))
        try:
            facts = read_yaml(file)
            spaces = (str(facts['from']), str(facts['to']))
            rows = tuple((str(row['from']), str(row['to'])) for row in facts['classes'])
            unmapped = tuple(map(str, facts['unmapped']))
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f'{file} is not a label map ({type(error).__name__}: {error}): it needs from, to, '
                'classes with from and to in every row, and a list unmapped') from error
        if spaces != (origin.name, target.name):
            raise ConfigError(f'the label map {file} leads from {spaces[0]} to {spaces[1]}, '
                              f'wanted from {origin.name} to {target.name}: name another file')
        return cls(str(path) if path else file.stem, origin, target, rows, unmapped)


def _refuse(name: str, classes: Iterable[str], why: str) -> None:
    found = ', '.join(classes)
    if found:
        raise ConfigError(f'in the label map {name}, {found} {why}')


def _no_map(origin: LabelSpace, target: LabelSpace, file: Path, folder: Path) -> str:
    known = ', '.join(sorted(item.stem for item in folder.glob('*.yaml')))
    return (f'the labels of the model are in the label space {origin.name}, the truth is in '
            f'{target.name}, and there is no label map {file}: write it (shipped are {known}), '
            f'name one with --map FILE, or choose a model trained for {target.name}')
