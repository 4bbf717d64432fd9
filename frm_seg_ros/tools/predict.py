"""Label images, a video or a bag, and write the labels as pictures."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.base import SOURCES, FrameSource, open_source
from frm_seg_ros.sources.images import PICTURES, ImageFiles
from frm_seg_ros.sources.pairs import first_few
from frm_seg_ros.tools.progress import track

ALPHA = 0.5     # weight of the colours in an overlay


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
        return ImageFiles([path])
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


def predict(source: FrameSource, segmenter: Segmenter, out: str | Path, ids: bool = False) -> int:
    """Write `labels/NAME.png` (255 = unlabelled) and `overlay/NAME.jpg` of every frame.

    NAME is the name of the image file, else the number of the frame from 000000 on. Every file is
    written whole or not at all; files of other names stay as they are. Truth in files is not read;
    image files that cannot be read are left out, and told of when all others are labelled.

    Args:
        source: the frames.
        segmenter: the model.
        out: folder, made when missing.
        ids: write the ids of the model's label space in place of train ids. With images of
            Cityscapes and a model of its labels this makes what the benchmark and its script
            (evalPixelLevelSemanticLabeling of cityscapesscripts) take: PNGs in any folder whose
            names begin with CITY_SEQUENCE_FRAME.

    Returns:
        The number of frames labelled.

    Raises:
        ConfigError: after the last frame, if images were left out; counts them and tells of the
            first few.
    """
    out, names, count, bad = Path(out), _names(source), 0, []
    values = segmenter.label_space.to_id if ids else np.arange(256, dtype=np.uint8)
    for index, image in enumerate(track(_images(source), len(source), 'frames')):
        if isinstance(image, ConfigError):
            bad.append(str(image))
            continue
        name = names[index] if names else f'{index:06d}'
        labels = segmenter([image])[0].labels
        painted = overlay(image, labels, segmenter.label_space, ALPHA)
        _write_image(out / 'labels' / f'{name}.png', values[labels])
        _write_image(out / 'overlay' / f'{name}.jpg', painted[:, :, ::-1])
        count += 1
    if bad:
        raise ConfigError(f'{count} frames are labelled in {out}, {len(bad)} could not be read: '
                          f'{first_few(bad)}')
    return count


def _images(source: FrameSource) -> Iterator[np.ndarray | ConfigError]:
    """Yield the image of every frame, or what is wrong with its file."""
    if not isinstance(source, ImageFiles):
        yield from (frame.image for frame in source)
        return
    for index in range(len(source)):
        try:
            yield source.image(index)
        except ConfigError as error:
            yield error


def _names(source: FrameSource) -> list[str]:
    """Give the names of image files; none where there are no files, or two of one name."""
    stems = [file.stem for file in source.files] if isinstance(source, ImageFiles) else []
    return stems if len(set(stems)) == len(stems) else []


def _write_image(path: Path, image: np.ndarray) -> None:
    """Write (H, W) or BGR (H, W, 3) uint8 in the format of the suffix."""
    ok, data = cv2.imencode(path.suffix, np.ascontiguousarray(image))
    if not ok:
        raise ConfigError(f'OpenCV cannot write {path.suffix} files: install another OpenCV')
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
