"""What goes into a segmenter and what comes out of it."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


def _check(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.dtype != np.uint8 or array.shape != shape:
        raise ValueError(f'{name} is {array.dtype} {array.shape}, wanted uint8 {shape}')


def check_image(image: np.ndarray) -> None:
    """Make sure that `image` is an (H, W, 3) uint8 array with at least one pixel.

    Raises:
        ValueError: if it is something else; says what was found.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f'image is a {type(image).__name__}, wanted a uint8 array (H, W, 3), RGB')
    if image.ndim != 3 or 0 in image.shape:
        raise ValueError(f'image has shape {image.shape}, wanted (H, W, 3), RGB')
    _check('image', image, (*image.shape[:2], 3))


@dataclass(frozen=True)
class Frame:
    """One camera image, with the truth where it is known.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        stamp_ns: when it was taken, integer nanoseconds.
        frame_id: name of the camera's coordinate frame.
        truth: (H, W) uint8 train ids, 255 = ignored; or None.

    Raises:
        ValueError: if an array has another shape or dtype.
    """

    image: np.ndarray
    stamp_ns: int
    frame_id: str = 'camera'
    truth: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_image(self.image)
        if self.truth is not None:
            _check('truth', self.truth, self.image.shape[:2])


@dataclass(frozen=True)
class Prediction:
    """Labels of one frame.

    Attributes:
        labels: (H, W) uint8 train ids; 255 = unlabelled, never a class.
        confidence: (H, W) uint8, 0..255; or None when it was not asked for.
        times_ms: milliseconds by stage (`pre`, `inference`, `decode`) of the batch that the frame
            was in.

    Raises:
        ValueError: if an array has another shape or dtype.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    times_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.ndim != 2:
            raise ValueError(f'labels have shape {self.labels.shape}, wanted (H, W)')
        _check('labels', self.labels, self.labels.shape)
        if self.confidence is not None:
            _check('confidence', self.confidence, self.labels.shape)
