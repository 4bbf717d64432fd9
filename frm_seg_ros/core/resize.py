"""Resizing of images to network size."""
from __future__ import annotations

import cv2
import numpy as np


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 3) uint8 to `size` (height, width): by area when shrinking, else bilinear."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    shrinks = size[0] <= height and size[1] <= width
    return cv2.resize(image, (size[1], size[0]),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
