"""Checkpoints of a run: everything that decides the next step, as safetensors, no pickles."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.training.config import TrainingConfig


@dataclass
class RunState:
    """What changes while a run goes on.

    Attributes:
        learner: the network that is trained, and its projection.
        average: the moving average of the network's weights.
        optimizer: with its state.
        step: steps done.
        best: highest mIoU of the validation so far; -1 before the first.
    """

    learner: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0


def save_checkpoint(path: Path, config: TrainingConfig, state: RunState) -> None:
    """Write a run's state, with its configuration inside; replaced whole or not at all."""
    tensors = {f'learner.{key}': value for key, value in state.learner.state_dict().items()}
    tensors |= {f'average.{key}': value for key, value in state.average.state_dict().items()}
    for index, values in state.optimizer.state_dict()['state'].items():
        tensors |= {f'optimizer.{index}.{key}': value for key, value in values.items()}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    facts = {'step': str(state.step), 'best': repr(state.best),
             'config': json.dumps(asdict(config))}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, facts)


def load_checkpoint(path: Path, config: TrainingConfig, state: RunState) -> None:
    """Put a run back to where its checkpoint was written.

    Raises:
        ConfigError: if the file is no checkpoint, or was written under another configuration;
            names what differs.
    """
    parts, facts = _read(path)
    then, now = json.loads(facts['config']), json.loads(json.dumps(asdict(config)))
    differ = sorted(key for key in now if then.get(key) != now[key])
    if differ:
        raise ConfigError(f'{path} was written with another {", ".join(differ)}: resume with the '
                          'same configuration, or name another folder with out=')
    state.learner.load_state_dict(parts['learner'])
    state.average.load_state_dict(parts['average'])
    values: dict[int, dict[str, Tensor]] = {}
    for key, value in parts['optimizer'].items():
        index, _, name = key.partition('.')
        values.setdefault(int(index), {})[name] = value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), 'state': values})
    state.step, state.best = int(facts['step']), float(facts['best'])


def load_average(path: Path, average: nn.Module) -> None:
    """Load the averaged weights of a checkpoint, and nothing else.

    Raises:
        ConfigError: if the file is no checkpoint.
    """
    average.load_state_dict(_read(path)[0]['average'])


def _read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    parts: dict[str, dict[str, Tensor]] = {'learner': {}, 'average': {}, 'optimizer': {}}
    try:
        with safe_open(path, 'pt') as file:
            for key in file.keys():
                part, _, rest = key.partition('.')
                parts[part][rest] = file.get_tensor(key)
            return parts, {key: file.metadata()[key] for key in ('step', 'best', 'config')}
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ConfigError(f'{path} is not a checkpoint of a training ({error}): remove it, or '
                          'name another folder with out=') from error
