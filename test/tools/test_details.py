"""What the JSON of an evaluation holds beside the scores of its confusion matrix."""
from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from frm_seg_ros.core.bootstrap import miou_interval
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
        confidence = np.full((10, 8), 255 - 51 * index, np.uint8)
        evaluation.add(Frame(image, 1000 * index, 'camera', truth), labels, confidence)
    return evaluation


def test_boundary() -> None:
    found = details(make_evaluation(4))['boundary']  # the boundary is met in the first only
    assert found == {'f': 0.25, 'by_class': {'road': 0.25, 'car': 0.25, 'never': None},
                     'tolerance': 0.0075, 'sums_in_millionths': [1_000_000, 1_000_000, 0,
                                                                 1_000_000],
                     'frames': [4, 4, 0, 4]}


def test_per_frame_counts() -> None:
    found = details(make_evaluation(3))
    rows = [b'\0' * 8 * (5 - wrong) + b'\1' * 8 * (5 + wrong) for wrong in range(3)]
    digests = [hashlib.sha256(row) for row in rows]
    assert found['labels_sha256'] == hashlib.sha256(
        b''.join(digest.digest() for digest in digests)).hexdigest()
    assert found['per_frame'] == {
        'stamp_ns': [0, 1000, 2000],
        'intersection': [[40, 40, 0], [32, 40, 0], [24, 40, 0]],
        'union': [[40, 40, 0], [40, 48, 0], [40, 56, 0]],
        'camera': ['camera'] * 3, 'still': [0, 80, 80], 'changed': [0, 8, 8],
        'labels_sha256': [digest.hexdigest() for digest in digests]}


def test_interval_of_miou() -> None:
    evaluation = make_evaluation(5)
    low, high = miou_interval(evaluation.counts_array())
    assert details(evaluation)['miou_interval'] == {
        'low': low, 'high': high, 'level': 0.95, 'resamples': 1000, 'block': 2}
    assert low < evaluation.confusion.scores().miou < high
    assert details(make_evaluation(1))['miou_interval'] is None


def test_confused_pairs() -> None:
    assert details(make_evaluation(3))['confused_pairs'] == [
        {'truth': 'road', 'predicted': 'car', 'pixels': 24, 'share': 24 / 120}]


def test_calibration() -> None:
    found = details(make_evaluation(3))['calibration']
    # sure and all right; sure to 0.8 and 72 of 80 right; to 0.6 and 64 of 80 right
    assert found.pop('error') == pytest.approx((0 + 0.1 + 0.2) / 3)
    pixels = [0] * 15
    pixels[14] = pixels[11] = pixels[8] = 80
    assert found.pop('pixels') == pixels
    assert found.pop('accuracy') == [{14: 1, 11: 0.9, 8: 0.8}.get(n) for n in range(15)]
    assert found.pop('confidence') == [
        {14: 1, 11: pytest.approx(0.8), 8: pytest.approx(0.6)}.get(n) for n in range(15)]
    counts = {key: {value: count for value, count in enumerate(found[key]) if count}
              for key in found}
    assert counts == {'wrong_by_confidence': {204: 8, 153: 16},
                      'right_by_confidence': {255: 80, 204: 72, 153: 64}}


@pytest.mark.parametrize('frames', [0, 1, 3])
def test_all_of_it_is_json(frames: int) -> None:
    found = details(make_evaluation(frames))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
