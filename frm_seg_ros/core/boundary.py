"""Boundary F-score: how well the outlines of the classes are met.

The score is the contour-based one of Csurka, Larlus and Perronnin, "What is a good evaluation
measure for semantic segmentation?", BMVC 2013. docs/metrics.md has it in words, with the choices
that the paper leaves open.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from frm_seg_ros.core.label_space import IGNORE, Label

# A boundary pixel is met by one nearer than this share of the image's diagonal (Csurka et al.).
TOLERANCE = 0.0075
# Sums are kept in millionths, as whole numbers: parts add up to the same in any order.
_PARTS = 1_000_000


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary F-scores of a set of frames; each in 0..1, NaN where nothing defines it.

    Attributes:
        f: mean over the frames of the frame's F, which is the mean of its classes' F.
        by_class: by class name, the mean over the frames in which the class has a boundary.
    """

    f: float
    by_class: dict[str, float]


class BoundaryCounts:
    """Sums of boundary F-scores over frames.

    Attributes:
        classes: the classes in the order of their train ids.
        sums: (classes + 1,) int64, sums of F in millionths over frames; the last place is for the
            frames' means over their classes.
        frames: (classes + 1,) int64, over how many frames each sum goes.
    """

    def __init__(self, classes: Sequence[Label]) -> None:
        self.classes = tuple(classes)
        self.sums = np.zeros(len(self.classes) + 1, np.int64)
        self.frames = np.zeros(len(self.classes) + 1, np.int64)

    def update(self, truth: np.ndarray, labels: np.ndarray) -> None:
        """Score the boundaries of one frame.

        Args:
            truth: (H, W) uint8 train ids; what is 255 is not counted, on neither side.
            labels: (H, W) uint8 train ids; 255 = unlabelled.
        """
        values = frame_boundary_f(truth, labels, len(self.classes))
        known = ~np.isnan(values)
        if known.any():
            values, known = np.append(values, values[known].mean()), np.append(known, True)
            self.sums[known] += np.rint(values[known] * _PARTS).astype(np.int64)
            self.frames[known] += 1

    def scores(self) -> BoundaryScores:
        """Score what was counted so far."""
        *by_class, f = [int(total) / (_PARTS * int(count)) if count else float('nan')
                        for total, count in zip(self.sums, self.frames)]
        return BoundaryScores(f, {label.name: value
                                  for label, value in zip(self.classes, by_class)})


def frame_boundary_f(truth: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Compute the boundary F-score of every class in one frame.

    Args:
        truth: (H, W) uint8 train ids, 255 = not counted.
        labels: (H, W) uint8 train ids, 255 = unlabelled.
        classes: how many classes there are.

    Returns:
        (classes,) float64 in 0..1; NaN where neither truth nor labels have a boundary.

    Raises:
        ValueError: if the shapes differ.
    """
    if truth.shape != labels.shape:
        raise ValueError(f'truth has the shape {truth.shape} and labels {labels.shape}: '
                         'wanted one shape')
    counted = truth != IGNORE
    true, found = boundary_map(truth, counted), boundary_map(labels, counted)
    disk = _disk(_reach(*truth.shape))
    return np.array([_f_score(true == index, found == index, disk) for index in range(classes)])


def boundary_map(labels: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Keep the labels on boundaries only.

    A pixel lies on the boundary of its class when one of the pixels above, below, left and right
    of it has another label; both must be counted. The border of the image is no boundary.

    Args:
        labels: (H, W) uint8 train ids.
        counted: (H, W) bool.

    Returns:
        (H, W) uint8: train ids on boundaries, 255 elsewhere.
    """
    edge = np.zeros(labels.shape, bool)
    rows = (labels[1:] != labels[:-1]) & counted[1:] & counted[:-1]
    edge[1:] |= rows
    edge[:-1] |= rows
    columns = (labels[:, 1:] != labels[:, :-1]) & counted[:, 1:] & counted[:, :-1]
    edge[:, 1:] |= columns
    edge[:, :-1] |= columns
    return np.where(edge, labels, np.uint8(IGNORE))


def _f_score(true: np.ndarray, found: np.ndarray, disk: np.ndarray) -> float:
    """Compute F of two boundaries, (H, W) bool, where `disk` reaches as far as a match may."""
    left, top, width, height = cv2.boundingRect((true | found).view(np.uint8))
    true, found = (side[top:top + height, left:left + width] for side in (true, found))
    true_pixels, found_pixels = np.count_nonzero(true), np.count_nonzero(found)
    if not true_pixels or not found_pixels:
        return 0.0 if true_pixels or found_pixels else float('nan')
    precision = np.count_nonzero(found & _near(true, disk)) / found_pixels
    recall = np.count_nonzero(true & _near(found, disk)) / true_pixels
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def _near(boundary: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """Mark what lies within the disk around a pixel of the boundary; (H, W) bool both."""
    return cv2.dilate(boundary.view(np.uint8), disk).view(bool)


def _reach(height: int, width: int) -> int:
    """Give the largest squared distance below the squared tolerance, in whole numbers."""
    parts = round(TOLERANCE * 10_000)
    return (parts ** 2 * (height ** 2 + width ** 2) - 1) // 10_000 ** 2


@lru_cache(maxsize=8)
def _disk(reach: int) -> np.ndarray:
    """Mark the offsets whose squared length is `reach` at most; odd square, uint8 0 or 1."""
    offsets = np.arange(-int(reach ** 0.5), int(reach ** 0.5) + 1) ** 2
    return (offsets[:, None] + offsets <= reach).astype(np.uint8)
