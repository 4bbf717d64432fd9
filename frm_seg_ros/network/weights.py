"""Weights of a network in a file, each tensor once: `weights.safetensors`."""
from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard
from frm_seg_ros.network.segmentation import FrmNetwork, build_network


def shipped_tensors(network: FrmNetwork) -> dict[str, Tensor]:
    """Give the tensors as they are shipped: kernels and matrices float16, the rest float32.

    Counters of batches, which only training uses, are left out.
    """
    return {name: value.detach().to('cpu', torch.float16 if value.ndim > 1 else torch.float32)
            .contiguous() for name, value in network.state_dict().items()
            if not name.endswith('num_batches_tracked')}


def save_weights(network: FrmNetwork, path: Path) -> None:
    """Write the shipped tensors of `network`, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file(shipped_tensors(network), temporary)


def load_network(card: ModelCard) -> FrmNetwork:
    """Build the network of a card with its weights, float32, in evaluation mode.

    Raises:
        ConfigError: if the weights are missing, damaged or of another architecture.
    """
    network = build_network(card.architecture)
    path = card.file(WEIGHTS)
    try:
        tensors = load_file(path)
        outcome = network.load_state_dict(tensors, strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise ConfigError(f'{path} does not hold the weights of the architecture in its card: '
                          f'{error}') from error
    missing = [key for key in outcome.missing_keys if not key.endswith('num_batches_tracked')]
    if missing or outcome.unexpected_keys:
        raise ConfigError(f'{path} lacks {missing[:3]} and has the unknown '
                          f'{outcome.unexpected_keys[:3]}: card and weights are of two models')
    return network.eval()
