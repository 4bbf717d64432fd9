"""The package's own messages: the one module that imports them, and how they are filled."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from frm_seg_ros.core.label_message import label_space_fields
from frm_seg_ros.core.label_space import LabelSpace as Space
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros.accounting import Counts

try:
    from frm_seg_ros.msg import LabelSpace, SegmentationStats
except ModuleNotFoundError as error:
    if error.name != 'frm_seg_ros.msg':
        raise
    raise SystemExit('the messages of frm_seg_ros are not built: run `colcon build` in the '
                     'workspace, then `. install/setup.bash`') from None

__all__ = ['LabelSpace', 'SegmentationStats', 'FrameReport', 'label_space_message',
           'stats_message']


@dataclass
class FrameReport:
    """Facts of one processed frame: header, class shares, stage times in ms, size of the batch."""

    header: Any
    batch: int = 1
    class_shares: np.ndarray | None = None
    times_ms: dict[str, float] = field(default_factory=dict)


def label_space_message(card: ModelCard, space: Space, pixel_ids: np.ndarray) -> LabelSpace:
    """Say what the labels of a model mean; `pixel_ids` (256,) uint8: their values in images."""
    pixels = pixel_ids[:len(space.classes)].tolist()
    return LabelSpace(**label_space_fields(card, space) | {'pixels': pixels})


def stats_message(camera: str, counts: Counts, report: FrameReport | None) -> SegmentationStats:
    """Tell what became of the frames so far and, with a report, of the one just processed."""
    message = SegmentationStats(
        camera=camera, has_frame=report is not None, received=counts.received,
        processed=counts.processed, drop_reasons=list(counts.dropped),
        dropped=list(counts.dropped.values()), pending=counts.pending,
        lost_in_transport=counts.lost_in_transport)
    if report is not None:
        message.header = report.header
        message.batch = report.batch
        message.class_shares = report.class_shares.tolist()
        for stage, milliseconds in report.times_ms.items():
            setattr(message, f'{stage}_ms', milliseconds)
    return message
