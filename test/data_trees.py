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


ROBOT_LABELS = """\
name: robot
labels:
  - {name: unlabelled, id: 0, train_id: 255, category: void, color: [0, 0, 0]}
  - {name: floor, id: 1, train_id: 0, category: flat, color: [120, 200, 120]}
  - {name: obstacle, id: 2, train_id: 1, category: object, color: [200, 60, 40]}
  - {name: person, id: 7, train_id: 2, category: human, color: [220, 200, 0]}
"""


def write_robot(root: Path, count: int = 2, size: tuple[int, int] = (64, 96),
                split: str = 'train', block: int = 8) -> Path:
    """Write `labels.yaml`, and frames of random blocks painted in the colours of their labels.

    Returns:
        The path of `labels.yaml`.
    """
    rng = np.random.default_rng(3)
    colors = np.zeros((256, 3), np.uint8)
    colors[[1, 2, 7]] = (120, 200, 120), (200, 60, 40), (220, 200, 0)
    for index in range(count):
        grid = (size[0] // block, size[1] // block)
        blocks = rng.choice(np.array([0, 1, 2, 7, 255], np.uint8), grid)
        ids = blocks.repeat(block, 0).repeat(block, 1)
        write_picture(root / split / 'labels' / f'{index}.png', ids)
        write_picture(root / split / 'images' / f'{index}.png', colors[ids])
    (root / 'labels.yaml').write_text(ROBOT_LABELS, encoding='utf-8')
    return root / 'labels.yaml'
