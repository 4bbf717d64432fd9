"""Calibration: equal to a slow, obvious twin, and right where the answer is known."""
from __future__ import annotations

import math

import numpy as np
import pytest

from frm_seg_ros.core.calibration import BINS, Calibration, CalibrationCounts
from frm_seg_ros.core.label_space import IGNORE


def calibration(truth: object, labels: object, confidence: object) -> Calibration:
    counts = CalibrationCounts()
    counts.update(*(np.array([row], np.uint8) for row in (truth, labels, confidence)))
    return counts.scores()


def slow_bins(truth: np.ndarray, labels: np.ndarray,
              confidence: np.ndarray) -> list[list[tuple[float, bool]]]:
    """Sort the counted pixels into bins, one by one: (confidence, right)."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for true, label, value in zip(truth.ravel(), labels.ravel(), confidence.ravel()):
        if true != IGNORE:
            place = next(n for n in range(15) if int(value) * 15 <= (n + 1) * 255)
            bins[place].append((int(value) / 255, bool(true == label)))
    return bins


@pytest.mark.parametrize('seed', range(6))
def test_equal_to_the_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.array([0, 1, 2, IGNORE], np.uint8)
    truth, labels = rng.choice(ids, (2, 3, 9, 31))
    confidence = rng.integers(0 if seed % 2 else 100, 256, truth.shape).astype(np.uint8)
    counts = CalibrationCounts()
    for frame in range(3):
        counts.update(truth[frame], labels[frame], confidence[frame])
    found = counts.scores()
    bins = slow_bins(truth, labels, confidence)
    total = sum(map(len, bins))
    assert found.pixels.tolist() == [len(pixels) for pixels in bins]
    error = 0.0
    for pixels, accuracy, mean in zip(bins, found.accuracy, found.confidence):
        if not pixels:
            assert math.isnan(accuracy) and math.isnan(mean)
            continue
        wanted_mean = sum(value for value, _ in pixels) / len(pixels)
        wanted_accuracy = sum(right for _, right in pixels) / len(pixels)
        assert (accuracy, mean) == pytest.approx((wanted_accuracy, wanted_mean))
        error += len(pixels) / total * abs(wanted_accuracy - wanted_mean)
    assert found.error == pytest.approx(error)


def test_perfectly_calibrated_is_zero() -> None:
    # a fifth of 51/255, two fifths of 102/255 ... and all of 255 are right
    right = [1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]
    confidence = np.repeat([51, 102, 153, 204, 255], 5)
    found = calibration(np.ones(25), right, confidence)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.accuracy[[2, 5, 8, 11, 14]].tolist() == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_always_sure_and_half_wrong_is_a_half() -> None:
    found = calibration([0, 0, 1, 1], [0, 1, 0, 1], [255] * 4)
    assert found.error == 0.5
    assert (found.pixels[14], found.accuracy[14], found.confidence[14]) == (4, 0.5, 1.0)


def test_never_sure_and_always_right_is_one() -> None:
    found = calibration([0, 1], [0, 1], [0, 0])
    assert (found.error, found.pixels[0]) == (1.0, 2)


def test_errors_of_bins_do_not_cancel_but_those_in_a_bin_do() -> None:
    # one bin too sure by 0.2, another not sure enough by 0.2
    assert calibration([0] * 10, [0] * 4 + [1] + [1] * 4 + [0], [255] * 5 + [0] * 5
                       ).error == pytest.approx(0.2)
    # 240 and 254 share a bin: right once in two, with mean confidence 247/255
    assert calibration([0, 0], [0, 1], [240, 254]).error == pytest.approx(247 / 255 - 0.5)


@pytest.mark.parametrize('value, place', [(0, 0), (1, 0), (17, 0), (18, 1), (34, 1), (35, 2),
                                          (238, 13), (239, 14), (255, 14)])
def test_edges_of_bins(value: int, place: int) -> None:
    assert np.flatnonzero(calibration([0], [0], [value]).pixels).tolist() == [place]


def test_ignored_truth_leaves_and_unlabelled_is_wrong() -> None:
    found = calibration([IGNORE, IGNORE, 0, 0], [IGNORE, 0, 0, IGNORE], [255] * 4)
    assert (found.pixels.sum(), found.accuracy[14]) == (2, 0.5)


@pytest.mark.filterwarnings('error')
def test_nothing_counted_is_nan() -> None:
    found = CalibrationCounts().scores()
    assert math.isnan(found.error) and found.pixels.tolist() == [0] * BINS


@pytest.mark.parametrize('confidence, words', [(np.zeros((2, 2), np.uint8), r'\(2, 2\)'),
                                               (np.zeros((2, 3), np.float32), 'float32')])
def test_wrong_arrays_are_refused(confidence: np.ndarray, words: str) -> None:
    zeros = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match=words):
        CalibrationCounts().update(zeros, zeros, confidence)
