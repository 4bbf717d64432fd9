"""Training frames in memory, and batches drawn from them."""
from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.synthetic import TRAINING_SEED, render_scene
from frm_seg_ros.training.augmentation import augment
from frm_seg_ros.training.config import TrainingConfig


def load_frames(config: TrainingConfig) -> tuple[list[Frame], list[Frame]]:
    """Read the source's frames and render the synthetic ones, all kept in memory.

    Raises:
        ConfigError: if the source has no truth or another label space.
    """
    source = open_source(config.source)
    if source.label_space is None or source.label_space.name != config.label_space:
        found = source.label_space.name if source.label_space else 'no truth'
        raise ConfigError(f'{config.source} has {found}, wanted labels of {config.label_space}')
    real = list(source)
    seeds = range(TRAINING_SEED, TRAINING_SEED + config.synthetic_scenes)
    with ProcessPoolExecutor(mp_context=get_context('spawn')) as pool:
        synthetic = list(pool.map(render_scene, seeds, chunksize=16))
    return real, synthetic


def class_weights(frames: list[Frame], space: LabelSpace) -> np.ndarray:
    """Weigh classes by the square root of median frequency / frequency: (classes,) float32.

    Median frequency balancing (Eigen and Fergus, ICCV 2015), its root taken, since the full
    weights trade away the precision of rare classes.
    """
    counts = np.zeros(256)
    for frame in frames:
        counts += np.bincount(frame.truth.ravel(), minlength=256)
    share = np.maximum(counts[:len(space.classes)], 1) / counts[:IGNORE].sum()
    return np.sqrt(np.median(share) / share).astype(np.float32)


def batches(config: TrainingConfig, real: list[Frame], synthetic: list[Frame],
            first_step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of the steps from `first_step` on, made ahead in a thread.

    A batch depends on the seed and its step only, so a resumed run sees the same ones.

    Yields:
        Images (N, H, W, 3) uint8 RGB and truths (N, H, W) uint8.
    """
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(_batch, config, real, synthetic, first_step + i) for i in range(3)]
        for step in range(first_step, config.steps):
            ahead.append(pool.submit(_batch, config, real, synthetic, step + 3))
            yield ahead.pop(0).result()


def _batch(config: TrainingConfig, real: list[Frame], synthetic: list[Frame],
           step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng((config.seed, step))
    rendered = round(config.synthetic_share * config.batch) if synthetic else 0
    crops = []
    for i in range(config.batch):
        pool = synthetic if i < rendered else real
        crops.append(augment(pool[rng.integers(len(pool))], config, rng))
    images, truths = zip(*crops, strict=True)
    return np.stack(images), np.stack(truths)
