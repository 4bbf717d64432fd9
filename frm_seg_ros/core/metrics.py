"""Scores of labels against the truth, by the definitions of the Cityscapes benchmark.

The definitions are those of `evalPixelLevelSemanticLabeling.py` in cityscapesScripts; the tests
hold this module equal to it. docs/metrics.md has them in words.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frm_seg_ros.core.label_space import IGNORE, Label

_CODES = 256 * 256


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix; each in 0..1, NaN where nothing defines it.

    Attributes:
        iou: intersection over union by class name; NaN where the class is neither in the truth
            nor in the prediction.
        miou: mean of `iou` over the classes that are not NaN.
        category_iou: by category name; a mix-up inside a category is no error.
        frequency_weighted_iou: mean of `iou` weighted by the classes' share of the truth.
        pixel_accuracy: share of the counted pixels that are right.
    """

    iou: dict[str, float]
    miou: float
    category_iou: dict[str, float]
    frequency_weighted_iou: float
    pixel_accuracy: float


class ConfusionMatrix:
    """Counts of pixels by true and predicted class.

    Attributes:
        classes: the classes in the order of their train ids, as `LabelSpace.classes` has them.
        counts: (classes, classes + 1) int64; rows are the truth, columns the prediction, and the
            last column counts the pixels that the prediction left unlabelled.
    """

    def __init__(self, classes: Sequence[Label]) -> None:
        self.classes = tuple(classes)
        self.counts = np.zeros((len(self.classes), len(self.classes) + 1), np.int64)

    def update(self, truth: np.ndarray, labels: np.ndarray) -> None:
        """Count the pixels of one frame.

        Args:
            truth: (H, W) uint8 train ids; what is 255 is not counted at all.
            labels: (H, W) uint8 train ids; 255 = unlabelled, wrong wherever the truth counts.

        Raises:
            ValueError: if shapes or dtypes differ from that, or an id is no class.
        """
        if truth.shape != labels.shape or truth.dtype != np.uint8 or labels.dtype != np.uint8:
            raise ValueError(f'truth is {truth.dtype} {truth.shape} and labels are {labels.dtype} '
                             f'{labels.shape}: wanted uint8 of one shape')
        codes = truth.astype(np.uint16) << 8
        codes |= labels
        table = np.bincount(codes.ravel(), minlength=_CODES).reshape(256, 256)[:IGNORE]
        size = len(self.classes)
        counts = np.column_stack((table[:size, :size], table[:size, IGNORE]))
        counted = int(table.sum())
        if counts.sum() != counted:
            strays = sorted({*np.unique(truth), *np.unique(labels)} - {IGNORE, *range(size)})
            raise ValueError(f'truth or labels hold {[int(value) for value in strays]}: wanted '
                             f'train ids below {size}, or 255')
        self.counts += counts

    def add(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix over the same classes.

        Raises:
            ValueError: if its classes differ.
        """
        if other.classes != self.classes:
            raise ValueError('the matrices are over different classes: their sum means nothing')
        self.counts += other.counts

    def intersection_and_union(self) -> np.ndarray:
        """Give the pixels of every class's intersection and union, (2, classes) int64."""
        intersection = self.counts.diagonal()
        union = self.counts.sum(1) + self.counts.sum(0)[:len(self.classes)] - intersection
        return np.stack([intersection, union])

    def scores(self) -> Scores:
        """Score what was counted so far."""
        size = len(self.classes)
        iou = [self._iou([index]) for index in range(size)]
        categories: dict[str, list[int]] = {}
        for index, label in enumerate(self.classes):
            categories.setdefault(label.category, []).append(index)
        truth = self.counts.sum(1)
        return Scores(
            iou={label.name: value for label, value in zip(self.classes, iou)},
            miou=mean_of_valid(iou),
            category_iou={name: self._iou(group) for name, group in categories.items()},
            frequency_weighted_iou=_ratio(np.nansum(truth * np.array(iou)), truth.sum()),
            pixel_accuracy=_ratio(self.counts.trace(), truth.sum()))

    def _iou(self, group: list[int]) -> float:
        """Divide the intersection of a group of classes by their union."""
        true_positive = self.counts[np.ix_(group, group)].sum()
        union = self.counts[group].sum() + self.counts[:, group].sum() - true_positive
        return _ratio(true_positive, union)


def mean_of_valid(values: Sequence[float]) -> float:
    """Average the values that are not NaN; NaN when there is none."""
    valid = [value for value in values if value == value]
    return sum(valid) / len(valid) if valid else float('nan')


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float('nan')
