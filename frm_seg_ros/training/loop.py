"""The training of one model, from configuration to card, to be read from top to bottom."""
from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from frm_seg_ros.core.files import sha256
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard
from frm_seg_ros.network.segmentation import VARIANTS, FrmNetwork, build_network
from frm_seg_ros.network.weights import save_weights
from frm_seg_ros.training.checkpoint import load_checkpoint, save_checkpoint
from frm_seg_ros.training.config import TrainingConfig
from frm_seg_ros.training.data import batches, class_weights, load_frames

# Mean and standard deviation of ImageNet, RGB, scale 0..1: what published VAN weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
POLY_POWER = 0.9
NORM_BATCHES = 50


def train(config_path: str | Path, overrides: list[str]) -> Path:
    """Train a model, or go on with a run that was stopped, and write its card and weights.

    Args:
        config_path: YAML file, see `TrainingConfig`.
        overrides: `key=value` texts.

    Returns:
        The folder of the model, without ONNX file: `frm-seg export` adds that.

    Raises:
        ConfigError: if the configuration or the data are wrong, before the first step.
    """
    config = TrainingConfig.load(config_path, overrides)
    space = LabelSpace.load(config.label_space)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    real, synthetic = load_frames(config)
    weights = torch.from_numpy(class_weights(real + synthetic, space)).to(device)

    torch.manual_seed(config.seed)
    architecture = {**VARIANTS[config.variant], 'classes': len(space.classes)}
    network = build_network({**architecture, 'drop_path': config.drop_path})
    network = network.to(device, memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
    optimizer = torch.optim.AdamW(parameter_groups(network, config.weight_decay))
    checkpoint = Path(config.out).expanduser() / 'last.safetensors'
    done = 0
    if checkpoint.exists():
        done = load_checkpoint(checkpoint, config, network, average, optimizer)

    start = time.monotonic()
    network.train()
    for step, (images, truths) in enumerate(batches(config, real, synthetic, done), done):
        torch.manual_seed(hash((config.seed, step)))  # dropout of a resumed run is the same
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(config, step)
        loss = loss_of(network, to_input(images, device), torch.from_numpy(truths).to(device),
                       weights)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip,
                                        error_if_nonfinite=True)
        optimizer.step()
        average.update_parameters(network)
        if (step + 1) % config.checkpoint_every == 0:
            save_checkpoint(checkpoint, config, step + 1, network, average, optimizer)
        report(config, step + 1, done, loss, norm, start)

    # The statistics of the norms belong to the network that was trained, not to its average.
    more = replace(config, steps=config.steps + NORM_BATCHES)
    update_bn((to_input(images, device) for images, _ in
               batches(more, real, synthetic, config.steps)), average.module)
    return write_model(config, architecture, average.module, time.monotonic() - start, str(device))


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Rise linearly during the warm-up, fall by (1 - step / steps) ** 0.9 all along."""
    rise = min(1.0, (step + 1) / max(1, config.warm_up))
    return config.learning_rate * rise * (1 - step / config.steps) ** POLY_POWER


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Split the parameters: matrices and kernels decay; norms, biases and scales do not."""
    parameters = list(network.parameters())
    return [{'params': [p for p in parameters if p.ndim > 1], 'weight_decay': weight_decay},
            {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0}]


def to_input(images: np.ndarray, device: torch.device) -> Tensor:
    """Normalise (N, H, W, 3) uint8 RGB to (N, 3, H, W) float32."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(MEAN, device=device)[:, None, None]
    std = torch.tensor(STD, device=device)[:, None, None]
    return (pixels - mean) / std


def loss_of(network: FrmNetwork, inputs: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Compute the weighted cross entropy at full size; ignored pixels count nothing.

    Args:
        network: in training mode.
        inputs: (N, 3, H, W) float32.
        truth: (N, H, W) uint8 train ids.
        weights: (classes,) float32.
    """
    with torch.autocast(inputs.device.type, torch.bfloat16):
        logits = network(inputs)
    logits = F.interpolate(logits.float(), size=truth.shape[1:], mode='bilinear')
    return F.cross_entropy(logits, truth.long(), weights, ignore_index=IGNORE)


def report(config: TrainingConfig, step: int, done: int, loss: Tensor, norm: Tensor,
           start: float) -> None:
    """Print progress: every step on a terminal, else with each checkpoint."""
    terminal = sys.stderr.isatty()
    if not terminal and step % config.checkpoint_every and step != config.steps:
        return
    seconds = (time.monotonic() - start) / (step - done)
    print(f'\r{config.name}: step {step}/{config.steps}, loss {loss.item():.3f}, gradient '
          f'{norm.item():.2f}, {seconds:.2f} s a step, '
          f'{(config.steps - step) * seconds / 60:.0f} min left',
          end='\n' if not terminal or step == config.steps else '', file=sys.stderr, flush=True)


def write_model(config: TrainingConfig, architecture: dict, network: FrmNetwork, seconds: float,
                device: str) -> Path:
    """Write weights and card into the run's folder."""
    folder = Path(config.out).expanduser() / config.name
    save_weights(network, folder / WEIGHTS)
    synthetic = f', {config.synthetic_scenes} rendered scenes' if config.synthetic_scenes else ''
    card = ModelCard(
        folder=folder, name=config.name, architecture=architecture,
        files={WEIGHTS: sha256(folder / WEIGHTS)}, input_size=config.input_size, mean=MEAN,
        std=STD, label_space=config.label_space, trained_on=f'{config.source}{synthetic}',
        command=f'frm-seg train config/train/{config.name}.yaml ({config.steps} steps of '
                f'{config.batch}, {seconds:.0f} s on {device} in the last leg)',
        measured={}, licence='unstated: fill in before shipping')
    card.save()
    return folder
