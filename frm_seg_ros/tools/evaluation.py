"""What is learnt while predictions are compared with the truth, frame by frame."""
from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from frm_seg_ros.core.boundary import BoundaryCounts
from frm_seg_ros.core.calibration import CalibrationCounts
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import ConfusionMatrix


@dataclass(frozen=True)
class FrameScore:
    """Scores of one frame: `stamp_ns` of its image, `miou` and `pixel_accuracy` in 0..1 or NaN."""

    stamp_ns: int
    miou: float
    pixel_accuracy: float


class FrameCounts(NamedTuple):
    """What was counted in one frame.

    Attributes:
        stamp_ns: of its image.
        counts: (2, classes) int64: pixels of intersection and union of every class.
    """

    stamp_ns: int
    counts: np.ndarray


@dataclass(frozen=True)
class Sample:
    """A frame kept for the pictures of the report.

    Attributes:
        index: place among the scored frames, from 0 on.
        score: its scores.
        frame: image and truth.
        labels: (H, W) uint8 train ids, the prediction.
    """

    index: int
    score: FrameScore
    frame: Frame
    labels: np.ndarray


class Evaluation:
    """Everything that is learnt while predictions are compared with the truth, frame by frame.

    Memory is bounded: beside a few numbers a frame, only the sample frames are held.

    Attributes:
        label_space: the space of truth and labels.
        confusion: counts over all frames.
        boundary: boundary F-scores over all frames.
        calibration: pixels by confidence over the frames that came with it.
        series: scores by frame, in the order in which they came.
        counts: intersection and union of every class by frame, in the same order.
        even: samples spread evenly over the frames.
    """

    def __init__(self, label_space: LabelSpace, expected: int, samples: int = 4) -> None:
        """Begin with no frame.

        Args:
            label_space: the space of truth and labels.
            expected: how many frames will come, for spreading the samples.
            samples: how many evenly spread frames to keep, and how many of the worst.
        """
        self.label_space = label_space
        self.confusion = ConfusionMatrix(label_space.classes)
        self.boundary = BoundaryCounts(label_space.classes)
        self.calibration = CalibrationCounts()
        self.series: list[FrameScore] = []
        self.counts: list[FrameCounts] = []
        self.even: list[Sample] = []
        self._samples = samples
        self._even_at = set(np.linspace(0, max(expected - 1, 0), samples).astype(int).tolist())
        self._worst: list[tuple[float, int, Sample]] = []

    def add(self, frame: Frame, labels: np.ndarray,
            confidence: np.ndarray | None = None) -> None:
        """Score one frame that has a truth.

        Args:
            frame: image and truth.
            labels: (H, W) uint8 train ids, the prediction.
            confidence: (H, W) uint8, its confidence; None where it is not known.

        Raises:
            ValueError: if shapes or ids of truth and labels do not fit.
        """
        matrix = ConfusionMatrix(self.confusion.classes)
        matrix.update(frame.truth, labels)
        self.confusion.add(matrix)
        self.boundary.update(frame.truth, labels)
        if confidence is not None:
            self.calibration.update(frame.truth, labels, confidence)
        scores = matrix.scores()
        index = len(self.series)
        score = FrameScore(frame.stamp_ns, scores.miou, scores.pixel_accuracy)
        self.series.append(score)
        self.counts.append(FrameCounts(frame.stamp_ns, matrix.intersection_and_union()))
        self._keep(Sample(index, score, frame, labels))

    def counts_array(self) -> np.ndarray:
        """Stack what was counted by frame: (frames, 2, classes) int64."""
        shape = (len(self.counts), 2, len(self.confusion.classes))
        return np.array([frame.counts for frame in self.counts], np.int64).reshape(shape)

    def _keep(self, sample: Sample) -> None:
        if sample.index in self._even_at:
            self.even.append(sample)
        if sample.score.miou == sample.score.miou:
            heapq.heappush(self._worst, (-sample.score.miou, -sample.index, sample))
            if len(self._worst) > self._samples:
                heapq.heappop(self._worst)

    @property
    def worst(self) -> list[Sample]:
        """Frames with the lowest mIoU, the worst first."""
        return [entry[2] for entry in sorted(self._worst, reverse=True)]
