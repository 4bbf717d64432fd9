"""From what a network gives to labels at the wanted size, whatever kind of output it has."""
from __future__ import annotations

import cv2
import numpy as np

from frm_seg_ros.core.decode import decode


def decode_output(output: np.ndarray, size: tuple[int, int],
                  confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn the output for one image into labels.

    Args:
        output: logits (classes, h, w) float32, or labels (h, w) uint8 of an imported network.
        size: (height, width) wanted.
        confidence: whether confidence is wanted too.

    Returns:
        Labels (height, width) uint8, and confidence as `decode` gives it, or None: always of
        labels, which do not tell how sure they are.
    """
    if output.ndim == 2:
        return resize_labels(output, size), None
    return decode(output, size, confidence)


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize labels (h, w) uint8: each pixel takes the label whose centre is nearest."""
    # INTER_NEAREST takes the corners of pixels for their centres, and so moves all labels.
    return cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
