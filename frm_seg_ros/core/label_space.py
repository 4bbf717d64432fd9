"""Label spaces: the classes of a data set, their ids, train ids, categories and colours."""
from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from frm_seg_ros.core.bounds import MAX_YAML_BYTES, load_yaml, read_text
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir

IGNORE = 255
LABELS = 'labels.yaml'     # the label space that lies beside a model or beside frames


@dataclass(frozen=True)
class Label:
    """One row of a label space.

    Attributes:
        name: the class's name.
        id: the data set's own id; -1 where it has none in label images.
        train_id: 0, 1, 2 ... in order, or 255 when ignored.
        category: name of the group that the class belongs to.
        color: RGB, each 0..255.
    """

    name: str
    id: int
    train_id: int
    category: str
    color: tuple[int, int, int]

    @property
    def ignored(self) -> bool:
        """Tell whether the label is left out of training and scores."""
        return self.train_id == IGNORE


@dataclass(frozen=True)
class LabelSpace:
    """An ordered table of labels with its look-up tables.

    Attributes:
        name: such as `camvid`.
        labels: all rows, ignored ones too.

    Raises:
        ConfigError: if the rows do not form a label space; names the row.
    """

    name: str
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        train_ids = [label.train_id for label in self.labels if not label.ignored]
        if train_ids != list(range(len(train_ids))) or not 1 <= len(train_ids) <= 255:
            raise ConfigError(
                f'label space {self.name} has the train ids {train_ids}, wanted 0, 1, 2, ... in '
                'order without a gap: renumber the rows')
        outside = [label.name for label in self.labels
                   if not (0 if not label.ignored else -1) <= label.id <= 255]
        if outside:
            raise ConfigError(f'label space {self.name} has an id outside 0..255 for '
                              f'{", ".join(outside)}: label images hold one byte a pixel, give it '
                              'another id, or -1 if it is ignored')
        for key in ('name', 'id'):
            values = [getattr(label, key) for label in self.labels if getattr(label, key) != -1]
            twice = sorted({str(value) for value in values if values.count(value) > 1})
            if twice:
                raise ConfigError(f'label space {self.name} has the {key} {", ".join(twice)} in '
                                  'more than one row: give every row its own')

    @property
    def classes(self) -> tuple[Label, ...]:
        """Rows that are not ignored, in the order of their train ids."""
        return tuple(label for label in self.labels if not label.ignored)

    @property
    def names(self) -> list[str]:
        """Class names in the order of their train ids."""
        return [label.name for label in self.classes]

    @cached_property
    def palette(self) -> np.ndarray:
        """Colours by train id: (256, 3) uint8 RGB; black where there is no class."""
        table = np.zeros((256, 3), np.uint8)
        for label in self.classes:
            table[label.train_id] = label.color
        return table

    @cached_property
    def to_train_id(self) -> np.ndarray:
        """Look up the train id of a data set's id: (256,) uint8; 255 for unknown ids."""
        table = np.full(256, IGNORE, np.uint8)
        for label in self.labels:
            if label.id >= 0:
                table[label.id] = label.train_id
        return table

    @cached_property
    def to_id(self) -> np.ndarray:
        """Look up the data set's id of a train id: (256,) uint8; 255 where there is no class."""
        table = np.full(256, IGNORE, np.uint8)
        for label in self.classes:
            table[label.train_id] = label.id
        return table

    def to_yaml(self) -> str:
        """Write the label space as the text that `parse` reads."""
        rows = [{**asdict(label), 'color': list(label.color)} for label in self.labels]
        return yaml.safe_dump({'name': self.name, 'labels': rows}, sort_keys=False, width=99,
                              default_flow_style=None)

    @classmethod
    def load(cls, name: str | Path) -> LabelSpace:
        """Read a label space by its name (`camvid`) or from a YAML file.

        Raises:
            ConfigError: if there is none of that name, or its file is not a label space.
        """
        path = Path(name).expanduser()
        if not names_file(name):
            folder = share_dir() / 'config' / 'labels'
            path = folder / f'{name}.yaml'
            if not path.is_file():
                known = ', '.join(sorted(file.stem for file in folder.glob('*.yaml')))
                raise ConfigError(f'no label space is called {name}: take one of {known}, or '
                                  'name a YAML file')
        try:
            text = read_text(path, MAX_YAML_BYTES)
        except (OSError, ValueError) as error:
            raise ConfigError(f'the label space {path} cannot be read: {error}: restore the file, '
                              'or name another') from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str) -> LabelSpace:
        """Read a label space from the text of a YAML file, which `where` names in an error.

        Raises:
            ConfigError: if it is not a label space.
        """
        try:
            facts = load_yaml(text)
            rows = tuple(
                Label(str(row['name']), int(row['id']), int(row['train_id']),
                      str(row['category']), _color(row['color'])) for row in facts['labels'])
            return cls(str(facts['name']), rows)
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f'{where} is not a label space ({type(error).__name__}: {error}): it needs name, '
                'and labels with name, id, train_id, category and color in every row') from error


def names_file(name: str | Path) -> bool:
    """Tell whether a label space is named by its YAML file, not as one of the shipped ones."""
    return Path(name).suffix in ('.yaml', '.yml')


def _color(value: list[int]) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in value)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f'color {value} has a part outside 0..255')
    return red, green, blue
