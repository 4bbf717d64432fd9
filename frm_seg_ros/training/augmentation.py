"""Random crops, scales, flips and colours of training frames."""
from __future__ import annotations

import cv2
import numpy as np

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import IGNORE
from frm_seg_ros.training.config import TrainingConfig

# Luma of red, green and blue (ITU-R BT.601), which OpenCV takes for grey.
GREY = np.array([0.299, 0.587, 0.114])


def augment(frame: Frame, config: TrainingConfig,
            rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one training crop.

    Returns:
        Image (crop height, crop width, 3) uint8 RGB and truth (crop height, crop width) uint8.
    """
    factor = np.exp(rng.uniform(*np.log(config.scale)))
    focus = _pixel_of_a_class(frame.truth, rng) if rng.random() < config.balance else None
    image, truth = _random_crop(frame, factor, config.crop, focus, rng)
    if rng.random() < 0.5:
        image, truth = image[:, ::-1], truth[:, ::-1]
    image = jitter_color(image, config.color, rng)
    if rng.random() < config.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    return image, truth


def _pixel_of_a_class(truth: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    """Draw a class of those in the frame, then one of its pixels: (row, column)."""
    classes = np.flatnonzero(np.bincount(truth.ravel(), minlength=256)[:IGNORE])
    if len(classes) == 0:
        return None
    places = np.flatnonzero(truth.ravel() == rng.choice(classes))
    row, column = divmod(int(rng.choice(places)), truth.shape[1])
    return row, column


def _random_crop(frame: Frame, factor: float, crop: tuple[int, int],
                 focus: tuple[int, int] | None,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scale by `factor` and cut a window that shows `focus`; what lies outside is ignored."""
    top, left = (_place(size * factor, want, None if focus is None else focus[axis] * factor, rng)
                 for axis, (size, want) in enumerate(zip(frame.image.shape, crop)))
    # Half-pixel centres, as in core.decode: target t shows source (t + offset + 0.5)/factor - 0.5.
    matrix = np.array([[1 / factor, 0, (left + 0.5) / factor - 0.5],
                       [0, 1 / factor, (top + 0.5) / factor - 0.5]])
    picture = frame.image if factor >= 1 else cv2.GaussianBlur(frame.image, (0, 0), 0.4 / factor)
    flags = cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(picture, matrix, crop[::-1], flags=flags | cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101)
    truth = cv2.warpAffine(frame.truth, matrix, crop[::-1], flags=flags | cv2.INTER_NEAREST,
                           borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE)
    return image, truth


def _place(size: float, want: int, focus: float | None, rng: np.random.Generator) -> float:
    """Draw where a window of `want` begins in `size`; centred when it is larger."""
    room = size - want
    if room <= 0:
        return room / 2
    if focus is None:
        return rng.uniform(0, room)
    return rng.uniform(max(0, focus - want), min(room, focus))


def jitter_color(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, saturation and tint, each by up to `strength`.

    All of it is one affine map of colours: with the image's mean grey m, a pixel x of grey g
    becomes brightness (contrast tint (saturation x + (1 - saturation) g - m) + m).
    """
    image = np.ascontiguousarray(image)
    if strength == 0:
        return image
    brightness, contrast, saturation = 1 + strength * rng.uniform(-1, 1, 3)
    tint = 1 + 0.25 * strength * rng.uniform(-1, 1, 3)
    mean = GREY @ cv2.mean(image)[:3]
    saturate = saturation * np.eye(3) + (1 - saturation) * GREY
    scale = brightness * contrast * tint[:, None]
    return cv2.transform(image, np.hstack([scale * saturate, (brightness - scale) * mean]))
