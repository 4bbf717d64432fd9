"""Label images, a video or a bag, and write the labels as pictures."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.base import SOURCES, FrameSource, open_source
from frm_seg_ros.sources.images import PICTURES, ImageFolder
from frm_seg_ros.tools.progress import track

_ALPHA = 0.5


class Picture(ImageFolder):
    """A single image file as a source."""

    def __init__(self, file: Path) -> None:
        self.files = [file]


def open_input(text: str) -> FrameSource:
    """Open an image, a folder of images, a video, a bag, or a source such as `camvid:ROOT:val`.

    Raises:
        ConfigError: if it is none of these.
    """
    if text.partition(':')[0] in SOURCES:
        return open_source(text)
    path = Path(text).expanduser()
    if not path.exists():
        raise ConfigError(f'there is no {text}: name an image, a folder of images, a video or a '
                          'bag')
    if path.suffix.lower() in PICTURES:
        return Picture(path)
    files = path.iterdir() if path.is_dir() else [path]
    is_bag = any(file.suffix in ('.mcap', '.db3') or file.name == 'metadata.yaml'
                 for file in files)
    return open_source(f'{"bag" if is_bag else "images"}:{path}')


def check_folder(out: str | Path, force: bool) -> None:
    """Make sure that results may go to the folder `out`, before any work is done.

    Raises:
        ConfigError: if `out` is a file, or holds something and `force` is not given.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f'{out} is a file: name a folder')
    if out.is_dir() and any(out.iterdir()) and not force:
        raise ConfigError(f'{out} is not empty: name another folder, or add --force to write into '
                          'it')


def predict(source: FrameSource, segmenter: Segmenter, out: str | Path) -> int:
    """Write `labels/NAME.png` (train ids, 255 = unlabelled) and `overlay/NAME.jpg` of every frame.

    NAME is the name of the image file, else the number of the frame from 000000 on. Every file is
    written whole or not at all; files of other names stay as they are.

    Args:
        source: the frames.
        segmenter: the model.
        out: folder, made when missing.

    Returns:
        The number of frames.
    """
    out, names, count = Path(out), _names(source), 0
    for count, frame in enumerate(track(source, len(source), 'frames'), 1):
        name = names[count - 1] if names else f'{count - 1:06d}'
        labels = segmenter([frame.image])[0].labels
        painted = overlay(frame.image, labels, segmenter.label_space, _ALPHA)
        _write_image(out / 'labels' / f'{name}.png', labels)
        _write_image(out / 'overlay' / f'{name}.jpg', painted[:, :, ::-1])
    return count


def _names(source: FrameSource) -> list[str]:
    """Give the names of image files; none where there are no files, or two of one name."""
    stems = [file.stem for file in source.files] if isinstance(source, ImageFolder) else []
    return stems if len(set(stems)) == len(stems) else []


def _write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W) or BGR (H, W, 3) uint8 in the format of the suffix."""
    ok, data = cv2.imencode(path.suffix, np.ascontiguousarray(image))
    if not ok:
        raise ConfigError(f'OpenCV cannot write {path.suffix} files: install another OpenCV')
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
