"""Confused pairs: which class is taken for which most often."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frm_seg_ros.core.metrics import ConfusionMatrix

UNLABELLED = 'unlabelled'


@dataclass(frozen=True)
class ConfusedPair:
    """A class that was taken for another.

    Attributes:
        truth: name of the true class.
        predicted: name of the predicted class, or `unlabelled`.
        pixels: how many pixels, above 0.
        share: of the pixels of the true class, in 0..1.
    """

    truth: str
    predicted: str
    pixels: int
    share: float


def confused_pairs(matrix: ConfusionMatrix, most: int = 10) -> list[ConfusedPair]:
    """List the pairs of different classes with most pixels.

    Args:
        matrix: what was counted.
        most: how many pairs to list at most.

    Returns:
        Those with most pixels first; of equal ones, those first that come first in the matrix.
    """
    wrong = matrix.counts.copy()
    np.fill_diagonal(wrong, 0)
    names = [*(label.name for label in matrix.classes), UNLABELLED]
    places = np.argsort(-wrong, axis=None, kind='stable')[:most]
    pairs = [(int(row), int(column)) for row, column in zip(*np.unravel_index(places, wrong.shape))
             if wrong[row, column]]
    return [ConfusedPair(names[row], names[column], int(wrong[row, column]),
                         float(wrong[row, column] / matrix.counts[row].sum()))
            for row, column in pairs]
