"""Labelled images of one's own: `SPLIT/images` and `SPLIT/labels`, beside one `labels.yaml`.

Label images are grey PNGs with the names of their images. They hold the ids of `labels.yaml`,
which has the form of config/labels/*.yaml, and 255 where nothing is labelled.
"""
from __future__ import annotations

from functools import partial
from pathlib import Path

from frm_seg_ros.core.label_space import LABELS, LabelSpace
from frm_seg_ros.sources.images import PICTURES
from frm_seg_ros.sources.pairs import FramePairs, find_files, missing, pair_up, split_text
from frm_seg_ros.sources.truth import read_truth

_WANTED = f'{LABELS}, and SPLIT/images/*.jpg (or .png) with SPLIT/labels/*.png of the same names'


def open_labelled(text: str) -> FramePairs:
    """Open `ROOT:SPLIT`, such as `data/robot:train`; the last colon separates.

    Returns:
        FramePairs in the label space of ROOT/labels.yaml, stamped in order, 10 to the second.

    Raises:
        ConfigError: if there is no such split, its labels.yaml is no label space, or its images
            and label images do not pair.
    """
    root, split = split_text(text, 'labelled')
    if not (root / LABELS).is_file():
        raise missing(root, _WANTED)
    space = LabelSpace.load(root / LABELS)
    images = _files(root / split / 'images', *PICTURES)
    truths = _files(root / split / 'labels', '.png')
    return FramePairs(pair_up(images, truths, root / split), space,
                      partial(read_truth, space=space))


def _files(folder: Path, *endings: str) -> dict[str, Path]:
    found = find_files(folder, '*', *endings)
    if not found:
        raise missing(folder, _WANTED)
    return found
