"""What a training run is told: one YAML file, with `key=value` overrides from the command line."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from frm_seg_ros.core.bounds import load_yaml, read_yaml
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.network.segmentation import VARIANTS


@dataclass(frozen=True)
class TrainingConfig:
    """All there is to choose in a run; every field is required.

    Attributes:
        name: of the run and the model that it makes.
        variant: a key of `network.segmentation.VARIANTS`.
        architecture: arguments of the network in place of the variant's.
        label_space: name of a shipped label space, or the YAML file of one's own, whose classes
            all sources have.
        sources: frames to train on, such as `camvid:PATH:train`.
        in_memory: whether these frames are read once and kept, or read anew each time.
        synthetic_scenes: rendered scenes to train on beside them; 0 for none.
        synthetic_share: share of each batch that is synthetic, 0..1.
        validation: frames to score while training; '' for none.
        validate_every: steps between scores.
        keep: which weights become the model: `last`, or `best` by the validation.
        init: a model (name or folder), or a file of published VAN weights for the backbone, to
            start from; '' for random weights.
        input_size: [height, width] for which the card is written; best are multiples of 32.
        crop: [height, width] of the training crops.
        scale: [smallest, largest] factor of the scale jitter.
        balance: share of crops that show a pixel of a class drawn equally from those in the frame.
        color: strength of the colour jitter, 0..1.
        blur: share of crops that are blurred.
        batch: images a step, over all processes.
        workers: threads of each process that prepare crops.
        steps: optimiser steps.
        warm_up: steps during which the learning rate grows from 0.
        schedule: `poly` (power 0.9) or `cosine`.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW, on matrices and kernels only.
        clip: largest norm of the gradient.
        drop_path: rate of the backbone's last block.
        ema: decay of the exponential moving average of the weights, which is what is kept.
        class_weights: whether the cross entropy weighs classes by the root of median frequency
            over frequency.
        ohem_threshold: pixels more probable than this do not count; 0 counts all.
        contrast_weight: of the pixel contrast; 0 for none.
        contrast_warm_up: steps during which its weight grows from 0.
        contrast_samples: anchors a step and process.
        contrast_temperature: of its softmax.
        checkpoint_every: steps between checkpoints.
        tensorboard: whether scalars and pictures are written for TensorBoard.
        seed: of everything random.
        out: folder of the run; `~` and paths relative to the working directory are fine.

    Raises:
        ConfigError: if a field has the wrong type or is out of range.
    """

    name: str
    variant: str
    architecture: dict
    label_space: str
    sources: tuple[str, ...]
    in_memory: bool
    synthetic_scenes: int
    synthetic_share: float
    validation: str
    validate_every: int
    keep: str
    init: str
    input_size: tuple[int, int]
    crop: tuple[int, int]
    scale: tuple[float, float]
    balance: float
    color: float
    blur: float
    batch: int
    workers: int
    steps: int
    warm_up: int
    schedule: str
    learning_rate: float
    weight_decay: float
    clip: float
    drop_path: float
    ema: float
    class_weights: bool
    ohem_threshold: float
    contrast_weight: float
    contrast_warm_up: int
    contrast_samples: int
    contrast_temperature: float
    checkpoint_every: int
    tensorboard: bool
    seed: int
    out: str

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not _fits(value, item.type):
                raise ConfigError(f'{item.name} is {value!r}, wanted {item.type}: numbers have a '
                                  'point before an exponent in YAML, as in 7.0e-4')
            allowed, words = LIMITS.get(item.name, (None, ''))
            if allowed and not allowed(value):
                raise ConfigError(f'{item.name} is {value!r}, wanted {words}: change it in the '
                                  f'configuration, or with {item.name}=VALUE')
        if self.keep == 'best' and not self.validation:
            raise ConfigError('keep is best, but validation names no frames to score: give it a '
                              'source, or keep the last weights')

    @classmethod
    def load(cls, path: str | Path, overrides: list[str]) -> TrainingConfig:
        """Read a YAML file and apply `key=value` texts, whose values are YAML too.

        Raises:
            ConfigError: if the file cannot be read, has a field too many or too few, or one with
                a wrong value.
        """
        try:
            facts = read_yaml(path)
            for override in overrides:
                key, equals, value = override.partition('=')
                if not equals:
                    raise ConfigError(f'{override!r} is no override: write key=value')
                facts[key] = load_yaml(value)
        except (OSError, yaml.YAMLError, TypeError) as error:
            raise ConfigError(f'{path} is not a training configuration: {error}') from error
        names = {item.name for item in fields(cls)}
        if set(facts) != names:
            raise ConfigError(
                f'{path} with its overrides lacks {sorted(names - set(facts))} and has the '
                f'unknown {sorted(set(facts) - names)}: compare it with config/train/camvid.yaml')
        return cls(**{key: _plain(value) for key, value in facts.items()})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _fits(value: Any, kind: str) -> bool:
    """Tell whether a value is of the type that an annotation names; whole numbers are floats."""
    if kind.startswith('tuple'):
        parts = kind[len('tuple['):-1].split(', ')
        return isinstance(value, tuple) and (parts[1] == '...' or len(value) == len(parts)) \
            and all(_fits(part, parts[0]) for part in value)
    if kind == 'float':
        return type(value) in (int, float)
    return type(value).__name__ == kind


Limit = tuple[Callable[[Any], bool], str]
SHARE: Limit = (lambda value: 0 <= value <= 1, '0..1')
POSITIVE: Limit = (lambda value: value > 0, 'a number above 0')
COUNT: Limit = (lambda value: value >= 0, '0 or more')
LIMITS: dict[str, Limit] = {
    'variant': (lambda value: value in VARIANTS, f'one of {", ".join(VARIANTS)}'),
    'sources': (lambda value: len(value) > 0, 'at least one source'),
    'synthetic_scenes': COUNT, 'synthetic_share': SHARE, 'validate_every': POSITIVE,
    'keep': (lambda value: value in ('last', 'best'), 'last or best'),
    'input_size': (lambda value: min(value) >= 64, 'at least [64, 64]'),
    'crop': (lambda value: min(value) >= 64, 'at least [64, 64]'),
    'scale': (lambda value: 0 < value[0] <= value[1], '[smallest, largest], both above 0'),
    'balance': SHARE, 'color': SHARE, 'blur': SHARE, 'batch': POSITIVE, 'workers': POSITIVE,
    'steps': POSITIVE, 'warm_up': COUNT,
    'schedule': (lambda value: value in ('poly', 'cosine'), 'poly or cosine'),
    'learning_rate': POSITIVE, 'weight_decay': COUNT, 'clip': POSITIVE, 'drop_path': SHARE,
    'ema': SHARE, 'ohem_threshold': SHARE, 'contrast_weight': COUNT, 'contrast_warm_up': COUNT,
    'contrast_samples': POSITIVE, 'contrast_temperature': POSITIVE, 'checkpoint_every': POSITIVE,
}
