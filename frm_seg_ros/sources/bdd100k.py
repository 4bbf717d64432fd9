"""BDD100K's ten thousand images for semantic segmentation, with their masks.

Folders and values are those of its documentation (https://doc.bdd100k.com, pages `Data Download`
and `Label Format`): `images/10k/SPLIT/NAME.jpg` with `labels/sem_seg/masks/SPLIT/NAME.png`, which
hold 0 to 18 and 255 for what is not scored; `test` has no masks.
"""
from __future__ import annotations

from functools import partial

from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.images import PICTURES, ImageFiles
from frm_seg_ros.sources.pairs import FramePairs, find_files, missing, pair_up, split_text
from frm_seg_ros.sources.truth import read_truth


def open_bdd100k(text: str) -> ImageFiles:
    """Open `ROOT:SPLIT`, such as `data/bdd100k:val`; the last colon separates.

    The images are single ones of many drives: they are stamped in order, 10 to the second.

    Returns:
        FramePairs in the label space `bdd100k`; a source without truth where the split has no
        masks.

    Raises:
        ConfigError: if there is no such split, or its images and masks do not pair.
    """
    root, split = split_text(text, 'bdd100k')
    folder = root / 'images' / '10k' / split
    images = find_files(folder, '*', *PICTURES)
    if not images:
        raise missing(folder, 'images/10k/SPLIT/*.jpg with SPLIT train, val or test')
    masks = find_files(root / 'labels' / 'sem_seg' / 'masks' / split, '*', '.png')
    if not masks:
        return ImageFiles(list(images.values()), upright=False)
    space = LabelSpace.load('bdd100k')
    return FramePairs(pair_up(images, masks, root), space, partial(read_truth, space=space))
