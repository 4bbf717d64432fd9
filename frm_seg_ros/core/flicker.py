"""Flicker: labels that change from one frame to the next where the image does not.

The definition is ours; docs/metrics.md has it in words, and the test has a slow twin.
"""
from __future__ import annotations

import cv2
import numpy as np

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import IGNORE

# An image stands still at a pixel where the mean of the WINDOW x WINDOW pixels around it changes
# by STILL levels of 255 at most, in every channel: noise averages out, what moves does not.
WINDOW, STILL = 5, 2


class Flicker:
    """Compares every frame with the one before, of the same camera and size."""

    def __init__(self) -> None:
        self._last: tuple[Frame, np.ndarray] | None = None

    def update(self, frame: Frame, labels: np.ndarray) -> tuple[int, int]:
        """Count the pixels of one frame, which becomes the one before.

        Args:
            frame: has a truth.
            labels: (H, W) uint8 train ids, 255 = unlabelled, which may change as any label.

        Returns:
            Pixels whose image stood still and whose truth counts and is the same in both frames,
            and those of them whose label changed; 0, 0 where there is no frame to compare with.
        """
        last, self._last = self._last, (frame, labels)
        if last is None or last[0].frame_id != frame.frame_id or last[1].shape != labels.shape:
            return 0, 0
        still = still_pixels(last[0].image, frame.image)
        still &= (frame.truth == last[0].truth) & (frame.truth != IGNORE)
        return int(np.count_nonzero(still)), int(np.count_nonzero(still & (labels != last[1])))

    def interrupt(self) -> None:
        """Forget the frame before, since the next does not follow on it."""
        self._last = None


def still_pixels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Tell where two images are alike.

    Args:
        first: (H, W, 3) uint8.
        second: of the same shape.

    Returns:
        (H, W) bool: whether the sums over the window, the image being mirrored at its border
        without repeating its last pixel, differ by STILL times its pixels at most.
    """
    change = cv2.subtract(second, first, dtype=cv2.CV_16S)
    sums = cv2.boxFilter(change, cv2.CV_32S, (WINDOW, WINDOW), normalize=False)
    return np.all(np.abs(sums) <= STILL * WINDOW ** 2, axis=2)
