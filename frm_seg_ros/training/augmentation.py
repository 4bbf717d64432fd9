"""Random crops, scales, flips and colours of training frames."""
from __future__ import annotations

import cv2
import numpy as np

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import IGNORE
from frm_seg_ros.training.config import TrainingConfig


def augment(frame: Frame, config: TrainingConfig,
            rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one training crop.

    Returns:
        Image (crop height, crop width, 3) uint8 RGB and truth (crop height, crop width) uint8.
    """
    factor = np.exp(rng.uniform(*np.log(config.scale)))
    image, truth = _random_crop(frame, factor, config.crop, rng)
    if rng.random() < 0.5:
        image, truth = image[:, ::-1], truth[:, ::-1]
    image = jitter_color(image, config.color, rng)
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    return image, truth


def _random_crop(frame: Frame, factor: float, crop: tuple[int, int],
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scale by `factor` about a random place; what lies outside the frame is ignored."""
    height, width = frame.image.shape[:2]
    offset = [_place(size * factor, want, rng) for size, want in ((width, crop[1]),
                                                                   (height, crop[0]))]
    # Half-pixel centres, as in core.decode: target t shows source (t + offset + 0.5)/factor - 0.5.
    matrix = np.array([[1 / factor, 0, (offset[0] + 0.5) / factor - 0.5],
                       [0, 1 / factor, (offset[1] + 0.5) / factor - 0.5]])
    picture = frame.image if factor >= 1 else cv2.GaussianBlur(frame.image, (0, 0), 0.4 / factor)
    flags = cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(picture, matrix, crop[::-1], flags=flags | cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101)
    truth = cv2.warpAffine(frame.truth, matrix, crop[::-1], flags=flags | cv2.INTER_NEAREST,
                           borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORE)
    return image, truth


def _place(size: float, want: int, rng: np.random.Generator) -> float:
    """Draw where a window of `want` begins in `size`; centred when it is larger."""
    room = size - want
    return rng.uniform(0, room) if room > 0 else room / 2


def jitter_color(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, saturation and tint, each by up to `strength`."""
    if strength == 0:
        return np.ascontiguousarray(image)
    brightness, contrast, saturation = 1 + strength * rng.uniform(-1, 1, 3)
    tint = 1 + 0.25 * strength * rng.uniform(-1, 1, 3)
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = gray.mean()
    picture = saturation * image.astype(np.float32) + (1 - saturation) * gray[:, :, None]
    picture = (picture - mean) * (contrast * brightness) * tint.astype(np.float32)
    return np.clip(picture + brightness * mean, 0, 255).astype(np.uint8)
