"""The training of one model, from configuration to card, to be read from top to bottom."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256
from frm_seg_ros.core.label_space import LABELS, LabelSpace, names_file
from frm_seg_ros.core.model_card import WEIGHTS, ModelCard
from frm_seg_ros.network.segmentation import VARIANTS, FrmNetwork, build_network
from frm_seg_ros.network.weights import save_weights, start_from
from frm_seg_ros.training.checkpoint import (
    RunState,
    load_average,
    load_checkpoint,
    save_checkpoint,
)
from frm_seg_ros.training.config import TrainingConfig
from frm_seg_ros.training.contrast import Projection
from frm_seg_ros.training.data import (
    Crops,
    batches,
    class_weights,
    open_frames,
    render_frames,
)
from frm_seg_ros.training.inputs import MEAN, STD, to_input
from frm_seg_ros.training.logbook import Logbook
from frm_seg_ros.training.losses import hybrid_loss
from frm_seg_ros.training.processes import Processes, join_processes
from frm_seg_ros.training.validation import pictures, validate

POLY_POWER = 0.9
NORM_BATCHES = 50   # on which the norms of the averaged weights take their statistics


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
    command = ' '.join(['frm-seg train', str(config_path), *overrides])
    with join_processes() as processes:
        return _train(config, processes, command)


def _train(config: TrainingConfig, processes: Processes, command: str) -> Path:
    # What there is to learn from.
    if config.batch % processes.count:
        raise ConfigError(f'batch is {config.batch}, which {processes.count} processes cannot '
                          'share equally: choose a multiple')
    space = LabelSpace.load(config.label_space)
    real = open_frames(config.sources, config)
    synthetic = render_frames(config.synthetic_scenes)
    crops = Crops(config, real, synthetic)
    validation = open_frames([config.validation], config) if config.validation else None
    weights = None
    if config.class_weights:
        counts = real.counts + synthetic.counts
        weights = torch.from_numpy(class_weights(counts, space)).to(processes.device)

    # Who learns.
    torch.manual_seed(config.seed)
    architecture = {**VARIANTS[config.variant], **config.architecture,
                    'classes': len(space.classes)}
    network = build_network({**architecture, 'drop_path': config.drop_path})
    start_from(network, config.init)
    learner = Learner(network, config.contrast_weight > 0)
    learner.to(processes.device, memory_format=torch.channels_last)
    shared = processes.share(learner)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
    optimizer = torch.optim.AdamW(parameter_groups(learner, config.weight_decay))

    # Where an earlier leg stopped.
    state = RunState(learner, average, optimizer)
    folder = Path(config.out).expanduser()
    last, best = folder / 'last.safetensors', folder / 'best.safetensors'
    if last.exists():
        load_checkpoint(last, config, state)
    log = Logbook(config, folder, state.step, processes.first)

    # The steps.
    shared.train()
    first = state.step
    for images, truths in batches(crops, first, config.steps, processes.rank, processes.count):
        # The seed is set at every step, so that dropout in a resumed run is the same.
        torch.manual_seed(hash((config.seed, state.step, processes.rank)))
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(config, state.step)
        with torch.autocast(processes.device.type, torch.bfloat16):
            logits, embeddings = shared(to_input(images.to(processes.device)))
        entropy, contrast = hybrid_loss(logits, embeddings, truths.to(processes.device), weights,
                                        config, state.step)
        optimizer.zero_grad()
        (entropy + contrast).backward()
        norm = nn.utils.clip_grad_norm_(learner.parameters(), config.clip,
                                        error_if_nonfinite=True)
        optimizer.step()
        average.update_parameters(network)
        state.step += 1
        log.step(state.step, entropy=entropy, contrast=contrast, gradient=norm)
        if validation and (state.step % config.validate_every == 0 or state.step == config.steps):
            refresh_norms(average.module, crops, processes)
            scores = validate(average.module, validation, space, config.input_size, processes)
            log.validation(state.step, scores,
                           lambda: pictures(average.module, validation, space,
                                            config.input_size, processes.device))
            if scores.miou > state.best:
                state.best = scores.miou
                if processes.first:
                    save_checkpoint(best, config, state)
        if processes.first and (state.step % config.checkpoint_every == 0
                                or state.step == config.steps):
            save_checkpoint(last, config, state)

    # The model.
    if config.keep == 'best' and best.exists():
        load_average(best, average)
    elif not validation:   # else the norms were refreshed for the last score
        refresh_norms(average.module, crops, processes)
    log.close()
    model = folder / config.name
    if processes.first:
        write_model(model, config, space, architecture, average.module,
                    f'{command}; {config.steps - first} of {config.steps} steps in '
                    f'{log.seconds:.0f} s on {processes.count} x {processes.device.type} '
                    'in the last leg')
    return model


class Learner(nn.Module):
    """The network, with the projection that the contrast needs in training.

    Args:
        network: to be trained.
        contrast: whether there is a projection.
    """

    def __init__(self, network: FrmNetwork, contrast: bool) -> None:
        super().__init__()
        self.network = network
        width = network.head.classify.in_channels
        self.projection = Projection(width) if contrast else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Give logits and, with a projection, embeddings; both at stride 4."""
        features = self.network.features(images)
        logits = self.network.head(features)
        return logits, None if self.projection is None else self.projection(features)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Rise linearly during the warm-up; fall all along as the schedule says.

    poly: (1 - step / steps) ** 0.9; cosine: (1 + cos(pi step / steps)) / 2.
    """
    rise = min(1.0, (step + 1) / max(1, config.warm_up))
    done = step / config.steps
    fall = (1 - done) ** POLY_POWER if config.schedule == 'poly' else \
        (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * rise * fall


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Split the parameters: matrices and kernels decay; norms, biases and scales do not."""
    parameters = list(module.parameters())
    return [{'params': [p for p in parameters if p.ndim > 1], 'weight_decay': weight_decay},
            {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0}]


def refresh_norms(network: FrmNetwork, crops: Crops, processes: Processes) -> None:
    """Take the statistics of the norms anew, for averaged weights: theirs are of other weights.

    The crops are those that would follow the last step.
    """
    steps = crops.config.steps
    more = batches(crops, steps, steps + NORM_BATCHES, processes.rank, processes.count)
    with torch.autocast(processes.device.type, torch.bfloat16):
        update_bn((to_input(images.to(processes.device)) for images, _ in more), network)
    network.train()


def write_model(folder: Path, config: TrainingConfig, space: LabelSpace,
                architecture: dict[str, Any], network: FrmNetwork, command: str) -> None:
    """Write weights and card, and the label space when it is none of the shipped ones.

    Args:
        folder: of the model.
        config: of the run.
        space: the label space of the run.
        architecture: arguments of the network.
        network: with the weights.
        command: how the weights were made, in words.
    """
    save_weights(network, folder / WEIGHTS)
    files = [WEIGHTS]
    if names_file(config.label_space):
        files.append(LABELS)
        with atomic_path(folder / LABELS) as temporary:
            temporary.write_text(space.to_yaml(), encoding='utf-8')
    data = list(config.sources)
    if config.synthetic_scenes:
        data.append(f'{config.synthetic_scenes} rendered scenes')
    start = f'started from {config.init}' if config.init else 'random start'
    ModelCard(
        folder=folder, name=config.name, architecture=architecture,
        files={name: sha256(folder / name) for name in files}, input_size=config.input_size,
        mean=MEAN, std=STD, label_space=space.name,
        trained_on=f'{", ".join(data)}; {start}',
        command=command, measured={}, precisions={},
        licence='unstated: fill in before shipping').save()
