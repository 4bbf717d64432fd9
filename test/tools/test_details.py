"""What the JSON of an evaluation holds beside the scores of its confusion matrix."""
from __future__ import annotations

import json

import numpy as np
import pytest

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.tools.details import details
from frm_seg_ros.tools.evaluation import Evaluation

SPACE = LabelSpace('space', (Label('road', 0, 0, 'flat', (128, 64, 128)),
                             Label('car', 1, 1, 'vehicle', (0, 0, 142)),
                             Label('never', 2, 2, 'none', (9, 9, 9))))


def make_evaluation(frames: int) -> Evaluation:
    """Frame n has n wrong rows of a half of road, of 5 rows, above a half of car."""
    evaluation = Evaluation(SPACE, frames)
    for index in range(frames):
        truth = np.zeros((10, 8), np.uint8)
        truth[5:] = 1
        labels = truth.copy()
        labels[5 - index:] = 1
        image = np.zeros((10, 8, 3), np.uint8)
        evaluation.add(Frame(image, 1000 * index, 'camera', truth), labels)
    return evaluation


def test_boundary() -> None:
    found = details(make_evaluation(4))['boundary']  # the boundary is met in the first only
    assert found == {'f': 0.25, 'by_class': {'road': 0.25, 'car': 0.25, 'never': None},
                     'tolerance': 0.0075, 'sums_in_millionths': [1_000_000, 1_000_000, 0,
                                                                 1_000_000],
                     'frames': [4, 4, 0, 4]}


@pytest.mark.parametrize('frames', [0, 1, 3])
def test_all_of_it_is_json(frames: int) -> None:
    found = details(make_evaluation(frames))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
