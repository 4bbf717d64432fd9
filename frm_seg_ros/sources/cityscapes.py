"""Cityscapes: `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and the truth in `gtFine/SPLIT/CITY`.

The truth comes in two kinds of files, facts after cityscapesscripts (helpers/labels.py and
preparation/json2labelImg.py):

- `*_gtFine_labelIds.png`, in every download: ids 0 to 33. Never 255: what has no label is 0, and
  the one label without an id (license plate, -1) is not drawn.
- `*_gtFine_labelTrainIds.png`, made by users: train ids 0 to 18, and 255 for all that is ignored.

A split is read from its labelIds if it has any, else from its labelTrainIds, never from both. Ids
taken for train ids, or the reverse, would be wrong truth without a sign, so the values have to fit
the name. 255 proves train ids; 19 to 33 prove ids. A label image with neither, all of it 0 to 18,
is taken as what it is named, for one image alone cannot tell. `Cityscapes.check` looks at the
whole split: labelIds that never go beyond 18 have no vegetation, sky, person or vehicle in any
image, though they have roads or buildings, and are refused as train ids.

It cannot be told whether labelTrainIds without any 255 are ids of a split that has none above 18,
nor whether labelIds that have nothing but 0 to 6 are train ids: they read as a split in which all
is ignored, as the test split's dummies are.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.sources.images import ImageFiles
from frm_seg_ros.sources.pairs import FramePairs, find_files, missing, pair_up, split_text
from frm_seg_ros.sources.truth import check_truth, read_label_image

LABEL_IDS, TRAIN_IDS = 'labelIds', 'labelTrainIds'


def open_cityscapes(text: str) -> ImageFiles:
    """Open `ROOT:SPLIT`, such as `data/cityscapes:val`; the last colon separates.

    The images are single ones of many drives: they are stamped in order, 10 to the second.

    Returns:
        Cityscapes in the label space `cityscapes`; a source without truth where the split has
        neither labelIds nor labelTrainIds.

    Raises:
        ConfigError: if there is no such split, or its images and label images do not pair.
    """
    root, split = split_text(text, 'cityscapes')
    folder = root / 'leftImg8bit' / split
    images = find_files(folder, '*/*', '_leftimg8bit.png')
    if not images:
        raise missing(folder, 'leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with SPLIT train, val or '
                              'test')
    for kind in (LABEL_IDS, TRAIN_IDS):
        truths = find_files(root / 'gtFine' / split, '*/*', f'_gtfine_{kind.lower()}.png')
        if truths:
            return Cityscapes(pair_up(images, truths, root), kind)
    return ImageFiles(list(images.values()), upright=False)


class Cityscapes(FramePairs):
    """One split of Cityscapes with its truth, city by city.

    Attributes:
        kind: LABEL_IDS or TRAIN_IDS: what the label images are named, and hold.
    """

    def __init__(self, pairs: list[tuple[Path, Path]], kind: str) -> None:
        space = LabelSpace.load('cityscapes')
        super().__init__(pairs, space, partial(_read, kind=kind, space=space))
        self.kind = kind

    def check(self, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Read every frame once, as FramePairs.check; then ask whether labelIds hold ids at all.

        Raises:
            ConfigError: as there, or if all labelIds of the split must be train ids.
        """
        counts = super().check(progress)
        classes = self.label_space.classes
        low = [label.train_id for label in classes if label.id < len(classes)]
        high = [label.train_id for label in classes if label.id >= len(classes)]
        if self.kind == LABEL_IDS and counts[low].any() and not counts[high].any():
            raise ConfigError(
                f'no label image beside {self.truths[0]} has an id above {len(classes) - 1}, so '
                f'that they must be train ids: name them *_gtFine_{TRAIN_IDS}.png, or restore '
                'them')
        return counts


def _read(path: Path, size: tuple[int, int], kind: str, space: LabelSpace) -> np.ndarray:
    """Read a label image of a kind as train ids, (H, W) uint8."""
    labels = read_label_image(path)
    ids = [label.id for label in space.labels if label.id >= 0]
    check_truth(labels, size, ids, f'the label image {path}')
    first_sure_id = len(space.classes)      # train ids end below it
    other, proofs = (TRAIN_IDS, [IGNORE]) if kind == LABEL_IDS else \
        (LABEL_IDS, [number for number in ids if number >= first_sure_id])
    found = np.intersect1d(np.flatnonzero(cv2.calcHist([labels], [0], None, [256], [0, 256])),
                           proofs)
    if found.size:
        raise ConfigError(f'the label image {path} is named {kind}, but holds {found[0]}, which '
                          f'only {other} do: name it *_gtFine_{other}.png, or restore it')
    return space.to_train_id.take(labels) if kind == LABEL_IDS else labels
