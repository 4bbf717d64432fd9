"""Scores: equal to cityscapesscripts and to a slow, obvious twin."""
from __future__ import annotations

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest

from frm_seg_ros.core.label_space import IGNORE, Label, LabelSpace
from frm_seg_ros.core.metrics import ConfusionMatrix, mean_of_valid

SPACE = LabelSpace.load('cityscapes')
SIZE = len(SPACE.classes)


def make_matrix(truth: np.ndarray, labels: np.ndarray) -> ConfusionMatrix:
    matrix = ConfusionMatrix(SPACE.classes)
    matrix.update(truth, labels)
    return matrix


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw truth and labels of which a part agrees; some classes absent, some pixels 255."""
    rng = np.random.default_rng(seed)
    known = rng.permutation(SIZE)[:rng.integers(1, SIZE + 1)]
    ids = np.append(known, IGNORE).astype(np.uint8)
    truth = rng.choice(ids, (31, 47))
    labels = np.where(rng.random(truth.shape) < 0.6, truth, rng.choice(ids, truth.shape))
    return truth, labels


CRAFTED = {
    'all right': (np.arange(SIZE), np.arange(SIZE)),
    'all wrong': ([0, 1, 2], [1, 2, 0]),
    'predicted once, absent from the truth': ([0, 0, 0, 1], [0, 0, 5, 1]),
    'ignored truth hides a wrong prediction': ([0, 255, 1], [0, 7, 1]),
    'unlabelled prediction': ([0, 0, 1, 1], [0, 255, 1, 255]),
    'only unlabelled': ([3, 3], [255, 255]),
    'one category mixed up': ([11, 12, 12], [12, 11, 12]),
    'one pixel': ([18], [18]),
}
CASES = {f'random {seed}': random_case(seed) for seed in range(12)}
CASES.update({name: tuple(np.array([row], np.uint8) for row in pair)
              for name, pair in CRAFTED.items()})


def cityscapes_scores(truth: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """Score with cityscapesscripts: ids of its own, unlabelled predictions as its id 0."""
    judge = pytest.importorskip(
        'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling',
        reason='cityscapesscripts is not installed: pip install cityscapesscripts')
    args = SimpleNamespace(evalLabels=[])
    matrix = judge.generateMatrix(args)
    to_id = SPACE.to_id.copy()
    to_id[IGNORE] = 0
    np.add.at(matrix, (to_id[truth].ravel(), to_id[labels].ravel()), 1)
    classes = {label.name: judge.getIouScoreForLabel(label.id, matrix, args)
               for label in SPACE.classes}
    categories = {label.category: judge.getIouScoreForCategory(label.category, matrix, args)
                  for label in SPACE.classes}
    return {'iou': classes, 'miou': judge.getScoreAverage(classes, args), 'categories': categories}


@pytest.mark.parametrize('name', CASES)
def test_scores_equal_cityscapesscripts(name: str) -> None:
    truth, labels = CASES[name]
    wanted = cityscapes_scores(truth, labels)
    scores = make_matrix(truth, labels).scores()
    np.testing.assert_equal(scores.iou, wanted['iou'])
    # A mean of up to 19 values: NumPy's releases add them up in different orders.
    np.testing.assert_allclose(scores.miou, wanted['miou'], rtol=1e-14)
    np.testing.assert_equal(scores.category_iou, wanted['categories'])


def slow_scores(truth: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], float, float]:
    """Give IoU by class, frequency-weighted IoU and pixel accuracy, pixel by pixel."""
    pairs = [(int(t), int(p)) for t, p in zip(truth.ravel(), labels.ravel()) if t != IGNORE]
    iou, weighted = {}, 0.0
    for label in SPACE.classes:
        in_truth = {n for n, (t, _) in enumerate(pairs) if t == label.train_id}
        found = {n for n, (_, p) in enumerate(pairs) if p == label.train_id}
        union = len(in_truth | found)
        iou[label.name] = len(in_truth & found) / union if union else math.nan
        weighted += iou[label.name] * len(in_truth) / len(pairs) if in_truth else 0.0
    return iou, weighted, sum(t == p for t, p in pairs) / len(pairs)


@pytest.mark.parametrize('name', CASES)
def test_scores_equal_the_slow_twin(name: str) -> None:
    iou, weighted, accuracy = slow_scores(*CASES[name])
    scores = make_matrix(*CASES[name]).scores()
    np.testing.assert_equal(scores.iou, iou)
    assert scores.frequency_weighted_iou == pytest.approx(weighted, abs=1e-12)
    assert scores.pixel_accuracy == pytest.approx(accuracy, abs=1e-12)
    np.testing.assert_equal(scores.miou, mean_of_valid(list(iou.values())))


def test_rows_are_the_truth_and_the_last_column_is_unlabelled() -> None:
    truth, labels = np.array([[2, 2, 2, 255], [3, 3, 255, 3]], np.uint8)[:, None]
    matrix = make_matrix(truth, labels)
    wanted = np.zeros((SIZE, SIZE + 1), np.int64)
    wanted[2, 3], wanted[2, SIZE] = 2, 1
    np.testing.assert_array_equal(matrix.counts, wanted)


@pytest.mark.parametrize('name', CASES)
def test_intersection_and_union_divide_to_iou(name: str) -> None:
    matrix = make_matrix(*CASES[name])
    intersection, union = matrix.intersection_and_union()
    for part, whole, iou in zip(intersection, union, matrix.scores().iou.values()):
        np.testing.assert_equal(part / whole if whole else math.nan, iou)


def test_adding_matrices_equals_counting_everything() -> None:
    parts = [random_case(seed) for seed in (1, 2, 3)]
    total = ConfusionMatrix(SPACE.classes)
    for truth, labels in parts:
        total.add(make_matrix(truth, labels))
    whole = make_matrix(*(np.vstack([part[side] for part in parts]) for side in (0, 1)))
    np.testing.assert_array_equal(total.counts, whole.counts)


def test_nothing_counted_is_nan_everywhere() -> None:
    scores = ConfusionMatrix(SPACE.classes).scores()
    values = [scores.miou, scores.frequency_weighted_iou, scores.pixel_accuracy,
              *scores.iou.values(), *scores.category_iou.values()]
    assert all(math.isnan(value) for value in values)


@pytest.mark.parametrize('truth, labels, words', [
    (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), r'\(2, 3\).*\(3, 2\)'),
    (np.zeros((2, 3), np.int32), np.zeros((2, 3), np.uint8), 'int32'),
    (np.full((2, 3), 19, np.uint8), np.zeros((2, 3), np.uint8), r'\[19\]'),
    (np.zeros((2, 3), np.uint8), np.full((2, 3), 254, np.uint8), r'\[254\]'),
])
def test_wrong_arrays_are_refused(truth: np.ndarray, labels: np.ndarray, words: str) -> None:
    matrix = ConfusionMatrix(SPACE.classes)
    with pytest.raises(ValueError, match=words):
        matrix.update(truth, labels)
    assert matrix.counts.sum() == 0


def test_matrices_over_other_classes_do_not_add() -> None:
    other = ConfusionMatrix([Label('sky', 0, 0, 'sky', (1, 2, 3))])
    with pytest.raises(ValueError, match='different classes'):
        ConfusionMatrix(SPACE.classes).add(other)


def test_a_frame_takes_about_a_millisecond() -> None:
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, SIZE, (2, 360, 480)).astype(np.uint8)
    matrix = ConfusionMatrix(SPACE.classes)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        matrix.update(truth, labels)
        times.append(time.perf_counter() - start)
    assert min(times) < 4e-3  # 0.3 ms when measured alone; room for a busy machine
