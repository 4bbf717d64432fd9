"""What was scored and timed frame by frame, as a table for spreadsheets."""
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.tools.evaluation import Evaluation


def write_csv(path: str | Path, evaluation: Evaluation) -> None:
    """Write a line a frame, whole or not at all; a cell is empty where there is no value.

    The columns: number of the frame, camera, stamp in ns, mIoU, IoU of every class, flicker, and
    the milliseconds of every stage.
    """
    names = evaluation.label_space.names
    stages = sorted({stage for frame in evaluation.counts for stage in frame.times_ms})
    head = ['frame', 'camera', 'stamp_ns', 'miou', *(f'iou {name}' for name in names), 'flicker',
            *(f'{stage}_ms' for stage in stages)]
    with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8',
                                              newline='') as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for number, (frame, miou) in enumerate(zip(evaluation.counts, evaluation.mious())):
            iou = [_share(*pair) for pair in frame.counts.T]
            writer.writerow([number, frame.camera, frame.stamp_ns,
                             '' if np.isnan(miou) else miou, *iou,
                             _share(frame.changed, frame.still),
                             *(frame.times_ms.get(stage, '') for stage in stages)])


def _share(part: int, whole: int) -> float | str:
    return part / whole if whole else ''
