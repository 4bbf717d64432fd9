"""Normalising of images for a network."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def normalise(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Subtract the mean and divide by the standard deviation.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        mean: by channel, on the scale 0..1.
        std: likewise.

    Returns:
        (N, 3, H, W) float32.
    """
    count, height, width, _ = images.shape
    result = np.empty((count, 3, height, width), np.float32)
    for channel in range(3):
        plane = result[:, channel]
        np.multiply(images[..., channel], np.float32(1 / (255 * std[channel])), out=plane)
        plane -= np.float32(mean[channel] / std[channel])
    return result
