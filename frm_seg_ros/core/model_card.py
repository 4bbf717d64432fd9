"""Model cards: the facts of one model, every one of them required."""
from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from frm_seg_ros.core.bounds import read_yaml
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256, share_dir
from frm_seg_ros.core.label_space import LABELS, LabelSpace
from frm_seg_ros.core.onnx_locations import check_locations
from frm_seg_ros.core.precision import check_measured

CARD = 'card.yaml'
WEIGHTS = 'weights.safetensors'
ONNX = 'model.onnx'
INT8 = 'model.int8.onnx'
# What the architecture of an imported network tells in place of arguments: key and choices.
IMPORTED = {'imported': ('logits', 'labels'), 'sizes': ('any', 'fixed'), 'batch': ('any', 'one')}


@dataclass(frozen=True)
class ModelCard:
    """Facts of one model, read from `card.yaml` in the model's folder.

    Attributes:
        folder: where the card and the files it names lie.
        name: the model's name.
        architecture: arguments of `network.segmentation.FrmNetwork`; of an imported network, which
            lies in the ONNX file alone, the keys of IMPORTED: what it gives, and whether it takes
            other sizes than `input_size` and several images at once.
        files: SHA-256 by file name.
        input_size: (height, width) that the network was trained for and is fed by default.
        mean: of the training images by channel, RGB, on the scale 0..1.
        std: standard deviation, likewise.
        label_space: name of the label space of the output; see `load_label_space`.
        trained_on: data sets.
        command: the command that trained it.
        measured: figures, each with the command that gave it.
        precisions: by precision what it costs, with the keys of `precision.MEASURED`; empty where
            nothing was measured.
        licence: what may be done with the weights.
    """

    folder: Path
    name: str
    architecture: dict[str, Any]
    files: dict[str, str]
    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    label_space: str
    trained_on: str
    command: str
    measured: dict[str, Any]
    precisions: dict[str, list[dict[str, Any]]]
    licence: str

    @classmethod
    def load(cls, model: str | Path) -> ModelCard:
        """Read the card of a shipped model by name, or of the folder that holds a card.

        Raises:
            ConfigError: if there is no such model, or the card lacks a field or has one too many.
        """
        path = find_model(model) / CARD
        try:
            facts = read_yaml(path)
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f'the card {path} cannot be read, restore it: {error}') from error
        wanted = {item.name for item in fields(cls)} - {'folder'}
        found = set(facts) if isinstance(facts, dict) else set()
        if found != wanted:
            raise ConfigError(
                f'the card {path} has the wrong fields (missing: {_listed(wanted - found)}; '
                f'unknown: {_listed(found - wanted)}): restore it, every field is needed and no '
                'other')
        try:
            return cls(path.parent, **_checked(facts))
        except ValueError as error:
            raise ConfigError(f'the card {path} has a field of the wrong form: {error}') from error

    @property
    def sha256(self) -> str:
        """Hash by which the model is known: of its weights, else of its ONNX file."""
        return self.files.get(WEIGHTS) or self.files[ONNX]

    @property
    def imported(self) -> bool:
        """Tell whether the network comes from elsewhere and lies in the ONNX file alone."""
        return 'imported' in self.architecture

    @property
    def has_confidence(self) -> bool:
        """Tell whether the network tells how sure it is; labels alone do not."""
        return self.architecture.get('imported') != 'labels'

    @property
    def one_by_one(self) -> bool:
        """Tell whether the network takes a single image at a time."""
        return self.architecture.get('batch') == 'one'

    def check_size(self, size: tuple[int, int]) -> None:
        """Make sure that the network runs at `size` (height, width).

        Raises:
            ConfigError: if it runs at the card's size only.
        """
        if self.architecture.get('sizes') == 'fixed' and size != self.input_size:
            raise ConfigError('model {} runs at {}x{} only, as its ONNX file was made, not at '
                              '{}x{}: leave the size out, or import an export for any size'.format(
                                  self.name, *self.input_size, *size))

    def save(self) -> None:
        """Write `card.yaml` into the model's folder, whole or not at all."""
        facts = {item.name: getattr(self, item.name) for item in fields(self)
                 if item.name != 'folder'}
        for key in ('input_size', 'mean', 'std'):
            facts[key] = list(facts[key])
        with atomic_path(self.folder / CARD) as temporary:
            temporary.write_text(yaml.safe_dump(facts, sort_keys=False, width=99,
                                                default_flow_style=None), encoding='utf-8')

    def file(self, name: str) -> Path:
        """Give the path of one of the model's files after checking its hash.

        Raises:
            ConfigError: if the card does not list it, it is missing, or its hash differs.
        """
        if name not in self.files:
            raise ConfigError(f'the card of {self.name} lists no file {name}: it has '
                              f'{_listed(set(self.files))}, export the model again')
        path = self.folder / name
        if not path.is_file():
            raise ConfigError(f'model {self.name} has no file {path}, though its card lists it: '
                              'restore the file or export the model again')
        found = sha256(path)
        if found != self.files[name]:
            raise ConfigError(
                f'{path} has the SHA-256 {found[:12]}..., its card wants {self.files[name][:12]}'
                '...: the file is damaged or of another model, restore it')
        return path

    def load_label_space(self) -> LabelSpace:
        """Read the label space of the output: the model's own `labels.yaml`, else a shipped one.

        Raises:
            ConfigError: if the file is missing or damaged, or no space of that name is shipped.
        """
        return LabelSpace.load(self.file(LABELS) if LABELS in self.files else self.label_space)

    def check_files(self) -> None:
        """Check the hash of every file that the card lists.

        Raises:
            ConfigError: as `file` does.
        """
        for name in self.files:
            self.file(name)
        if ONNX in self.files:
            check_locations(self.folder / ONNX, self.files)


def _listed(names: set[str]) -> str:
    return ', '.join(sorted(map(str, names))) or 'nothing'


def _checked(facts: dict[str, Any]) -> dict[str, Any]:
    """Bring the fields to their types; a ValueError names the field that does not fit."""
    return {**{key: str(value) for key, value in facts.items()},
            'architecture': _architecture(facts), 'measured': _map(facts, 'measured'),
            'precisions': check_measured(_map(facts, 'precisions')),
            'files': _files(_map(facts, 'files')), 'input_size': _input_size(facts),
            'mean': _channels(facts, 'mean'), 'std': _channels(facts, 'std', above=0.0)}


def _map(facts: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(facts[key], dict):
        raise ValueError(f'{key} is {facts[key]!r}, wanted a map')
    return facts[key]


def _architecture(facts: dict[str, Any]) -> dict[str, Any]:
    found = _map(facts, 'architecture')
    if 'imported' in found and not (set(found) == set(IMPORTED) and all(
            found[key] in choices for key, choices in IMPORTED.items())):
        raise ValueError(f'architecture is {found} of an imported network, wanted one of each of '
                         f'{IMPORTED}')
    return found


def _files(files: dict[str, Any]) -> dict[str, str]:
    for name, digest in files.items():
        plain = Path(str(name)).name == name and name not in ('', '..')
        if not plain or not re.fullmatch('[0-9a-f]{64}', str(digest)):
            raise ValueError(f'files has {name!r}: {digest!r}, wanted a plain file name and 64 '
                             'hexadecimal digits')
    if not {WEIGHTS, ONNX} & set(files):
        raise ValueError(f'files lists neither {WEIGHTS} nor {ONNX}')
    return files


def _numbers(facts: dict[str, Any], key: str, count: int, kinds: tuple[type, ...]) -> list:
    value = facts[key]
    if not isinstance(value, list) or len(value) != count or not all(
            isinstance(part, kinds) and not isinstance(part, bool) for part in value):
        raise ValueError(f'{key} is {value!r}, wanted {count} numbers in brackets')
    return value


def _input_size(facts: dict[str, Any]) -> tuple[int, int]:
    height, width = _numbers(facts, 'input_size', 2, (int,))
    if min(height, width) < 64:
        raise ValueError(f'input_size is {height}x{width}, wanted at least 64x64')
    return height, width


def _channels(facts: dict[str, Any], key: str,
              above: float = float('-inf')) -> tuple[float, float, float]:
    red, green, blue = (float(part) for part in _numbers(facts, key, 3, (int, float)))
    if min(red, green, blue) <= above:
        raise ValueError(f'{key} is {facts[key]}, wanted values above {above:g}')
    return red, green, blue


def find_model(model: str | Path) -> Path:
    """Find the folder of a model: a path to it (or to its card), else a shipped model's name.

    Raises:
        ConfigError: if neither is there; lists the shipped models.
    """
    path = Path(model).expanduser()
    if path.name == CARD:
        path = path.parent
    shipped = share_dir() / 'models'
    for folder in (path, shipped / path):
        if (folder / CARD).is_file():
            return folder
    names = sorted(card.parent.name for card in shipped.glob(f'*/{CARD}'))
    raise ConfigError(f'there is no model {str(model)!r}: shipped are {_listed(set(names))}; name '
                      f'one of these, or the path of a folder that holds a {CARD}')
