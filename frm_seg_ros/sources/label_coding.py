"""How label images are coded, told and checked, and the way from there to train ids."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.truth import check_truth

# What the pixels of a label image hold: train ids, the data set's own ids, or colours.
CODINGS = ('train-ids', 'ids', 'colors')
_RGB_WEIGHTS = np.array([1 << 16, 1 << 8, 1], np.int32)


@dataclass(frozen=True)
class LabelCoding:
    """What the pixels of label images mean.

    Attributes:
        coding: one of CODINGS.
        space: the label space; None where nobody told it, which is enough for train ids only.
        resize: whether label images of another size than their image are brought to it, each
            pixel getting the label of the nearest one.

    Raises:
        ConfigError: if the coding is unknown or needs a label space, or classes share a colour.
    """

    coding: str
    space: LabelSpace | None
    resize: bool = False

    def __post_init__(self) -> None:
        if self.coding not in CODINGS:
            raise ConfigError(f'no coding of label images is called {self.coding!r}: take one of '
                              f'{", ".join(CODINGS)}')
        if self.space is None and self.coding != 'train-ids':
            raise ConfigError(f'label images coded as {self.coding} need a label space: name it, '
                              'such as cityscapes')
        if self.coding == 'colors' and len(self._color_table[0]) < len(
                {label.color for label in self.space.labels}):
            raise ConfigError(f'label space {self.space.name} has classes of one colour, so that '
                              'colours do not tell them apart: take label images with ids')

    @property
    def in_color(self) -> bool:
        """Tell whether pixels have three channels, RGB."""
        return self.coding == 'colors'

    @cached_property
    def _values(self) -> list[int]:
        """List the values that single-channel label images may hold."""
        if self.space is None:
            return list(range(255))
        if self.coding == 'ids':
            return [label.id for label in self.space.labels if label.id >= 0]
        return list(range(len(self.space.classes)))

    @cached_property
    def _color_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the colours as sorted numbers (N,) and their train ids; classes win over ignored.

        Colours that two classes share are left out.
        """
        found: dict[int, set[int]] = {}
        for label in self.space.labels:
            found.setdefault(int(np.array(label.color) @ _RGB_WEIGHTS), set()).add(label.train_id)
        table = {number: min(ids) for number, ids in sorted(found.items())
                 if len(ids - {255}) <= 1}
        return np.array(list(table)), np.array(list(table.values()), np.uint8)

    def decode(self, picture: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
        """Give the train ids of a label image.

        Args:
            picture: as stored; (H, W) uint8, or (H, W, 3) uint8 RGB where `in_color`.
            size: (height, width) of its image.
            name: what it is, for the sentence of an error.

        Returns:
            (H, W) uint8 train ids, 255 = ignored.

        Raises:
            ConfigError: if it differs in form or size, or has values or colours of no label.
        """
        if picture.shape[:2] != size and not self.resize:
            raise ConfigError(f'{name} is {picture.shape[0]}x{picture.shape[1]}, its image is '
                              f'{size[0]}x{size[1]}: both must have one size, or tell to resize '
                              'labels by --resize-labels')
        if self.in_color:
            picture = self._from_colors(picture, name)
        if picture.shape[:2] != size:
            picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        check_truth(picture, size, range(255) if self.in_color else self._values, name)
        return self.space.to_train_id.take(picture) if self.coding == 'ids' else picture

    def _from_colors(self, picture: np.ndarray, name: str) -> np.ndarray:
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ConfigError(f'{name} is {picture.dtype} {picture.shape}, wanted three channels '
                              'of 8 bits: name the coding that it has, ids or train-ids')
        numbers, train_ids = self._color_table
        pixels = picture @ _RGB_WEIGHTS
        row = np.searchsorted(numbers, pixels).clip(max=len(numbers) - 1)
        strange = numbers[row] != pixels
        if strange.any():
            y, x = np.argwhere(strange)[0]
            raise ConfigError(
                f'{name} has {np.count_nonzero(strange)} pixels of colours that {self.space.name} '
                f'does not have, the first at row {y}, column {x} with RGB '
                f'{" ".join(map(str, picture[y, x]))}: name the right label space, and take label '
                'images that were neither resized smoothly nor stored as JPEG')
        return train_ids[row]
