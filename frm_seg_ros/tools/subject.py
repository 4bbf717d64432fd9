"""What is scored: a model, or label images that a bag holds already."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter, mode_text
from frm_seg_ros.tools.report import model_facts


@dataclass(frozen=True)
class Subject:
    """What is scored, and what has to be told of it.

    Attributes:
        name: for the title of the report.
        label_space: that of its labels; None where nobody told.
        predict: labels a frame; None where it has no labels.
        record: for JSON.
        facts: for the report.
    """

    name: str
    label_space: LabelSpace | None
    predict: Callable[[Frame], Prediction | None]
    record: dict[str, Any]
    facts: dict[str, str]


def model_subject(segmenter: Segmenter) -> Subject:
    """Take an open model."""
    card = segmenter.card
    record = {
        'model': card.name,
        'model_sha256': card.sha256,
        'backend': segmenter.backend.name,
        'precision': segmenter.backend.precision,
        'size': list(segmenter.size),
        'scales': list(segmenter.scales),
        'flip': segmenter.flip,
        'predictions': None,
    }
    facts = {'backend': segmenter.chosen, 'run at': mode_text(segmenter.scales, segmenter.flip),
             **model_facts(card, segmenter.size)}
    return Subject(card.name, segmenter.label_space,
                   lambda frame: label_frame(segmenter, frame), record, facts)


def label_frame(segmenter: Segmenter, frame: Frame) -> Prediction:
    """Label one frame, with confidence for its calibration."""
    return segmenter([frame.image], confidence=True)[0]


def recorded_subject(source: Any, topic: str) -> Subject:
    """Take the label images that a bag holds of its frames.

    Args:
        source: a BagSource that was opened with this topic of predictions.
        topic: its name, for the record.
    """
    record = {**dict.fromkeys(('model', 'model_sha256', 'backend', 'precision', 'size', 'scales',
                               'flip')),
              'predictions': topic}
    find, find_confidence = source.recorded(), source.recorded_confidence()

    def predict(frame: Frame) -> Prediction | None:
        labels = find(frame)
        return None if labels is None else Prediction(labels, find_confidence(frame))
    return Subject(topic, source.predictions_space, predict, record,
                   {'predictions': f'recorded on {topic}'})
