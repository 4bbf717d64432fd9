"""Weights of a network in a file, each tensor once: `weights.safetensors`."""
from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard, find_model
from frm_seg_ros.network.segmentation import FrmNetwork, build_network
from frm_seg_ros.network.van import load_published_weights


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


def start_from(network: FrmNetwork, init: str) -> None:
    """Load weights to start a training from.

    Args:
        network: gets the weights.
        init: the name or folder of a model, whose classifier is left out when it has another
            number of classes; or a file (.pth, .tar, .pt) of published VAN weights, for the
            backbone; or '' for none.

    Raises:
        ConfigError: if the weights do not fit the network.
    """
    if not init:
        return
    if Path(init).suffix in ('.pth', '.tar', '.pt'):
        load_published_weights(network.backbone, Path(init).expanduser())
        return
    found = load_network(ModelCard.load(find_model(init))).state_dict()
    wanted = network.state_dict()
    wrong = [key for key in wanted.keys() | found.keys() if key not in wanted or key not in found
             or wanted[key].shape != found[key].shape]
    if any(not key.startswith('head.classify.') for key in wrong):
        raise ConfigError(f'the model {init} does not fit this network: {len(wrong)} tensors '
                          f'differ, such as {min(wrong)}; choose a model of the same variant')
    network.load_state_dict({key: value for key, value in found.items() if key not in wrong},
                            strict=False)


def load_network(card: ModelCard) -> FrmNetwork:
    """Build the network of a card with its weights, float32, in evaluation mode.

    Raises:
        ConfigError: if the network was imported, or the weights are missing, damaged or of
            another architecture.
    """
    if card.imported:
        raise ConfigError(f'model {card.name} was imported as an ONNX file, so torch cannot run '
                          'it: choose backend openvino or onnxruntime')
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
