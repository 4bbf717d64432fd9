"""What the JSON of an evaluation holds beside the scores of its confusion matrix."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from frm_seg_ros.core.bootstrap import LEVEL, RESAMPLES, block_length, miou_interval, miou_of_sums
from frm_seg_ros.core.boundary import TOLERANCE, BoundaryCounts
from frm_seg_ros.core.calibration import CalibrationCounts
from frm_seg_ros.core.confused import confused_pairs
from frm_seg_ros.tools.evaluation import Evaluation, FrameCounts
from frm_seg_ros.tools.label_hash import hash_hashes


def details(evaluation: Evaluation) -> dict[str, Any]:
    """Put what was learnt beside the confusion matrix into a dict for JSON; None is NaN.

    All but `timing` is derived from whole numbers that are in the dict too and add up over parts.
    """
    return {
        'miou_interval': interval(evaluation),
        'confused_pairs': [asdict(pair) for pair in confused_pairs(evaluation.confusion)],
        'boundary': _boundary(evaluation.boundary),
        'calibration': _calibration(evaluation.calibration),
        'flicker': flicker(evaluation),
        'cameras': cameras_of(evaluation),
        'labels_sha256': hash_hashes(frame.labels_sha256 for frame in evaluation.counts),
        'per_frame': _per_frame(evaluation),
        'timing': _timing(evaluation),
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
        'camera': [frame.camera for frame in evaluation.counts],
        'intersection': counts[:, 0].tolist(),
        'union': counts[:, 1].tolist(),
        'still': [frame.still for frame in evaluation.counts],
        'changed': [frame.changed for frame in evaluation.counts],
        'labels_sha256': [frame.labels_sha256 for frame in evaluation.counts],
    }


def frames_from_json(result: Mapping[str, Any]) -> list[FrameCounts]:
    """Read what was counted by frame from a result that holds `details`."""
    known, timing = result['per_frame'], result['timing'] or {'stages': [], 'by_frame': None}
    times = timing['by_frame'] or [None] * len(known['stamp_ns'])
    return [FrameCounts(stamp_ns, camera, np.array(counts, np.int64), still, changed,
                        dict(zip(timing['stages'], row or ())), labels_sha256)
            for stamp_ns, camera, *counts, still, changed, row, labels_sha256 in zip(
                known['stamp_ns'], known['camera'], known['intersection'], known['union'],
                known['still'], known['changed'], times, known['labels_sha256'])]


def flicker(evaluation: Evaluation) -> dict[str, Any]:
    """Tell which share of the pixels that stood still changed their label; None of none."""
    still = sum(frame.still for frame in evaluation.counts)
    changed = sum(frame.changed for frame in evaluation.counts)
    return {'share': changed / still if still else None, 'still_pixels': still,
            'changed_pixels': changed}


def cameras_of(evaluation: Evaluation) -> dict[str, Any]:
    """Score every camera by itself."""
    counts = evaluation.counts_array()
    return {camera: {'frames': len(places),
                     'miou': number(miou_of_sums(counts[places].sum(0)[None])[0])}
            for camera, places in evaluation.cameras().items()}


def latencies_ms(evaluation: Evaluation) -> np.ndarray:
    """Give milliseconds from image to labels by frame, (frames,) float64; NaN where unknown."""
    return np.array([frame.times_ms.get('pre', np.nan) + frame.times_ms.get('inference', np.nan)
                     for frame in evaluation.counts], np.float64)


def percentiles_ms(latencies: np.ndarray) -> dict[str, float]:
    """Give p50, p90, p99 and max of those that are not NaN, of which there is one at least."""
    found = {f'p{rank}': float(np.nanpercentile(latencies, rank)) for rank in (50, 90, 99)}
    return {**found, 'max': float(np.nanmax(latencies))}


def _timing(evaluation: Evaluation) -> dict[str, Any] | None:
    """List the stage times of every frame; None where none were measured."""
    stages = next((list(frame.times_ms) for frame in evaluation.counts if frame.times_ms), None)
    if not stages:
        return None
    return {
        'latency_ms': {rank: round(value, 3) for rank, value
                       in percentiles_ms(latencies_ms(evaluation)).items()},
        'stages': stages,
        'by_frame': [[round(frame.times_ms[stage], 3) for stage in stages]
                     if frame.times_ms else None for frame in evaluation.counts],
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
