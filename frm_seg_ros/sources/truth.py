"""Label images read from files, and the check that every source gives its truth."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from frm_seg_ros.core.encodings import decode_stored
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.label_space import IGNORE, LabelSpace


def read_truth(path: Path, size: tuple[int, int], space: LabelSpace,
               ignored: Iterable[int] = ()) -> np.ndarray:
    """Read a label image that holds ids of a label space.

    Args:
        path: a single-channel 8-bit PNG.
        size: (height, width) of its image.
        space: what the ids mean.
        ignored: values that mean no class, besides 255 and the ignored ids of the space.

    Returns:
        Train ids: (H, W) uint8, 255 = ignored.

    Raises:
        ConfigError: if it cannot be decoded, has another size, or a value that is no id.
    """
    labels = read_label_image(path)
    known = [label.id for label in space.labels if label.id >= 0]
    check_truth(labels, size, [*known, *ignored], f'the label image {path}')
    return space.to_train_id.take(labels)


def read_label_image(path: Path) -> np.ndarray:
    """Decode a PNG as it is stored; colours come in the order BGR.

    Raises:
        ConfigError: if it cannot be read or decoded.
    """
    try:
        return decode_stored(path.read_bytes(), str(path))
    except (OSError, FrameError) as error:
        raise ConfigError(f'{error}: restore the label image') from error


def check_truth(truth: np.ndarray, size: tuple[int, int], values: Iterable[int],
                name: str) -> None:
    """Check a label image before it is used as truth.

    Args:
        truth: whatever a decoder gave; wanted (H, W) uint8.
        size: (height, width) of its image.
        values: those allowed besides 255.
        name: what it is, for the sentence of an error.

    Raises:
        ConfigError: if it is no single-channel 8-bit image, differs in size or has other values.
    """
    if truth.ndim != 2 or truth.dtype != np.uint8:
        raise ConfigError(f'{name} is {truth.dtype} {truth.shape}, wanted one channel of 8 bits: '
                          'write label images as grey PNG or mono8')
    if truth.shape != size:
        raise ConfigError(f'{name} is {truth.shape[0]}x{truth.shape[1]}, its image is '
                          f'{size[0]}x{size[1]}: both must have one size')
    known = np.zeros(256, bool)
    known[[*values, IGNORE]] = True
    strange = truth[~known[truth]]
    if strange.size:
        found = sorted(set(strange.tolist()))
        raise ConfigError(
            f'{name} has {strange.size} pixels of value {", ".join(map(str, found[:5]))}'
            f'{" ..." if len(found) > 5 else ""}, wanted ids of the label space or {IGNORE}: map '
            'the labels, or name the right label space')
