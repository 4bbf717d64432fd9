"""Videos that browsers play: VP9 in WebM."""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.resize import resize_image

# OpenCV runs the VP9 encoder at its slow setting and gives no way to change that, and most of its
# time goes into the noise of the camera: 210 ms a frame of 480x360 as it is, 65 ms at this width
# and smoothed (diameter in pixels, sigma of colour, sigma in pixels; edges stay).
_WIDTH = 360
_SMOOTHING = (5, 50, 5)


def write_video(path: str | Path, images: Iterable[np.ndarray], rate_hz: float) -> int:
    """Write a video, whole or not at all, and read it back.

    Args:
        path: file that ends in `.webm`.
        images: (H, W, 3) uint8 RGB, all of one size; shown smaller where they are wide.
        rate_hz: frames a second.

    Returns:
        The number of frames.

    Raises:
        ConfigError: if this OpenCV cannot write VP9, there is no image, sizes differ, or the file
            holds another number of frames than was written.
    """
    writer, size, count = None, None, 0
    with atomic_path(path) as temporary:
        try:
            for count, image in enumerate(images, 1):
                shown = _prepare(image)
                if writer is None:
                    size, writer = image.shape, _open(temporary, shown.shape, rate_hz)
                if image.shape != size:
                    raise ConfigError(f'image {count} of the video is {image.shape}, those before '
                                      f'are {size}: a video needs one size')
                writer.write(shown)
        finally:
            if writer is not None:
                writer.release()
        if not count:
            raise ConfigError('there is no image to make a video of')
        found = count_frames(temporary)
        if found != count:
            raise ConfigError(f'the video holds {found} of {count} frames: install another OpenCV')
    return count


def _prepare(image: np.ndarray) -> np.ndarray:
    """Shrink and smooth an RGB image for the encoder; gives BGR."""
    height, width = image.shape[:2]
    scale = min(1.0, _WIDTH / width)
    shown = resize_image(image, (max(2, round(height * scale)), max(2, round(width * scale))))
    return cv2.bilateralFilter(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), *_SMOOTHING)


def _open(path: Path, shape: tuple[int, ...], rate_hz: float) -> cv2.VideoWriter:
    with _silence():
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'VP90'),
                                 rate_hz, (shape[1], shape[0]))
    if not writer.isOpened():
        raise ConfigError('this OpenCV cannot write VP9 videos: install opencv-python-headless '
                          'from the package index')
    return writer


@contextmanager
def _silence() -> Iterator[None]:
    """Keep OpenCV's complaint about the tag off stderr: WebM has none, and needs none."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def count_frames(path: str | Path) -> int:
    """Count the frames of a video by decoding it."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count
