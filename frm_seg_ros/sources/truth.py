"""The check that every source gives its truth."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import IGNORE


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
