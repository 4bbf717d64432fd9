"""Bootstrap: how far mIoU might be off because other frames could have been recorded.

Percentile intervals after Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: frames
are drawn anew with replacement, their counts added up and scored. Neighbouring frames of a drive
resemble one another, so that runs of frames are drawn, not single ones: the circular blocks of
Politis and Romano, "A circular block-resampling procedure for stationary data", 1992.
docs/metrics.md tells what such an interval covers, and what not.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95  # of the intervals


def block_length(frames: int) -> int:
    """Give how many frames a block holds: the cube root of all, rounded up.

    The cube root is the growth that Hall, Horowitz and Jing, "On blocking rules for the bootstrap
    with dependent data", 1995, found best for variances; the factor 1 is our choice.
    """
    return next(length for length in range(1, frames + 2) if length ** 3 >= frames)


def draw_frames(frames: int, block: int, resamples: int = RESAMPLES,
                seed: int = 0) -> Iterator[np.ndarray]:
    """Draw as many frames as there are, with replacement, in blocks of neighbours.

    Args:
        frames: how many frames there are, 1 at least.
        block: length of a block in frames; the first frame follows the last.
        resamples: how often to draw.
        seed: equal seeds draw equal frames.

    Yields:
        (frames,) int64: the frames that were drawn, from 0 on.
    """
    rng = np.random.default_rng(seed)
    steps = np.arange(block)
    for _ in range(resamples):
        starts = rng.integers(frames, size=-(-frames // block))
        yield (starts[:, None] + steps).ravel()[:frames] % frames


def resampled_miou(counts: np.ndarray, draws: Iterable[np.ndarray]) -> np.ndarray:
    """Compute mIoU over the frames of every draw.

    Args:
        counts: (frames, 2, classes) int64: intersection and union of every class by frame.
        draws: what `draw_frames` yields.

    Returns:
        (draws,) float64; NaN where no class has a union.
    """
    flat = counts.reshape(len(counts), -1)
    sums = [np.bincount(drawn, minlength=len(counts)) @ flat for drawn in draws]
    return miou_of_sums(np.array(sums).reshape(-1, *counts.shape[1:]))


def miou_of_sums(sums: np.ndarray) -> np.ndarray:
    """Compute mIoU from intersections and unions.

    Args:
        sums: (n, 2, classes) int64, intersection and union of every class.

    Returns:
        (n,) float64: mean over the classes whose union is not 0; NaN where there is none.
    """
    intersection, union = sums[:, 0], sums[:, 1]
    known = (union > 0).sum(1)
    total = (intersection / np.maximum(union, 1)).sum(1)
    return np.where(known, total / np.maximum(known, 1), np.nan)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Give the limits between which 95 % of the values lie, 2.5 % left out at either end.

    Args:
        values: (n,) float64; NaN does not count.

    Returns:
        Lower and upper limit; NaN where no value counts.
    """
    valid = values[~np.isnan(values)]
    if not len(valid):
        return float('nan'), float('nan')
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(valid, [tail, 100 - tail])
    return float(low), float(high)


def miou_interval(counts: np.ndarray) -> tuple[float, float]:
    """Give the 95 % interval of mIoU over frames.

    Args:
        counts: (frames, 2, classes) int64: intersection and union of every class by frame.

    Returns:
        Lower and upper limit; NaN where fewer than two frames or no class can be scored.
    """
    return percentile_interval(_resample(counts))


def difference_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Give the 95 % interval of the second mIoU less the first, on the same frames.

    The same frames are drawn for both, so that what makes a frame hard for both cancels out.

    Args:
        first: (frames, 2, classes) int64: intersection and union of every class by frame.
        second: the same of another prediction of the same frames.

    Returns:
        Lower and upper limit; NaN where fewer than two frames or no class can be scored.

    Raises:
        ValueError: if the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f'the counts have the shapes {first.shape} and {second.shape}: wanted '
                         'those of the same frames and classes')
    return percentile_interval(_resample(second) - _resample(first))


def _resample(counts: np.ndarray) -> np.ndarray:
    """Compute mIoU over draws that are the same for as many frames; none where one frame is."""
    if len(counts) < 2:
        return np.array([])
    return resampled_miou(counts, draw_frames(len(counts), block_length(len(counts))))
