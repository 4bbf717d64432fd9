"""What the node publishes of every frame."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from frm_seg_ros.core.draw import colorize, overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.core.model_card import ModelCard


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


def topics_of(card: ModelCard) -> list[str]:
    """Name the outputs that a model can have: no confidence where it gives labels alone."""
    return [topic for topic in OUTPUTS if topic != 'confidence' or card.has_confidence]


def check_min_confidence(card: ModelCard, min_confidence: float) -> None:
    """Make sure that a model can tell which pixels are below `min_confidence`, 0..1.

    Raises:
        ConfigError: if it gives labels alone.
    """
    if min_confidence > 0 and not card.has_confidence:
        raise ConfigError(f'parameter min_confidence is {min_confidence:g}, but model {card.name} '
                          'gives labels without confidence: set it to 0, or import the network '
                          'with its logits as output')


def masked(prediction: Prediction, min_confidence: float) -> np.ndarray:
    """Give the labels (H, W) uint8, 255 where the confidence is below `min_confidence`, 0..1."""
    if min_confidence <= 0:
        return prediction.labels
    unsure = prediction.confidence < 255 * min_confidence
    return np.where(unsure, np.uint8(IGNORE), prediction.labels)


def shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """Give the share of the pixels that each class holds: (classes,) float32, 0..1."""
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()
    return counts[:classes] / np.float32(labels.size)
