"""The table of an evaluation: every value at its place, nothing where there is none."""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.tools.csv_file import write_csv
from frm_seg_ros.tools.evaluation import Evaluation

SPACE = LabelSpace('space', (Label('road, wet', 0, 0, 'flat', (1, 2, 3)),
                             Label('car', 1, 1, 'vehicle', (4, 5, 6)),
                             Label('never', 2, 2, 'none', (9, 9, 9))))


def test_a_line_a_frame(tmp_path: Path) -> None:
    evaluation = Evaluation(SPACE, 2)
    image, truth = np.zeros((10, 10, 3), np.uint8), np.repeat(np.uint8([0, 1]), 50).reshape(10, 10)
    labels = truth.copy()
    evaluation.add(Frame(image, 7, '/left', truth), labels)
    labels = truth.copy()
    labels.flat[:10] = 1
    evaluation.add(Frame(image, 10**18 + 1, '/left', truth), labels, None,
                   {'pre': 1.5, 'inference': 20.25})
    nothing = np.full((10, 10), 255, np.uint8)
    evaluation.add(Frame(image, 9, '/right', nothing), labels)
    path = tmp_path / 'deep' / 'a.csv'
    write_csv(path, evaluation)
    with open(path, newline='', encoding='utf-8') as file:
        found = list(csv.reader(file))
    assert found == [
        ['frame', 'camera', 'stamp_ns', 'miou', 'iou road, wet', 'iou car', 'iou never', 'flicker',
         'inference_ms', 'pre_ms'],
        ['0', '/left', '7', '1.0', '1.0', '1.0', '', '', '', ''],
        ['1', '/left', str(10**18 + 1), str((40 / 50 + 50 / 60) / 2), '0.8', str(50 / 60), '',
         '0.1', '20.25', '1.5'],
        ['2', '/right', '9', '', '', '', '', '', '', '']]
