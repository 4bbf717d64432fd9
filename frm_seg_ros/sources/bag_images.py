"""Pictures of image messages, and the count of those that have none."""
from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import compressed_to_rgb, to_rgb
from frm_seg_ros.core.errors import FrameError

_log = logging.getLogger(__name__)


def message_to_rgb(message: Any) -> np.ndarray:
    """Convert a sensor_msgs/Image or CompressedImage to (H, W, 3) uint8 RGB.

    Raises:
        FrameError: if it cannot be converted.
    """
    return to_rgb(message) if hasattr(message, 'encoding') else compressed_to_rgb(message)


class Drops:
    """Count of what was left out, by reason, with the first sentence of each."""

    def __init__(self, path: Path) -> None:
        """Begin with none; `path` is that of the bag, for the warning."""
        self._path = path
        self._found: dict[str, tuple[int, FrameError]] = {}

    @property
    def total(self) -> int:
        """Count all that was left out."""
        return sum(count for count, _ in self._found.values())

    def add(self, error: FrameError) -> None:
        """Count one."""
        count, first = self._found.get(error.reason, (0, error))
        self._found[error.reason] = (count + 1, first)

    def lines(self) -> list[str]:
        """Tell of every reason how often it came, and of what its first image was like."""
        return [f'{count} ({reason}), the first because: {first}'
                for reason, (count, first) in self._found.items()]

    def tell(self) -> None:
        """Warn of every reason."""
        for line in self.lines():
            _log.warning('images of the bag %s left out: %s', self._path, line)


class StampOrder:
    """Count of the images whose stamp is not later than that of the one before."""

    def __init__(self, path: Path, topic: str) -> None:
        """Begin with none; bag and topic are for the warning."""
        self._where = f'{topic} in the bag {path}'
        self._last: int | None = None
        self._back: list[int] = []

    def add(self, stamp_ns: int) -> None:
        """Look at the next stamp."""
        if self._last is not None and stamp_ns <= self._last:
            self._back.append(stamp_ns)
        self._last = stamp_ns

    def tell(self) -> None:
        """Warn of them."""
        if self._back:
            _log.warning('stamps of %s do not increase at %d images, the first at %d ns: the '
                         'images were used in the order of the recording', self._where,
                         len(self._back), self._back[0])
