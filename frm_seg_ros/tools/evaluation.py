"""What is learnt while predictions are compared with the truth, frame by frame."""
from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from frm_seg_ros.core.bootstrap import miou_of_sums
from frm_seg_ros.core.boundary import BoundaryCounts
from frm_seg_ros.core.calibration import CalibrationCounts
from frm_seg_ros.core.flicker import Flicker
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import ConfusionMatrix
from frm_seg_ros.tools.label_hash import hash_image


@dataclass(frozen=True)
class FrameScore:
    """Scores of one frame: `stamp_ns` of its image, `miou` and `pixel_accuracy` in 0..1 or NaN."""

    stamp_ns: int
    miou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class FrameCounts:
    """What was counted in one frame.

    Attributes:
        stamp_ns: of its image.
        camera: its frame_id; the topic where several cameras are read at once.
        counts: (2, classes) int64: pixels of intersection and union of every class.
        still: pixels that Flicker compared with the frame before.
        changed: those whose label changed.
        times_ms: milliseconds by stage; empty where nothing was measured.
        labels_sha256: `hash_image` of the labels, as they came.
    """

    stamp_ns: int
    camera: str
    counts: np.ndarray
    still: int = 0
    changed: int = 0
    times_ms: Mapping[str, float] = field(default_factory=dict)
    labels_sha256: str = ''


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
        flicker: what compares every frame with the one before.
        counts: what was counted by frame, in the order in which they came.
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
        self.flicker = Flicker()
        self.counts: list[FrameCounts] = []
        self.even: list[Sample] = []
        self._samples = samples
        self._even_at = even_places(expected, samples)
        self._worst: list[tuple[float, int, Sample]] = []

    def add(self, frame: Frame, labels: np.ndarray, confidence: np.ndarray | None = None,
            times_ms: Mapping[str, float] | None = None,
            labels_sha256: str | None = None) -> None:
        """Score one frame that has a truth.

        Args:
            frame: image and truth.
            labels: (H, W) uint8 train ids, the prediction.
            confidence: (H, W) uint8, its confidence; None where it is not known.
            times_ms: milliseconds by stage of making it; None where nothing was measured.
            labels_sha256: `hash_image` of the labels before they were mapped; None where they
                were not.

        Raises:
            ValueError: if shapes or ids of truth and labels do not fit.
        """
        matrix = ConfusionMatrix(self.confusion.classes)
        matrix.update(frame.truth, labels)
        self.confusion.add(matrix)
        self.boundary.update(frame.truth, labels)
        if confidence is not None:
            self.calibration.update(frame.truth, labels, confidence)
        self.counts.append(FrameCounts(
            frame.stamp_ns, frame.frame_id, matrix.intersection_and_union(),
            *self.flicker.update(frame, labels), times_ms or {},
            labels_sha256 or hash_image(labels)))
        self._keep(make_sample(len(self.counts) - 1, frame, labels, matrix))

    def counts_array(self) -> np.ndarray:
        """Stack what was counted by frame: (frames, 2, classes) int64."""
        shape = (len(self.counts), 2, len(self.confusion.classes))
        return np.array([frame.counts for frame in self.counts], np.int64).reshape(shape)

    def mious(self) -> np.ndarray:
        """Give mIoU by frame, (frames,) float64; NaN where no class can be scored."""
        return miou_of_sums(self.counts_array())

    def cameras(self) -> dict[str, np.ndarray]:
        """Give the places of every camera's frames, (n,) int64, in the order of the cameras."""
        found: dict[str, list[int]] = {}
        for place, frame in enumerate(self.counts):
            found.setdefault(frame.camera, []).append(place)
        return {camera: np.array(places) for camera, places in found.items()}

    def keep_samples(self, worst: Sequence[Sample], even: Sequence[Sample]) -> None:
        """Take samples that were made elsewhere in place of those kept so far."""
        self.even = list(even)
        self._worst = [(-sample.score.miou, -sample.index, sample) for sample in worst]

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


def make_sample(index: int, frame: Frame, labels: np.ndarray,
                matrix: ConfusionMatrix) -> Sample:
    """Put a frame, its labels and the matrix of only this frame into a sample."""
    scores = matrix.scores()
    return Sample(index, FrameScore(frame.stamp_ns, scores.miou, scores.pixel_accuracy), frame,
                  labels)


def even_places(frames: int, samples: int) -> set[int]:
    """Choose places that are spread evenly over so many frames."""
    return set(np.linspace(0, max(frames - 1, 0), samples).astype(int).tolist())


def worst_places(mious: np.ndarray, samples: int) -> list[int]:
    """Choose the places of the lowest values, the worst first; NaN is none, the first wins."""
    order = np.argsort(mious, kind='stable')
    return order[:min(samples, np.count_nonzero(~np.isnan(mious)))].tolist()
