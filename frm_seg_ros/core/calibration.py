"""Calibration: whether confidence tells how often the labels are right.

Expected calibration error after Naeini, Cooper and Hauskrecht, "Obtaining well calibrated
probabilities using Bayesian binning", AAAI 2015, with the 15 bins of Guo, Pleiss, Sun and
Weinberger, "On calibration of modern neural networks", ICML 2017. docs/metrics.md has it in words.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frm_seg_ros.core.label_space import IGNORE

BINS = 15
_LARGEST = 255                # of confidence, where it stands for 1
_VALUES = _LARGEST // BINS    # of confidence that fall into one bin


@dataclass(frozen=True)
class Calibration:
    """Calibration of what was counted.

    Attributes:
        error: expected calibration error in 0..1; NaN where nothing was counted.
        pixels: (15,) int64, counted pixels by bin; bin n is for confidence above n / 15 and up to
            (n + 1) / 15, the first for 0 too.
        accuracy: (15,) float64, share of the bin's pixels that are right; NaN in an empty bin.
        confidence: (15,) float64 in 0..1, mean confidence of the bin's pixels; likewise.
    """

    error: float
    pixels: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray


class CalibrationCounts:
    """Counts of pixels by confidence.

    Attributes:
        counts: (2, 256) int64: how many wrong (row 0) and right (row 1) pixels have a confidence.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, _LARGEST + 1), np.int64)

    def update(self, truth: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> None:
        """Count the pixels of one frame.

        Args:
            truth: (H, W) uint8 train ids; what is 255 is not counted at all.
            labels: (H, W) uint8 train ids; 255 = unlabelled, wrong wherever the truth counts.
            confidence: (H, W) uint8, 255 stands for 1.

        Raises:
            ValueError: if the shapes differ, or confidence is no uint8.
        """
        if not truth.shape == labels.shape == confidence.shape or confidence.dtype != np.uint8:
            raise ValueError(f'truth has the shape {truth.shape}, labels {labels.shape} and '
                             f'confidence is {confidence.dtype} {confidence.shape}: wanted one '
                             'shape, and uint8')
        counted = truth != IGNORE
        codes = confidence.astype(np.uint16) | (truth == labels).astype(np.uint16) << 8
        self.counts += np.bincount(codes[counted], minlength=self.counts.size).reshape(2, -1)

    def scores(self) -> Calibration:
        """Score what was counted so far."""
        values = np.arange(_LARGEST + 1)
        bins = np.maximum(values - 1, 0) // _VALUES
        pixels, right, confidence = (
            np.bincount(bins, weights) for weights in (
                self.counts.sum(0), self.counts[1], self.counts.sum(0) * values / _LARGEST))
        error = np.abs(right - confidence).sum() / pixels.sum() if pixels.any() else float('nan')
        filled = np.where(pixels, pixels, np.nan)
        return Calibration(float(error), pixels.astype(np.int64), right / filled,
                           confidence / filled)
