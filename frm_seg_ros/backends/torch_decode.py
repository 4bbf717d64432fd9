"""Decoding where the logits are, on any device of torch: the definition of `core.decode`.

Bilinear up-sampling is done rows first, then columns, each time as (1 - t) a + t b with both
weights rounded from float64: rounding keeps the order of what it rounds, so a class that leads at
all four corners leads between them, which a + t (b - a) does not promise. Everything is float32.
The weights, two products and two sums, twice over, are off by a few units in the last place.
"""
from __future__ import annotations

import logging
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from frm_seg_ros.backends.torch_kernel import label_kernel

# Up-sampled logits held at a time: they stay in the cache of a large GPU, and no image of any size
# needs more memory than this.
BAND_BYTES = 32 << 20

_log = logging.getLogger(__name__)


class Axis(NamedTuple):
    """How one side is up-sampled.

    Pixel i is weight_low[i] * x[low[i]] + weight_high[i] * x[high[i]]; `low` and `high` are int64,
    the weights float32, all (wanted,).
    """

    low: Tensor
    high: Tensor
    weight_low: Tensor
    weight_high: Tensor


def make_axis(coarse: int, wanted: int, device: str | torch.device) -> Axis:
    """Place `wanted` pixels on `coarse` ones: half-pixel centres, clamped border."""
    place = np.clip((np.arange(wanted) + 0.5) * coarse / wanted - 0.5, 0, coarse - 1)
    low = np.floor(place).astype(np.int64)
    weight = place - low
    arrays = (low, np.minimum(low + 1, coarse - 1), (1 - weight).astype(np.float32),
              weight.astype(np.float32))
    return Axis(*(torch.from_numpy(each).to(device) for each in arrays))


def upsample(x: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Up-sample (..., h, w) float32 bilinearly to (..., rows, columns)."""
    x = _mix(x, rows.low, rows.high, rows.weight_low[:, None], rows.weight_high[:, None], -2)
    return _mix(x, columns.low, columns.high, columns.weight_low, columns.weight_high, -1)


def _mix(x: Tensor, low: Tensor, high: Tensor, weight_low: Tensor, weight_high: Tensor,
         side: int) -> Tensor:
    return x.index_select(side, low).mul_(weight_low).addcmul_(x.index_select(side, high),
                                                               weight_high)


def label(logits: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Give the class (height, width) uint8 of the largest logit, the lowest id winning a tie.

    Args:
        logits: (classes, h, w), at most 255 classes.
        rows: from h to height.
        columns: from w to width.
    """
    if label_kernel is not None and kernel_works(logits.device):
        return label_kernel(logits, rows, columns)
    return label_in_bands(logits, rows, columns)


@cache
def kernel_works(device: torch.device) -> bool:
    """Try the kernel once: it needs a CUDA device and, to be built there, a C compiler."""
    if device.type != 'cuda':
        return False
    axis = make_axis(2, 8, device)
    try:
        label_kernel(torch.zeros((2, 2, 2), device=device), axis, axis)
        torch.cuda.synchronize(device)
    except Exception as error:  # Triton raises many kinds of its own
        _log.warning('decoding runs without its kernel, which cannot be built here: %s', error)
        return False
    return True


def label_in_bands(logits: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Do what `label` does with torch alone, a band of rows after the other."""
    logits = logits.float()
    height, width = len(rows.low), len(columns.low)
    band = max(1, BAND_BYTES // (4 * len(logits) * width))
    labels = torch.empty((height, width), dtype=torch.uint8, device=logits.device)
    for first in range(0, height, band):
        part = Axis(*(each[first:first + band] for each in rows))
        # Of equal values, argmax names the first.
        labels[first:first + band] = upsample(logits, part, columns).argmax(0)
    return labels


def confidence(logits: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """Give the largest softmax probability at stride 4, up-sampled, as (height, width) uint8."""
    logits = logits.float()
    largest = 1 / (logits - logits.amax(0)).exp_().sum(0)
    return upsample(largest, rows, columns).mul_(255).round_().to(torch.uint8)
