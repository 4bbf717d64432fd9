"""Folders of images and video files as sources of frames, without truth."""
from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.bounds import MAX_PIXELS
from frm_seg_ros.core.encodings import decode_picture
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace

# What is not told otherwise comes at the pace of a slow camera.
DEFAULT_RATE_HZ = 10.0
PICTURES = ('.jpg', '.jpeg', '.png')
VIDEOS = ('.mp4', '.webm', '.avi')
# A container that declares more than this has no frame rate (cv2 gives 1000 or 90000 for some).
_MOST_HZ = 480.0

_log = logging.getLogger(__name__)


def open_images(text: str) -> ImageFiles | Video:
    """Open `DIR`, a folder of JPEG or PNG images, or a video file.

    Raises:
        ConfigError: if it is neither, or holds no picture.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return ImageFiles(list_pictures(path))
    if path.is_file() and path.suffix.lower() in VIDEOS:
        return Video(path)
    what = 'is no video' if path.is_file() else 'is not there'
    raise ConfigError(f'{path} {what}: name a folder of {", ".join(PICTURES)} images, or a '
                      f'{", ".join(VIDEOS)} file')


def natural(text: str) -> list[tuple[bool, int, str]]:
    """Give a key that sorts `frame9` before `frame10`, and numbers before letters."""
    return [(False, int(part), '') if part.isdecimal() else (True, 0, part)
            for part in re.split(r'(\d+)', text) if part]


def stamp_of(index: int, rate_hz: float) -> int:
    """Give the stamp of frame `index`, from 0 on, in nanoseconds."""
    return round(index * 1e9 / rate_hz)


def list_pictures(folder: Path) -> list[Path]:
    """List the images of a folder in natural order.

    Raises:
        ConfigError: if there are none.
    """
    files = [file for file in folder.iterdir()
             if file.suffix.lower() in PICTURES and not file.name.startswith('.')]
    if not files:
        raise ConfigError(f'{folder} holds no image: put {", ".join(PICTURES)} files there, or '
                          'name another folder')
    return sorted(files, key=lambda file: natural(file.name))


def read_picture(path: Path, upright: bool = False) -> np.ndarray:
    """Read a JPEG or PNG as (H, W, 3) uint8 RGB; `upright` as in `decode_picture`.

    Raises:
        ConfigError: if it cannot be read or decoded.
    """
    try:
        return decode_picture(path.read_bytes(), str(path), upright)
    except (OSError, FrameError) as error:
        raise ConfigError(f'{error}: restore or remove the file {path}') from error


class ImageFiles:
    """Image files in the order given, as a source without truth, stamped 10 to the second.

    Attributes:
        files: the images.
        label_space: None: there is no truth.
        rate_hz: 10.
        stamps_ns: the stamp of every image.
    """

    label_space: LabelSpace | None = None

    def __init__(self, files: Sequence[Path], upright: bool = True) -> None:
        """Take the images; `upright` turns each as an orientation in its file says."""
        self.files = list(files)
        self.rate_hz = DEFAULT_RATE_HZ
        self.stamps_ns = [stamp_of(index, self.rate_hz) for index in range(len(self.files))]
        self._upright = upright

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> np.ndarray:
        """Read the image of frame `index`, from 0 on: (H, W, 3) uint8 RGB.

        Raises:
            ConfigError: if it cannot be read or decoded.
        """
        return read_picture(self.files[index], self._upright)

    def frame(self, index: int) -> Frame:
        """Read frame `index`, from 0 on.

        Raises:
            ConfigError: if a file of it cannot be used; names it.
        """
        return Frame(self.image(index), self.stamps_ns[index])

    def __iter__(self) -> Iterator[Frame]:
        """Read one frame after another.

        Raises:
            ConfigError: as `frame` does.
        """
        for index in range(len(self)):
            yield self.frame(index)


class Video:
    """Frames of a video file, stamped as the container tells, the first with 0.

    Phones and screen recorders leave uneven gaps. A frame whose time the container does not tell
    follows the one before it at `rate_hz`.

    Attributes:
        label_space: None: there is no truth.
        rate_hz: the container's; 10 where it tells none.
    """

    label_space = None

    def __init__(self, path: Path) -> None:
        self.path = path
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate_hz = rate if 0 < rate <= _MOST_HZ else DEFAULT_RATE_HZ
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if count <= 0:      # not told by the container
            count = sum(1 for _ in iter(capture.grab, False))
        capture.release()
        if not count:
            raise ConfigError(f'{path} holds no frame that OpenCV can decode: record it again or '
                              'convert it')
        self._count = count

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ConfigError(f'{self.path} is no video that OpenCV can open: record it again or '
                              'convert it')
        height, width = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT,
                                                           cv2.CAP_PROP_FRAME_WIDTH))
        if height * width > MAX_PIXELS:
            raise ConfigError(f'{self.path} declares frames of {height}x{width}, wanted at most '
                              f'{MAX_PIXELS >> 20} Mi pixels: make it smaller')
        return capture

    def __len__(self) -> int:
        """Count the frames as the container declares them: it may be off in a damaged file."""
        return self._count

    def __iter__(self) -> Iterator[Frame]:
        """Decode one frame after another; warn when the video ends before its declared end."""
        capture, index, first_ns, stamp_ns = self._open(), 0, 0, 0
        try:
            while True:
                ok, image = capture.read()
                if not ok:
                    break
                time_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
                if index == 0:
                    first_ns = time_ns
                elif time_ns - first_ns > stamp_ns:
                    stamp_ns = time_ns - first_ns
                else:
                    stamp_ns += stamp_of(1, self.rate_hz)
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), stamp_ns)
                index += 1
        finally:
            capture.release()
        if index < self._count:
            _log.warning('the video %s ends after %d of %d frames: the file is cut off or damaged',
                         self.path, index, self._count)
