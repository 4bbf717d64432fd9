"""Small trees in the layouts of the data sets."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, image: np.ndarray) -> Path:
    """Write (H, W) uint8, or (H, W, 3) uint8 RGB, in the format of the suffix; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = (cv2.IMWRITE_JPEG_QUALITY, 100) if path.suffix == '.jpg' else ()
    assert cv2.imwrite(str(path), image if image.ndim == 2 else image[:, :, ::-1], quality)
    return path


def write_city(root: Path, name: str, image: np.ndarray, split: str = 'val',
               **labels: np.ndarray) -> None:
    """Write a frame `CITY_SEQUENCE_FRAME` of Cityscapes.

    `labels` are its label images by kind: labelIds, labelTrainIds.
    """
    city = name.partition('_')[0]
    write_picture(root / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png', image)
    for kind, values in labels.items():
        write_picture(root / 'gtFine' / split / city / f'{name}_gtFine_{kind}.png', values)
