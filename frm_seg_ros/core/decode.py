"""From stride-4 logits to labels and confidence at the wanted size, exactly.

The definition: up-sample every class bilinearly (half-pixel centres, clamped border), then take
the class of the largest logit, the lowest id winning a tie. Two facts make it fast without
changing the result. All logits of a pixel are the same convex combination of the four corners of
its cell, so where one class wins all four corners it wins the whole cell. And in the other cells a
class can win only if its largest corner reaches the largest of all classes' smallest corners.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import cv2
import numba
import numpy as np
from numba.core.caching import FunctionCache


def decode(logits: np.ndarray, size: tuple[int, int],
           confidence: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn the logits of one image into labels.

    Args:
        logits: (classes, h, w) float32, at most 255 classes.
        size: (height, width) wanted.
        confidence: whether confidence is wanted too.

    Returns:
        Labels (height, width) uint8, and confidence of the same shape, uint8 0..255, or None.
        Confidence is the largest softmax probability at stride 4, up-sampled as one channel: at
        borders between classes it is not the winner's own probability.
    """
    logits = np.ascontiguousarray(logits, np.float32)
    best, winners = _winners(logits)
    labels = np.empty(size, np.uint8)
    rows, columns = (_axis(wanted, coarse) for wanted, coarse in zip(size, best.shape))
    _fill(logits, winners, *rows, *columns, labels)
    if not confidence:
        return labels, None
    largest = 1 / np.exp(logits - best).sum(0)
    upsampled = cv2.resize(largest, size[::-1], interpolation=cv2.INTER_LINEAR)
    return labels, np.rint(255 * upsampled).astype(np.uint8)


def _axis(wanted: int, coarse: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the first pixel of every cell (coarse + 1,) and each pixel's weight of the next corner.

    Cell i lies between the corners i and i + 1; the last one has a single corner.
    """
    place = np.clip((np.arange(wanted) + 0.5) * coarse / wanted - 0.5, 0, coarse - 1)
    cell = np.floor(place)
    return np.searchsorted(cell, np.arange(coarse + 1)), place - cell


class _Cache(FunctionCache):
    """Numba's cache, which goes without where the disk is full or what it kept is damaged."""

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with suppress(Exception):   # unpickling what is damaged raises anything
            yield


def _compiled(function: Callable) -> Callable:
    """Compile at the first call; keep the result on disk where a folder can be written."""
    compiled = numba.njit(nogil=True)(function)
    try:
        # What cache=True does with numba's own.
        compiled._cache = _Cache(function)  # type: ignore[attr-defined]
    except RuntimeError:
        pass   # no folder
    return compiled


@_compiled
def _winners(logits):
    """Find the largest logit (h, w) float32 and its class (h, w) uint8."""
    classes, height, width = logits.shape
    best = logits[0].copy()
    winners = np.zeros((height, width), np.uint8)
    for k in range(1, classes):
        for i in range(height):
            for j in range(width):
                value = logits[k, i, j]
                if value > best[i, j]:
                    best[i, j] = value
                    winners[i, j] = k
    return best, winners


@_compiled
def _fill(logits, winners, row_start, row_weight, column_start, column_weight, labels):
    """Label every pixel, cell by cell."""
    height, width = winners.shape
    candidates = np.empty((logits.shape[0], 5))  # class, then its four corners
    for i in range(height):
        below = min(i + 1, height - 1)
        top, bottom = row_start[i], row_start[i + 1]
        for j in range(width):
            right = min(j + 1, width - 1)
            first, last = column_start[j], column_start[j + 1]
            winner = winners[i, j]
            if (winner == winners[i, right] and winner == winners[below, j]
                    and winner == winners[below, right]):
                labels[top:bottom, first:last] = winner
                continue
            count = _candidates(logits, i, below, j, right, candidates)
            for y in range(top, bottom):
                for x in range(first, last):
                    labels[y, x] = _winner_at(candidates[:count], row_weight[y],
                                              column_weight[x])


@_compiled
def _candidates(logits, top, bottom, left, right, candidates):
    """List the classes that can win in a cell, with their corners; return how many."""
    floor = -np.inf
    for k in range(logits.shape[0]):
        corners = logits[k]
        floor = max(floor, min(corners[top, left], corners[top, right],
                               corners[bottom, left], corners[bottom, right]))
    count = 0
    for k in range(logits.shape[0]):
        a, b = logits[k, top, left], logits[k, top, right]
        c, d = logits[k, bottom, left], logits[k, bottom, right]
        if max(a, b, c, d) >= floor:
            candidates[count, 0] = k
            candidates[count, 1], candidates[count, 2] = a, b
            candidates[count, 3], candidates[count, 4] = c, d
            count += 1
    return count


@_compiled
def _winner_at(candidates, down, across):
    """Give the winner at one pixel; in the weights form, which keeps the order of the corners."""
    w00, w01 = (1 - down) * (1 - across), (1 - down) * across
    w10, w11 = down * (1 - across), down * across
    best, winner = -np.inf, candidates[0, 0]
    for n in range(candidates.shape[0]):
        value = (w00 * candidates[n, 1] + w01 * candidates[n, 2]
                 + w10 * candidates[n, 3] + w11 * candidates[n, 4])
        if value > best:
            best, winner = value, candidates[n, 0]
    return winner
