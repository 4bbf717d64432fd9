"""Pictures of labels, for people to look at."""
from __future__ import annotations

import cv2
import numpy as np

from frm_seg_ros.core.label_space import IGNORE, LabelSpace


def colorize(labels: np.ndarray, label_space: LabelSpace) -> np.ndarray:
    """Paint labels, (H, W) uint8 train ids, in their colours: (H, W, 3) uint8 RGB.

    What is in no class is black.
    """
    return cv2.applyColorMap(labels, label_space.palette.reshape(256, 1, 3))


def overlay(image: np.ndarray, labels: np.ndarray, label_space: LabelSpace,
            alpha: float) -> np.ndarray:
    """Blend the colours of labels over a camera image.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 train ids; where they are 255 the image stays as it is.
        label_space: the space of the labels.
        alpha: weight of the colours, 0..1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    blended = cv2.addWeighted(image, 1 - alpha, colorize(labels, label_space), alpha, 0)
    return cv2.copyTo(image, (labels == IGNORE).astype(np.uint8), blended)
