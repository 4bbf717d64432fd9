"""What a training run is told: one YAML file, with `key=value` overrides from the command line."""
from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from frm_seg_ros.core.errors import ConfigError


@dataclass(frozen=True)
class TrainingConfig:
    """All there is to choose in a run; every field is required.

    Attributes:
        name: of the run and the model that it makes.
        variant: a key of `network.segmentation.VARIANTS`.
        label_space: name of the label space of all sources.
        source: frames to train on, such as `camvid:PATH:train`.
        synthetic_scenes: rendered scenes to train on beside them; 0 for none.
        synthetic_share: share of each batch that is synthetic, 0..1.
        input_size: [height, width] for which the card is written.
        crop: [height, width] of the training crops.
        scale: [smallest, largest] factor of the scale jitter.
        color: strength of the colour jitter, 0..1.
        batch: images a step.
        steps: optimiser steps.
        warm_up: steps during which the learning rate grows from 0.
        learning_rate: of AdamW, at its peak; falls by (1 - step / steps) ** 0.9 after.
        weight_decay: of AdamW, on matrices and kernels only.
        clip: largest norm of the gradient.
        drop_path: rate of the backbone's last block.
        ema: decay of the exponential moving average of the weights, which is what is kept.
        checkpoint_every: steps between checkpoints.
        seed: of everything random.
        out: folder of the run; `~` and paths relative to the working directory are fine.
    """

    name: str
    variant: str
    label_space: str
    source: str
    synthetic_scenes: int
    synthetic_share: float
    input_size: tuple[int, int]
    crop: tuple[int, int]
    scale: tuple[float, float]
    color: float
    batch: int
    steps: int
    warm_up: int
    learning_rate: float
    weight_decay: float
    clip: float
    drop_path: float
    ema: float
    checkpoint_every: int
    seed: int
    out: str

    @classmethod
    def load(cls, path: str | Path, overrides: list[str]) -> TrainingConfig:
        """Read a YAML file and apply `key=value` texts, whose values are YAML too.

        Raises:
            ConfigError: if the file cannot be read, or has a field too many or too few.
        """
        try:
            facts = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
            for override in overrides:
                key, equals, value = override.partition('=')
                if not equals:
                    raise ConfigError(f'{override!r} is no override: write key=value')
                facts[key] = yaml.safe_load(value)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
            raise ConfigError(f'{path} is not a training configuration: {error}') from error
        names = {item.name for item in fields(cls)}
        if set(facts) != names:
            raise ConfigError(
                f'{path} with its overrides lacks {sorted(names - set(facts))} and has the '
                f'unknown {sorted(set(facts) - names)}: compare it with '
                'config/train/frm_b0_fast.yaml')
        return cls(**{key: _plain(value) for key, value in facts.items()})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
