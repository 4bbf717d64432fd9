"""Checkpoints of a run: everything that decides the next step, as safetensors, no pickles."""
from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.training.config import TrainingConfig


def save_checkpoint(path: Path, config: TrainingConfig, step: int, network: nn.Module,
                    average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write weights, their average and the optimiser's state, with the configuration inside.

    Args:
        path: of the checkpoint; replaced whole or not at all.
        config: of the run.
        step: number of steps done.
        network: the network that is trained.
        average: the moving average of its weights.
        optimizer: with its state.
    """
    tensors = {f'network.{key}': value for key, value in network.state_dict().items()}
    tensors |= {f'average.{key}': value for key, value in average.state_dict().items()}
    for index, state in optimizer.state_dict()['state'].items():
        tensors |= {f'optimizer.{index}.{key}': value for key, value in state.items()}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    facts = {'step': str(step), 'config': json.dumps(asdict(config))}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, facts)


def load_checkpoint(path: Path, config: TrainingConfig, network: nn.Module, average: nn.Module,
                    optimizer: torch.optim.Optimizer) -> int:
    """Put a run back to where its checkpoint was written.

    Returns:
        The number of steps done.

    Raises:
        ConfigError: if it was written under another configuration; names what differs.
    """
    parts: dict[str, dict[str, Tensor]] = {'network': {}, 'average': {}, 'optimizer': {}}
    with safe_open(path, 'pt') as file:
        facts = file.metadata()
        for key in file.keys():
            part, _, rest = key.partition('.')
            parts[part][rest] = file.get_tensor(key)
    then, now = json.loads(facts['config']), json.loads(json.dumps(asdict(config)))
    differ = sorted(key for key in now if then.get(key) != now[key])
    if differ:
        raise ConfigError(f'{path} was written with another {", ".join(differ)}: resume with the '
                          'same configuration, or name another folder with out=')
    network.load_state_dict(parts['network'])
    average.load_state_dict(parts['average'])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in parts['optimizer'].items():
        index, _, name = key.partition('.')
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), 'state': state})
    return int(facts['step'])
