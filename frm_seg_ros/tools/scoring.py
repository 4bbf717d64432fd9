"""The loop of an evaluation: label every frame of a source, and score it against its truth."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.base import FrameSource
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.label_hash import hash_image
from frm_seg_ros.tools.progress import track
from frm_seg_ros.tools.subject import label_frame

_NO_TRUTH = ('the source has no truth or does not tell its label space, so that nothing can be '
             'scored: use predict, or name a source with labels, and --truth-space for a bag')


@dataclass
class Scored:
    """What came of all frames of a source.

    Attributes:
        evaluation: what was learnt.
        unmatched: how many frames were left out, without `truth`, without `prediction`.
        places: of the frames scored, from 0 on, among all that the source gave.
    """

    evaluation: Evaluation
    unmatched: dict[str, int] = field(default_factory=lambda: {'truth': 0, 'prediction': 0})
    places: list[int] = field(default_factory=list)


def evaluate(source: FrameSource, segmenter: Segmenter,
             label_map: LabelMap | None = None) -> Evaluation:
    """Label every frame of the source that has a truth, and score it.

    Args:
        source: frames with truth.
        segmenter: what labels them.
        label_map: from the segmenter's label space to that of the truth where they differ: only
            its `classes` are scored then.

    Raises:
        ConfigError: if the source has no truth, or has it in another label space.
    """
    if label_map is None:
        check_label_spaces(source.label_space, segmenter.label_space)
    scored = score(source, lambda frame: label_frame(segmenter, frame), label_map)
    check_scored(len(scored.places), scored.unmatched)
    return scored.evaluation


def score(source: FrameSource, predict: Callable[[Frame], Prediction | None],
          label_map: LabelMap | None, lead: int = 0) -> Scored:
    """Score what `predict` tells of every frame of the source that has a truth.

    Args:
        source: frames with truth.
        predict: labels a frame; None where it has no labels.
        label_map: from the space of the labels to that of the truth; None where they are one.
        lead: so many frames at the beginning are not scored: only the next is compared with them.
    """
    scored = Scored(Evaluation(source.label_space, len(source) - lead))
    evaluation, warm = scored.evaluation, False
    for place, frame in enumerate(track(source, len(source), 'frames'), -lead):
        prediction = None if frame.truth is None else predict(frame)
        if prediction is None:
            evaluation.flicker.interrupt()
            if place >= 0:
                scored.unmatched['truth' if frame.truth is None else 'prediction'] += 1
            continue
        frame, labels = in_truth_space(frame, prediction.labels, label_map)
        if place < 0:
            evaluation.flicker.update(frame, labels)
        else:
            evaluation.add(frame, labels, prediction.confidence,
                           prediction.times_ms if warm else None,
                           hash_image(prediction.labels))
            scored.places.append(place)
        warm = True     # the first image takes longer on every runtime
    return scored


def check_scored(frames: int, unmatched: Mapping[str, int]) -> None:
    """Make sure that at least one frame was scored.

    Raises:
        ConfigError: if none was; tells how many were left out, and why.
    """
    if not frames and not any(unmatched.values()):
        raise ConfigError('the source gave no frame that can be used, so that nothing can be '
                          'scored: the warnings tell why')
    if not frames:
        raise ConfigError('no frame of the source has a truth and a prediction, so that nothing '
                          f'can be scored: {unmatched["truth"]} have no truth, '
                          f'{unmatched["prediction"]} no prediction of their stamp')


def in_truth_space(frame: Frame, labels: np.ndarray,
                   label_map: LabelMap | None) -> tuple[Frame, np.ndarray]:
    """Bring labels to the space of the truth, and take truth out that no label can mean.

    Args:
        frame: has a truth.
        labels: (H, W) uint8 train ids of the model's space.
        label_map: from there to the truth's space; None where they are one, and all stays.

    Returns:
        Frame and labels, (H, W) uint8, that can be compared.
    """
    if label_map is None:
        return frame, labels
    return (replace(frame, truth=label_map.restrict_truth(frame.truth)),
            label_map.map_labels(labels))


def find_label_map(truth: LabelSpace | None, model: LabelSpace,
                   path: str | None = None) -> LabelMap | None:
    """Find the map from the model's label space to the truth's; None where they are one.

    Args:
        truth: space of the truth.
        model: space of the model's labels.
        path: file of a map of one's own.

    Raises:
        ConfigError: if there is no truth, no such map, or it does not fit.
    """
    if truth is None:
        raise ConfigError(_NO_TRUTH)
    if not path and (truth.name, truth.names) == (model.name, model.names):
        return None
    return LabelMap.load(model, truth, path)


def check_label_spaces(truth: LabelSpace | None, model: LabelSpace) -> None:
    """Make sure that train ids mean the same in truth and prediction.

    Raises:
        ConfigError: if there is no truth, or the classes differ.
    """
    if truth is None:
        raise ConfigError(_NO_TRUTH)
    if truth.names != model.names:
        raise ConfigError(f'the truth is in the label space {truth.name}, the labels of the model '
                          f'in {model.name}: choose a model trained for {truth.name}')
