"""Training frames, and batches drawn from them."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.pairs import FramePairs
from frm_seg_ros.sources.synthetic import TRAINING_SEED, render_scene
from frm_seg_ros.training.augmentation import augment
from frm_seg_ros.training.config import TrainingConfig

PREPARED = 4   # batches that are made ahead


class Frames:
    """Frames by number, in memory or read from their files anew each time.

    Attributes:
        counts: pixels of each train id: (256,) int64.
    """

    def __init__(self) -> None:
        self._items: list[Frame | tuple[FramePairs, int]] = []
        self.counts = np.zeros(256, np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> Frame:
        item = self._items[number]
        return item if isinstance(item, Frame) else item[0].frame(item[1])

    def keep(self, frame: Frame) -> None:
        """Add a frame that stays in memory."""
        self._items.append(frame)
        self.counts += np.bincount(frame.truth.ravel(), minlength=256)

    def read_later(self, source: FramePairs, counts: np.ndarray) -> None:
        """Add all frames of a source, with the pixels of each train id in them."""
        self._items += [(source, index) for index in range(len(source))]
        self.counts += counts


def open_frames(texts: Iterable[str], config: TrainingConfig) -> Frames:
    """Check all frames of some sources, and read them if they are to be kept in memory.

    Sources that are not pairs of files, such as bags, are kept in memory in any case.

    Raises:
        ConfigError: if a source has no truth, has other classes, or has frames that
            cannot be used; tells of the first few.
    """
    space, frames = LabelSpace.load(config.label_space), Frames()
    for text in texts:
        source = open_source(text)
        if source.label_space is None or source.label_space.names != space.names:
            found = source.label_space.name if source.label_space else 'no truth'
            raise ConfigError(f'{text} has {found}, wanted the label space {space.name}, the same '
                              'classes in the same order: name another source, or change '
                              'label_space')
        counts = source.check() if isinstance(source, FramePairs) else None
        if counts is not None and not config.in_memory:
            frames.read_later(source, counts)
            continue
        for frame in source:
            if frame.truth is not None:
                frames.keep(frame)
    return frames


def render_frames(count: int) -> Frames:
    """Render scenes with seeds that no demo and no evaluation uses, on all cores."""
    frames = Frames()
    if count:
        seeds = range(TRAINING_SEED, TRAINING_SEED + count)
        with ProcessPoolExecutor(mp_context=get_context('spawn')) as pool:
            for frame in pool.map(render_scene, seeds, chunksize=16):
                frames.keep(frame)
    return frames


def class_weights(counts: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Weigh classes by the square root of median frequency / frequency: (classes,) float32.

    Median frequency balancing (Eigen and Fergus, ICCV 2015), its root taken, since the full
    weights trade away the precision of rare classes.

    Args:
        counts: pixels of each train id, (256,) int64.
        space: whose classes are weighed.
    """
    pixels = np.maximum(counts[:len(space.classes)], 1)
    return np.sqrt(np.median(pixels) / pixels).astype(np.float32)


class Crops:
    """All crops of a run, numbered: crop `step * batch + slot` is in slot `slot` of step `step`.

    A crop depends on the seed and its number only, so that a resumed run sees the same ones, and
    so do several processes that share the slots of a batch.

    Args:
        config: of the run.
        real: frames that are each shown once before any is shown again.
        synthetic: rendered frames, likewise; they fill the first slots of every batch.
    """

    def __init__(self, config: TrainingConfig, real: Frames, synthetic: Frames) -> None:
        self.config = config
        self.real = real
        self.synthetic = synthetic
        self.rendered = round(config.synthetic_share * config.batch) if len(synthetic) else 0

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Give image (H, W, 3) uint8 RGB and truth (H, W) uint8."""
        step, slot = divmod(number, self.config.batch)
        if slot < self.rendered:
            frames, count = self.synthetic, step * self.rendered + slot
        else:
            others = self.config.batch - self.rendered
            frames, count = self.real, step * others + slot - self.rendered
        epoch, place = divmod(count, len(frames))
        frame = frames[_order(len(frames), self.config.seed, epoch)[place]]
        return augment(frame, self.config, np.random.default_rng((self.config.seed, number)))


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, count)).permutation(count)


def batches(crops: Crops, first_step: int, last_step: int, rank: int,
            processes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield this process's part of the batches of steps first_step..last_step - 1.

    Threads make them ahead: OpenCV and NumPy work without the interpreter's lock, and frames in
    memory are shared.

    Yields:
        Images (n, H, W, 3) uint8 RGB and truths (n, H, W) uint8, n = batch / processes.
    """
    batch = crops.config.batch
    with ThreadPoolExecutor(crops.config.workers) as pool:
        prepared: deque[list[Future]] = deque()
        for step in range(first_step, last_step):
            numbers = range(step * batch + rank, (step + 1) * batch, processes)
            prepared.append([pool.submit(crops.__getitem__, number) for number in numbers])
            if len(prepared) > PREPARED:
                yield _stacked(prepared.popleft())
        while prepared:
            yield _stacked(prepared.popleft())


def _stacked(pending: list[Future]) -> tuple[Tensor, Tensor]:
    images, truths = zip(*(crop.result() for crop in pending), strict=True)
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(truths))
