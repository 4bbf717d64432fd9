"""Confused pairs of a matrix that is known."""
from __future__ import annotations

import numpy as np

from frm_seg_ros.core.confused import ConfusedPair, confused_pairs
from frm_seg_ros.core.label_space import Label
from frm_seg_ros.core.metrics import ConfusionMatrix

CLASSES = tuple(Label(name, index, index, 'any', (index, 0, 0))
                for index, name in enumerate(('road', 'car', 'sky')))


def make_matrix(rows: list[list[int]]) -> ConfusionMatrix:
    matrix = ConfusionMatrix(CLASSES)
    matrix.counts[:] = np.array(rows)
    return matrix


def test_pairs_come_by_pixels_with_their_share_of_the_truth() -> None:
    # the right ones are on the diagonal and the unlabelled ones in the last column
    matrix = make_matrix([[900, 60, 0, 40], [50, 150, 0, 0], [0, 0, 10, 0]])
    wanted = [ConfusedPair('road', 'car', 60, 0.06), ConfusedPair('car', 'road', 50, 0.25),
              ConfusedPair('road', 'unlabelled', 40, 0.04)]
    assert confused_pairs(matrix) == wanted
    assert confused_pairs(matrix, most=2) == wanted[:2]
    assert matrix.counts[0, 0] == 900


def test_of_equal_pairs_the_first_of_the_matrix_come_first() -> None:
    pairs = confused_pairs(make_matrix([[0, 7, 7, 0], [7, 0, 9, 0], [7, 7, 0, 7]]), 4)
    assert [(pair.truth, pair.predicted) for pair in pairs] == [
        ('car', 'sky'), ('road', 'car'), ('road', 'sky'), ('car', 'road')]


def test_where_all_is_right_or_nothing_was_counted_there_is_no_pair() -> None:
    assert confused_pairs(make_matrix([[5, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])) == []
    assert confused_pairs(ConfusionMatrix(CLASSES)) == []
