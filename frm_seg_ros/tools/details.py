"""What the JSON of an evaluation holds beside the scores of its confusion matrix."""
from __future__ import annotations

from typing import Any

from frm_seg_ros.core.boundary import TOLERANCE, BoundaryCounts
from frm_seg_ros.tools.evaluation import Evaluation


def details(evaluation: Evaluation) -> dict[str, Any]:
    """Put what was learnt beside the confusion matrix into a dict for JSON; None is NaN.

    All is derived from whole numbers that are in the dict too and add up over parts.
    """
    return {
        'boundary': _boundary(evaluation.boundary),
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


def number(value: float) -> float | None:
    """Give None for NaN, which JSON does not have."""
    return float(value) if value == value else None
