"""Boundary F-score: equal to a slow, obvious twin, and right where the answer is known."""
from __future__ import annotations

import math

import numpy as np
import pytest

from frm_seg_ros.core.boundary import BoundaryCounts, frame_boundary_f
from frm_seg_ros.core.label_space import IGNORE, Label

CLASSES = tuple(Label(name, index, index, 'any', (index, 0, 0))
                for index, name in enumerate(('left', 'right', 'spot', 'never')))


def slow_boundary(labels: np.ndarray, truth: np.ndarray, index: int) -> list[tuple[int, int]]:
    """List the pixels of a class beside which another label lies, where the truth counts."""
    height, width = labels.shape
    found = []
    for y in range(height):
        for x in range(width):
            beside = [(y + dy, x + dx) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
                      if 0 <= y + dy < height and 0 <= x + dx < width]
            if labels[y, x] == index and truth[y, x] != IGNORE and any(
                    labels[place] != index and truth[place] != IGNORE for place in beside):
                found.append((y, x))
    return found


def slow_share(mine: list[tuple[int, int]], others: list[tuple[int, int]],
               tolerance: float) -> float:
    """Tell which share of my pixels is nearer to one of the others than the tolerance."""
    return sum(any(math.dist(a, b) < tolerance for b in others) for a in mine) / len(mine)


def slow_f(truth: np.ndarray, labels: np.ndarray) -> list[float]:
    scores = []
    tolerance = 0.0075 * math.hypot(*truth.shape)
    for index in range(len(CLASSES)):
        true, found = (slow_boundary(side, truth, index) for side in (truth, labels))
        if not true and not found:
            scores.append(math.nan)
            continue
        precision = slow_share(found, true, tolerance) if found else 0.0
        recall = slow_share(true, found, tolerance) if true else 0.0
        both = precision + recall
        scores.append(2 * precision * recall / both if both else 0.0)
    return scores


def blobs(rng: np.random.Generator, shape: tuple[int, int], step: int) -> np.ndarray:
    """Draw blocks of random labels, some of them 255."""
    coarse = rng.choice([0, 1, 2, IGNORE], [-(-side // step) for side in shape],
                        p=[0.4, 0.3, 0.2, 0.1])
    return np.kron(coarse, np.ones((step, step))).astype(np.uint8)[:shape[0], :shape[1]]


@pytest.mark.parametrize('seed, shape, step', [
    (0, (9, 400), 4), (1, (12, 300), 3), (2, (300, 7), 5), (3, (40, 140), 6), (4, (6, 8), 2),
    (5, (1, 300), 7), (6, (20, 60), 1), (7, (3, 4), 1)])
def test_equal_to_the_slow_twin(seed: int, shape: tuple[int, int], step: int) -> None:
    rng = np.random.default_rng(seed)
    truth = blobs(rng, shape, step)
    labels = np.where(rng.random(shape) < 0.02, blobs(rng, shape, 1), np.roll(truth, 2, 1))
    np.testing.assert_allclose(frame_boundary_f(truth, labels, len(CLASSES)),
                               slow_f(truth, labels), rtol=1e-12)


def halves(shape: tuple[int, int], border: int) -> np.ndarray:
    """Put class 0 left of a border and class 1 right of it."""
    labels = np.zeros(shape, np.uint8)
    labels[:, border:] = 1
    return labels


@pytest.mark.parametrize('shape, shift, wanted', [
    ((30, 40), 0, 1.0), ((30, 40), 1, 0.0),      # 0.375 pixels
    ((300, 400), 3, 1.0), ((300, 400), 4, 0.0),  # 3.75 pixels
    ((240, 320), 2, 1.0), ((240, 320), 3, 0.0),  # 3 pixels: as far as the tolerance is too far
    ((360, 480), 4, 1.0), ((360, 480), 5, 0.0),  # 4.5 pixels
])
def test_the_tolerance_is_a_share_of_the_diagonal(shape: tuple[int, int], shift: int,
                                                  wanted: float) -> None:
    found = frame_boundary_f(halves(shape, 20), halves(shape, 20 + shift), len(CLASSES))
    np.testing.assert_equal(found, [wanted, wanted, math.nan, math.nan])


def test_distance_is_straight_not_by_rows_and_columns() -> None:
    truth = np.zeros((240, 320), np.uint8)  # 3 pixels
    labels = truth.copy()
    truth[100, 100], labels[102, 102] = 2, 2  # 2.83 pixels apart
    assert frame_boundary_f(truth, labels, 3)[2] == 1
    labels[102, 102], labels[102, 103] = 0, 2  # 3.6 pixels apart
    assert frame_boundary_f(truth, labels, 3)[2] == 0


def test_precision_and_recall_by_hand() -> None:
    truth, labels = np.zeros((2, 12, 30), np.uint8)  # less than a pixel
    truth[1, 2:6] = labels[1, 2:6] = 2  # four pixels met
    labels[5, 10:14] = 2  # and four too many: precision 1/2, recall 1
    truth[9, 20:22] = 2  # two missed: recall 4/6
    assert frame_boundary_f(truth, labels, 3)[2] == pytest.approx(2 * 1 / 2 * 2 / 3 / (7 / 6))


def test_ignored_truth_hides_boundaries_of_both() -> None:
    truth, labels = halves((30, 40), 20), halves((30, 40), 20)
    truth[:, :10] = IGNORE
    labels[:, 5] = 2  # in the ignored part
    labels[:, 10] = 0  # beside it
    np.testing.assert_equal(frame_boundary_f(truth, labels, 4), [1, 1, math.nan, math.nan])
    truth[:, 19:21] = IGNORE  # the border itself
    np.testing.assert_equal(frame_boundary_f(truth, labels, 4), [math.nan] * 4)


def test_unlabelled_pixels_bound_the_classes_but_are_none() -> None:
    truth, labels = halves((30, 40), 20), halves((30, 40), 20)
    labels[:, 20:] = IGNORE
    np.testing.assert_equal(frame_boundary_f(truth, labels, 4), [1, 0, math.nan, math.nan])


def test_a_class_in_one_only_has_zero_and_in_neither_none() -> None:
    truth, labels = np.zeros((2, 30, 40), np.uint8)
    labels[10, 10] = 2
    np.testing.assert_equal(frame_boundary_f(truth, labels, 4), [0, math.nan, 0, math.nan])


def test_means_over_frames() -> None:
    counts = BoundaryCounts(CLASSES)
    assert math.isnan(counts.scores().f)
    truth = halves((30, 40), 20)
    spot = truth.copy()
    spot[5, 5] = 2
    counts.update(truth, truth)                       # 1, 1
    counts.update(truth, halves((30, 40), 22))        # 0, 0
    counts.update(spot, spot)                         # 1, 1, 1
    counts.update(np.zeros_like(truth), np.zeros_like(truth))  # no boundary: no frame
    counts.update(spot, truth)                        # 60/64, 1, 0
    scores = counts.scores()
    left = 2 * (30 / 34) / (1 + 30 / 34)
    assert scores.by_class == pytest.approx({
        'left': (2 + left) / 4, 'right': 3 / 4, 'spot': 1 / 2, 'never': math.nan},
        abs=1e-6, nan_ok=True)
    assert scores.f == pytest.approx((1 + 0 + 1 + (left + 1 + 0) / 3) / 4, abs=1e-6)


def test_parts_add_up_to_the_same_in_any_order() -> None:
    rng = np.random.default_rng(0)
    frames = [(blobs(rng, (20, 60), 3), blobs(rng, (20, 60), 3)) for _ in range(9)]
    forwards, backwards = BoundaryCounts(CLASSES), BoundaryCounts(CLASSES)
    for truth, labels in frames:
        forwards.update(truth, labels)
    for truth, labels in reversed(frames):
        backwards.update(truth, labels)
    np.testing.assert_array_equal(forwards.sums, backwards.sums)
    np.testing.assert_array_equal(forwards.frames, [9, 9, 9, 0, 9])
    assert 0 < forwards.scores().f < 1


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(3, 2\)'):
        frame_boundary_f(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)
