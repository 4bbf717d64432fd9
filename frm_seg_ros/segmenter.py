"""The single door to inference: images in, predictions out."""
from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frm_seg_ros.backends.base import (
    BACKENDS,
    Backend,
    Labels,
    Progress,
    network_size,
    open_backend,
)
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction, check_image
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.resize import resize_image

# Sides of the network's input; the largest keeps one image under half a gigabyte of float32.
SMALLEST, LARGEST = 64, 6144
LARGEST_SCALE = 4
PLAIN = (1.0,)  # the scales of a run that averages nothing


class Segmenter:
    """A model on a backend.

    Use `Segmenter.open`; then call it with images and get their predictions in camera pixels.

    Attributes:
        card: the model's card.
        label_space: the space of the labels.
        backend: the open backend.
        chosen: one line saying which backend runs on which device in which precision, and why.
        size: (height, width) at which the network runs; see `backends.base.network_size`.
        scales: multiples of that size whose results are averaged.
        flip: whether the mirrored image counts too.
    """

    def __init__(self, card: ModelCard, backend: str = 'auto', device: str = 'auto',
                 size: tuple[int, int] | None = None, scales: Sequence[float] = PLAIN,
                 flip: bool = False, precision: str = 'auto',
                 build_engine: Progress | None = None) -> None:
        self.card = card
        self.label_space = card.load_label_space()
        size = size or card.input_size
        self.scales, self.flip = tuple(scales), flip
        self._sizes = network_sizes(size, self.scales)
        card.check_size(size)
        classes = card.architecture.get('classes', len(self.label_space.classes))
        if classes != len(self.label_space.classes):
            raise ConfigError(f'the card of {card.name} has an architecture of {classes} classes, '
                              f'but {card.label_space} has {len(self.label_space.classes)}: '
                              'restore the card')
        self._averages = flip or self.scales != PLAIN
        if self._averages:
            self.backend, self.chosen = _open_averaging(backend, card, device, precision)
        else:
            self.backend, self.chosen = open_backend(backend, card, device, precision, size,
                                                     build_engine)
        self.size = network_size(self.backend.name, card, size)
        self._sizes = network_sizes(self.size, self.scales)

    @classmethod
    def open(cls, model: str | Path, backend: str = 'auto', device: str = 'auto',
             size: tuple[int, int] | None = None, scales: Sequence[float] = PLAIN,
             flip: bool = False, precision: str = 'auto',
             build_engine: Progress | None = None) -> Segmenter:
        """Open a model by name or folder.

        Args:
            model: name of a shipped model, or folder that holds a `card.yaml`.
            backend: `auto` or a name in `backends.base.BACKENDS`.
            device: `auto`, `cpu` or `cuda`.
            size: (height, width) at which the network runs; the card's when None.
            scales: for offline work: run at these multiples of `size`, each side rounded to the
                nearest whole number, and average the probabilities. Above 0, at most 4.
            flip: run the mirrored image too, at every scale. Anything but one scale of 1 without
                flip needs backend torch, which `auto` then takes.
            precision: `auto` or one of `core.precision.PRECISIONS`; `auto` takes the fastest that
                the card shows to keep its mIoU.
            build_engine: lets TensorRT, chosen by name or `auto`, build an engine where it has
                none, which takes minutes; is told how far it is, and ends it by raising.

        Raises:
            ConfigError: if the model, backend, device, size, a scale or the precision is wrong;
                one sentence says how.
        """
        return cls(ModelCard.load(model), backend, device, size, scales, flip, precision,
                   build_engine)

    def __call__(self, images: Sequence[np.ndarray], confidence: bool = False) -> list[Prediction]:
        """Label a batch of images, which may differ in size.

        Args:
            images: each (H, W, 3) uint8 RGB.
            confidence: whether confidence is wanted too; there is none where the card has none.

        Returns:
            A prediction an image, in its own pixels; `times_ms` has `pre` (resize), `inference`
            (the backend, decoding included) and `decode` (that part of it) of the whole batch.

        Raises:
            ValueError: if an image is no (H, W, 3) uint8 array.
        """
        for image in images:
            check_image(image)
        if not images:
            return []
        start = time.perf_counter()
        batches = [np.stack([resize_image(image, size) for image in images])
                   for size in self._sizes]
        resized = time.perf_counter()
        sizes = [image.shape[:2] for image in images]
        if self._averages:
            results = self.backend.run_averaged(batches, sizes, confidence, self.flip)
            decode_ms = self.backend.decode_ms
        else:
            results, decode_ms = self._run(batches[0], sizes, confidence)
        times = {'pre': 1e3 * (resized - start),
                 'inference': 1e3 * (time.perf_counter() - resized),
                 'decode': decode_ms}
        return [Prediction(labels, conf, times) for labels, conf in results]

    def _run(self, batch: np.ndarray, sizes: Sequence[tuple[int, int]],
             confidence: bool) -> tuple[list[Labels], float]:
        """Run the backend, image by image where the network takes no more."""
        step = 1 if self.card.one_by_one else len(batch)
        results, decode_ms = [], 0.0
        for first in range(0, len(batch), step):
            part = slice(first, first + step)
            results += self.backend.run(batch[part], sizes[part], confidence)
            decode_ms += self.backend.decode_ms
        return results, decode_ms

    def close(self) -> None:
        """Free the device."""
        self.backend.close()


def _open_averaging(name: str, card: ModelCard, device: str,
                    precision: str) -> tuple[Backend, str]:
    """Open torch, which alone averages several runs; else do as `open_backend`."""
    if name in BACKENDS and name != 'torch':
        raise ConfigError(f'backend {name} runs at scale 1 only, not mirrored: choose backend '
                          'torch, or leave out scales and flip')
    backend, _ = open_backend('torch' if name == 'auto' else name, card, device, precision)
    return backend, (f'backend torch on {backend.device}, which alone averages several runs; '
                     f'precision {backend.precision}, {backend.precision_why}')


def network_sizes(size: tuple[int, int], scales: Sequence[float]) -> list[tuple[int, int]]:
    """Give scale x size for every scale, each side rounded to the nearest integer, halves up.

    Raises:
        ConfigError: if a scale or what it makes of the size is out of range.
    """
    sizes = []
    for scale in scales:
        if not 0 < scale <= LARGEST_SCALE:  # which NaN is not either
            raise ConfigError(f'{scale:g} is no scale: take one above 0 and at most '
                              f'{LARGEST_SCALE}')
        height, width = (int(scale * side + 0.5) for side in size)
        if not SMALLEST <= min(height, width) <= max(height, width) <= LARGEST:
            where = '' if scale == 1 else f' at scale {scale:g}'
            raise ConfigError(f'the network size{where} is {height}x{width}: take one from '
                              f'{SMALLEST}x{SMALLEST} to {LARGEST}x{LARGEST}')
        sizes.append((height, width))
    if not sizes:
        raise ConfigError('there is no scale: name one, such as 1')
    return sizes


def mode_text(scales: Sequence[float], flip: bool) -> str:
    """Say in words how images are run, as every figure must that is told of."""
    numbers = ', '.join(f'{scale:g}' for scale in scales)
    return f'scale{"s" if len(scales) > 1 else ""} {numbers}{", also mirrored" if flip else ""}'
