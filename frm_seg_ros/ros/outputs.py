"""What the node publishes of every frame."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from frm_seg_ros.core.draw import colorize, overlay
from frm_seg_ros.core.label_space import LabelSpace


@dataclass(frozen=True)
class Labelled:
    """One frame with its labels: all that an output is made of.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 train ids, 255 = unlabelled.
        confidence: (H, W) uint8; None when no output wanted it.
        label_space: the space of the labels.
        alpha: weight of the colours in the overlay, 0..1.
    """

    image: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray | None
    label_space: LabelSpace
    alpha: float


@dataclass(frozen=True)
class Output:
    """One topic: its encoding, and the function that makes its (H, W) or (H, W, 3) uint8."""

    encoding: str
    make: Callable[[Labelled], np.ndarray | None]


OUTPUTS = {
    'label_image': Output('mono8', lambda frame: frame.labels),
    'confidence': Output('mono8', lambda frame: frame.confidence),
    'color': Output('rgb8', lambda frame: colorize(frame.labels, frame.label_space)),
    'overlay': Output('rgb8', lambda frame: overlay(
        frame.image, frame.labels, frame.label_space, frame.alpha)),
}
