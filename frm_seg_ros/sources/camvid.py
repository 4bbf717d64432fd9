"""CamVid in the eleven-class form of SegNet: `SPLIT/images/*.jpg` and `SPLIT/labels/*.png`."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.images import list_pictures, natural, read_picture, stamp_of
from frm_seg_ros.sources.truth import check_truth

# Brostow, Fauqueur, Cipolla (2009): the drives were filmed at 30 Hz; names end with the frame's
# number. Every second frame of the validation drive is labelled.
VIDEO_HZ = 30.0
LABELLED_HZ = VIDEO_HZ / 2


def open_camvid(text: str) -> CamVid:
    """Open `ROOT:SPLIT`, such as `data/camvid:val`; the last colon separates.

    Raises:
        ConfigError: if there is no such split, or its images and labels do not pair.
    """
    root, _, split = text.rpartition(':')
    if not root or not split:
        raise ConfigError(f'{text!r} names no split: write camvid:ROOT:SPLIT, such as '
                          'camvid:data/camvid:val')
    return CamVid(Path(root).expanduser(), split)


class CamVid:
    """One split of CamVid, in natural order of the names.

    A split that is one drive (names `DRIVE_NUMBER` of one drive) has the stamps of the video:
    played in order it is a real camera stream. Others are stamped in order, 15 to the second.

    Attributes:
        label_space: `camvid`.
        rate_hz: that of the stamps.
        pairs: image and label file of every frame.
    """

    def __init__(self, root: Path, split: str) -> None:
        for folder in (root / split / 'images', root / split / 'labels'):
            if not folder.is_dir():
                found = sorted(item.name for item in root.iterdir()) if root.is_dir() else []
                raise ConfigError(f'{folder} is not there: {root} holds {_listed(found)}; wanted '
                                  'SPLIT/images and SPLIT/labels with SPLIT train, val or test')
        self.label_space = LabelSpace.load('camvid')
        self.pairs = _paired(root / split)
        self._stamps, self.rate_hz = _timed([image.stem for image, _ in self.pairs])

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Frame]:
        """Read one pair after another.

        Raises:
            ConfigError: if a file cannot be decoded, or a label image has another size than its
                image or a value that is no id of the label space.
        """
        for (image_file, label_file), stamp_ns in zip(self.pairs, self._stamps, strict=True):
            image = read_picture(image_file)
            yield Frame(image, stamp_ns, truth=self._read_truth(label_file, image.shape[:2]))

    def _read_truth(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        ids = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) \
            if path.stat().st_size else None
        if ids is None:
            raise ConfigError(f'{path} cannot be decoded: restore the label image')
        known = [label.id for label in self.label_space.labels if label.id >= 0]
        check_truth(ids, size, known, f'the label image {path}')
        return self.label_space.to_train_id[ids]


def _paired(folder: Path) -> list[tuple[Path, Path]]:
    """Pair images and labels by their stems."""
    images = {file.stem: file for file in list_pictures(folder / 'images')}
    labels = {file.stem: file for file in list_pictures(folder / 'labels')
              if file.suffix.lower() == '.png'}
    unpaired = sorted(images.keys() ^ labels.keys(), key=natural)
    if unpaired:
        raise ConfigError(f'{len(unpaired)} names in {folder} have an image without a label or a '
                          f'label (PNG) without an image: {_listed(unpaired)}; restore the other '
                          'file or remove this one')
    return [(image, labels[stem]) for stem, image in images.items()]


def _listed(names: list[str], most: int = 5) -> str:
    return (', '.join(names[:most]) or 'nothing') + (' ...' if len(names) > most else '')


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
