"""The published, colour-coded form of CamVid: its colours, their classes, and the usual splits."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from frm_seg_ros.core.bounds import read_yaml
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.truth import check_truth, read_label_image

_LABEL_ENDING = '_L'
# Red, green and blue in one number; OpenCV gives them as blue, green, red.
_BGR_WEIGHTS = np.array([1, 1 << 8, 1 << 16], np.int32)


class CamVidColors:
    """What config/labels/colors/camvid.yaml says, in the classes of a label space.

    Attributes:
        label_space: the space of the truth.
        splits: `[drive, first frame, last frame]` of every part of each split, by its name.
    """

    def __init__(self, space: LabelSpace) -> None:
        path = share_dir() / 'config' / 'labels' / 'colors' / 'camvid.yaml'
        facts = read_yaml(path)
        train_ids = {label.name: label.train_id for label in space.labels}
        colors = np.array([row['color'] for row in facts['labels']])
        numbers = colors[:, ::-1] @ _BGR_WEIGHTS
        order = np.argsort(numbers)
        self.label_space = space
        self.splits: dict[str, list[list]] = facts['splits']
        self._stray = {f'{name}{_LABEL_ENDING}' for name in facts['stray']}
        self._numbers = numbers[order]
        self._train_ids = np.array([train_ids[row['to']] for row in facts['labels']],
                                   np.uint8)[order]

    def names(self, split: str, names: Iterable[str]) -> list[str]:
        """Choose the names `DRIVE_NUMBER` or `DRIVE_fNUMBER` that belong to a split.

        Raises:
            ConfigError: if there is no such split.
        """
        if split not in self.splits:
            raise ConfigError(f'the colour-coded CamVid has no split {split!r}: take one of '
                              f'{", ".join(self.splits)}')
        return [name for name in names if _within(name, self.splits[split])]

    def read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """Read a colour-coded label image.

        Args:
            path: a PNG with three channels of 8 bits.
            size: (height, width) of its image.

        Returns:
            Train ids: (H, W) uint8, 255 = ignored.

        Raises:
            ConfigError: if it cannot be decoded, has another size or form, or a colour that is
                none of the data set's; names the first such pixel.
        """
        bgr = read_label_image(path)
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8:
            raise ConfigError(f'the label image {path} is {bgr.dtype} {bgr.shape}, wanted three '
                              'channels of 8 bits: restore the published file')
        pixels = bgr @ _BGR_WEIGHTS
        row = np.searchsorted(self._numbers, pixels).clip(max=len(self._numbers) - 1)
        labels = self._train_ids[row]
        strange = self._numbers[row] != pixels
        if strange.any():
            if path.stem not in self._stray:
                raise _strange(path, bgr, strange)
            labels[strange] = 255
        check_truth(labels, size, range(len(self.label_space.classes)), f'the label image {path}')
        return labels


def _within(name: str, parts: list[list]) -> bool:
    drive, _, number = name.rpartition('_')
    number = number.removeprefix('f')
    return number.isdecimal() and any(drive == part[0] and part[1] <= int(number) <= part[2]
                                      for part in parts)


def _strange(path: Path, bgr: np.ndarray, strange: np.ndarray) -> ConfigError:
    y, x = np.argwhere(strange)[0]
    color = ' '.join(map(str, bgr[y, x, ::-1]))
    return ConfigError(f'the label image {path} has {np.count_nonzero(strange)} pixels of colours '
                       f'that CamVid does not have, the first at row {y}, column {x} with RGB '
                       f'{color}: restore the published file (a resized or JPEG copy has blended '
                       'colours)')
