"""What the network sees of a camera's image, and its labels back in the camera's pixels."""
from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.encodings import decode_picture
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.label_space import IGNORE

_TURN = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_TURN_BACK = {90: _TURN[270], 180: _TURN[180], 270: _TURN[90]}


class View:
    """A region of a camera's image, turned, less a part that is never labelled."""

    def __init__(self, roi: str = 'full', rotate: int = 0, ignore_mask: str = '') -> None:
        """Read the mask.

        Args:
            roi: `full`, or HEIGHTxWIDTH+TOP+LEFT.
            rotate: degrees clockwise for the network: 0, 90, 180 or 270.
            ignore_mask: path of a picture, 128 or more where nothing is labelled; empty for none.

        Raises:
            ConfigError: if the mask cannot be read.
        """
        self._region = None if roi == 'full' else tuple(map(int, re.split('[x+]', roi)))
        self._rotate = rotate
        self._ignored = _read_mask(ignore_mask) if ignore_mask else None

    def look(self, image: np.ndarray) -> np.ndarray:
        """Give what the network sees of an image, (H, W, 3) uint8.

        Raises:
            FrameError: `bad_view` if the region lies outside of the image, or the mask has another
                size.
        """
        height, width = image.shape[:2]
        if self._ignored is not None and self._ignored.shape != (height, width):
            found = 'x'.join(map(str, self._ignored.shape))
            raise FrameError('bad_view', f'ignore_mask is {found}, but the image is {height}x'
                                         f'{width} (height x width): make one of its size')
        if self._region:
            rows, columns, top, left = self._region
            if top + rows > height or left + columns > width:
                raise FrameError('bad_view', f'roi is {rows}x{columns}+{top}+{left}, but the '
                                             f'image is {height}x{width} (height x width): choose '
                                             'a region inside')
            image = image[top:top + rows, left:left + columns]
        return cv2.rotate(image, _TURN[self._rotate]) if self._rotate else image

    def restore(self, seen: np.ndarray, size: tuple[int, int], outside: int) -> np.ndarray:
        """Bring what was made of the view back to the camera's pixels.

        Args:
            seen: (h, w) uint8, of the size that `look` gave.
            size: (height, width) of the image.
            outside: value where there is nothing: outside of the region and in the mask; 0 or 255.

        Returns:
            (height, width) uint8.
        """
        if self._rotate:
            seen = cv2.rotate(seen, _TURN_BACK[self._rotate])
        if self._region:
            rows, columns, top, left = self._region
            whole = np.full(size, outside, np.uint8)
            whole[top:top + rows, left:left + columns] = seen
            seen = whole
        if self._ignored is None:
            return seen
        if outside == IGNORE:
            return cv2.bitwise_or(seen, self._ignored)
        return cv2.bitwise_and(seen, cv2.bitwise_not(self._ignored))


def _read_mask(path: str) -> np.ndarray:
    """Read a mask: (H, W) uint8, 255 where nothing is labelled, else 0."""
    try:
        picture = decode_picture(Path(path).expanduser().read_bytes(), f'ignore_mask {path}')
    except (OSError, FrameError) as error:
        raise ConfigError(f'parameter ignore_mask cannot be read: {error}: name a PNG of the '
                          "camera's size, white where nothing is labelled") from error
    return np.where(picture[..., 1] >= 128, np.uint8(255), np.uint8(0))
