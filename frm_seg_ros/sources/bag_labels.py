"""Label images that belong to the images of a bag: on a topic, or in a folder."""
from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from frm_seg_ros.core.encodings import to_mono, to_rgb
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.images import natural
from frm_seg_ros.sources.label_coding import LabelCoding
from frm_seg_ros.sources.truth import read_label_image

# Label images that wait for their image: so many may come in another order than the images.
WINDOW = 16
# NANOSECONDS.png or SECONDS_NANOSECONDS.png
_STAMP_NAME = re.compile(r'(?:(\d+)_(\d{1,9})|(\d+))')


def stamp_ns(message: Any) -> int:
    """Give the stamp in a message's header in nanoseconds."""
    stamp = message.header.stamp
    return stamp.sec * 10**9 + stamp.nanosec


class StampedMessages:
    """Messages of one topic, found by stamp; at most WINDOW are held.

    They are read on as far as the stamps asked for, so that it does not matter how much later or
    earlier than the images they were recorded.
    """

    def __init__(self, messages: Iterable[Any]) -> None:
        self._messages = iter(messages)
        self._held: dict[int, Any] = {}

    def find(self, wanted_ns: int) -> Any | None:
        """Give the message of this very stamp and forget it; None where there is none."""
        while wanted_ns not in self._held:
            if len(self._held) >= WINDOW:
                self._held = {stamp: message for stamp, message in self._held.items()
                              if stamp > wanted_ns}
            message = next(self._messages, None) if len(self._held) < WINDOW else None
            if message is None:
                return None
            self._held[stamp_ns(message)] = message
        return self._held.pop(wanted_ns)


def decode_message(message: Any, coding: LabelCoding, size: tuple[int, int],
                   name: str) -> np.ndarray:
    """Give the train ids of a label image message: (H, W) uint8.

    Args:
        message: a sensor_msgs/Image.
        coding: what its pixels mean.
        size: (height, width) of its image.
        name: of the topic, for the sentence of an error.

    Raises:
        FrameError: if its encoding or data cannot be used.
        ConfigError: if its size or its values are wrong.
    """
    picture = to_rgb(message) if coding.in_color else to_mono(message)
    return coding.decode(picture, size, f'the label image of stamp {stamp_ns(message)} on {name}')


def decode_file(path: Path, coding: LabelCoding, size: tuple[int, int]) -> np.ndarray:
    """Give the train ids of a label image file: (H, W) uint8.

    Raises:
        ConfigError: if it cannot be decoded, or its size or its values are wrong.
    """
    picture = read_label_image(path)
    if coding.in_color and picture.ndim == 3 and picture.shape[2] == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return coding.decode(picture, size, f'the label image {path}')


class StampedFiles:
    """PNG files found by the stamp that their names tell: NANOSECONDS or SECONDS_NANOSECONDS.

    Raises:
        ConfigError: if a name tells no stamp, or two tell the same.
    """

    def __init__(self, folder: str, tolerance_s: float) -> None:
        found: dict[int, Path] = {}
        for path in list_label_files(folder):
            stamp = _stamp_of_name(path)
            if stamp in found:
                raise ConfigError(f'{path} and {found[stamp]} have one stamp: remove one of them')
            found[stamp] = path
        self._files = sorted(found.items())
        self._tolerance_ns = round(tolerance_s * 1e9)
        self._last: Path | None = None

    def find(self, wanted_ns: int) -> Path | None:
        """Give the file of the nearest stamp within the tolerance; none twice running."""
        right = bisect_left(self._files, (wanted_ns,))
        near = [(abs(stamp - wanted_ns), path)
                for stamp, path in self._files[max(right - 1, 0):right + 1]]
        distance_ns, path = min(near)
        if distance_ns > self._tolerance_ns or path == self._last:
            return None
        self._last = path
        return path


def list_label_files(folder: str) -> list[Path]:
    """List the PNG files of a folder in natural order.

    Raises:
        ConfigError: if there are none.
    """
    path = Path(folder).expanduser()
    files = [file for file in path.glob('*') if file.suffix.lower() == '.png']
    if not files:
        what = 'holds no PNG file' if path.is_dir() else 'is no folder'
        raise ConfigError(f'{path} {what}: name the folder of the label images')
    return sorted(files, key=lambda file: natural(file.name))


def _stamp_of_name(path: Path) -> int:
    match = _STAMP_NAME.fullmatch(path.stem)
    if not match:
        raise ConfigError(f'the name of {path} tells no stamp: call it NANOSECONDS.png or '
                          'SECONDS_NANOSECONDS.png, or match the files by order')
    seconds, nanoseconds, whole = match.groups()
    return int(whole) if whole else int(seconds) * 10**9 + int(nanoseconds)
