"""What the JSON of an evaluation holds beside the scores of its confusion matrix."""
from __future__ import annotations

from dataclasses import asdict
from typing import Any

from frm_seg_ros.core.bootstrap import LEVEL, RESAMPLES, block_length, miou_interval
from frm_seg_ros.core.boundary import TOLERANCE, BoundaryCounts
from frm_seg_ros.core.calibration import CalibrationCounts
from frm_seg_ros.core.confused import confused_pairs
from frm_seg_ros.tools.evaluation import Evaluation


def details(evaluation: Evaluation) -> dict[str, Any]:
    """Put what was learnt beside the confusion matrix into a dict for JSON; None is NaN.

    All is derived from whole numbers that are in the dict too and add up over parts.
    """
    return {
        'miou_interval': interval(evaluation),
        'confused_pairs': [asdict(pair) for pair in confused_pairs(evaluation.confusion)],
        'boundary': _boundary(evaluation.boundary),
        'calibration': _calibration(evaluation.calibration),
        'per_frame': _per_frame(evaluation),
    }


def interval(evaluation: Evaluation) -> dict[str, Any] | None:
    """Give the interval of mIoU over frames and how it was made; None where there is none."""
    low, high = miou_interval(evaluation.counts_array())
    if low != low:
        return None
    return {'low': low, 'high': high, 'level': LEVEL, 'resamples': RESAMPLES,
            'block': block_length(len(evaluation.counts))}


def _per_frame(evaluation: Evaluation) -> dict[str, Any]:
    """List what was counted in every frame."""
    counts = evaluation.counts_array()
    return {
        'stamp_ns': [frame.stamp_ns for frame in evaluation.counts],
        'intersection': counts[:, 0].tolist(),
        'union': counts[:, 1].tolist(),
    }


def _boundary(counts: BoundaryCounts) -> dict[str, Any]:
    scores = counts.scores()
    return {
        'f': number(scores.f),
        'by_class': {name: number(value) for name, value in scores.by_class.items()},
        'tolerance': TOLERANCE,
        'sums_in_millionths': counts.sums.tolist(),
        'frames': counts.frames.tolist(),
    }


def _calibration(counts: CalibrationCounts) -> dict[str, Any] | None:
    """Tell of the bins too; None where no confidence was known."""
    if not counts.counts.any():
        return None
    scores = counts.scores()
    return {
        'error': scores.error,
        'pixels': scores.pixels.tolist(),
        'accuracy': [number(value) for value in scores.accuracy],
        'confidence': [number(value) for value in scores.confidence],
        'wrong_by_confidence': counts.counts[0].tolist(),
        'right_by_confidence': counts.counts[1].tolist(),
    }


def number(value: float) -> float | None:
    """Give None for NaN, which JSON does not have."""
    return float(value) if value == value else None
