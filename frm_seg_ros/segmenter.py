"""The single door to inference: images in, predictions out."""
from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frm_seg_ros.backends.base import open_backend
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction, check_image
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.resize import resize_image

# Sides of the network's input; the largest keeps one image under half a gigabyte of float32.
SMALLEST, LARGEST = 64, 6144


class Segmenter:
    """A model on a backend.

    Use `Segmenter.open`; then call it with images and get their predictions in camera pixels.

    Attributes:
        card: the model's card.
        label_space: the space of the labels.
        backend: the open backend.
        chosen: one line saying which backend runs on which device, and why.
        size: (height, width) at which the network runs.
    """

    def __init__(self, card: ModelCard, backend: str = 'auto', device: str = 'auto',
                 size: tuple[int, int] | None = None) -> None:
        self.card = card
        self.label_space = LabelSpace.load(card.label_space)
        self.size = size or card.input_size
        if not SMALLEST <= min(self.size) <= max(self.size) <= LARGEST:
            raise ConfigError(f'the network size is {self.size[0]}x{self.size[1]}: take one from '
                              f'{SMALLEST}x{SMALLEST} to {LARGEST}x{LARGEST}')
        classes = card.architecture.get('classes', len(self.label_space.classes))
        if classes != len(self.label_space.classes):
            raise ConfigError(f'the card of {card.name} has an architecture of {classes} classes, '
                              f'but {card.label_space} has {len(self.label_space.classes)}: '
                              'restore the card')
        self.backend, self.chosen = open_backend(backend, card, device)

    @classmethod
    def open(cls, model: str | Path, backend: str = 'auto', device: str = 'auto',
             size: tuple[int, int] | None = None) -> Segmenter:
        """Open a model by name or folder.

        Args:
            model: name of a shipped model, or folder that holds a `card.yaml`.
            backend: `auto` or a name in `backends.base.BACKENDS`.
            device: `auto`, `cpu` or `cuda`.
            size: (height, width) at which the network runs; the card's when None.

        Raises:
            ConfigError: if the model, backend or device is wrong; one sentence says how.
        """
        return cls(ModelCard.load(model), backend, device, size)

    def __call__(self, images: Sequence[np.ndarray], confidence: bool = False) -> list[Prediction]:
        """Label a batch of images, which may differ in size.

        Args:
            images: each (H, W, 3) uint8 RGB.
            confidence: whether confidence is wanted too.

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
        batch = np.stack([resize_image(image, self.size) for image in images])
        resized = time.perf_counter()
        sizes = [image.shape[:2] for image in images]
        results = self.backend.run(batch, sizes, confidence)
        times = {'pre': 1e3 * (resized - start),
                 'inference': 1e3 * (time.perf_counter() - resized),
                 'decode': self.backend.decode_ms}
        return [Prediction(labels, conf, times) for labels, conf in results]

    def close(self) -> None:
        """Free the device."""
        self.backend.close()
