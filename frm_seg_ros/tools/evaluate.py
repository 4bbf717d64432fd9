"""Score a model on a source of frames whose truth is known."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import Scores
from frm_seg_ros.segmenter import PLAIN, Segmenter, mode_text
from frm_seg_ros.sources.base import FrameSource, open_source
from frm_seg_ros.tools.details import details, number
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.progress import track
from frm_seg_ros.tools.report import model_facts, write_report

_NO_TRUTH = ('the source has no truth, so that nothing can be scored: use predict, or name a '
             'source with labels')


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
    evaluation = Evaluation(source.label_space, len(source))
    for frame in track(source, len(source), 'frames'):
        if frame.truth is not None:
            labels = segmenter([frame.image])[0].labels
            evaluation.add(*in_truth_space(frame, labels, label_map))
    if not evaluation.series:
        raise ConfigError('no frame of the source has a truth, so that nothing can be scored: '
                          'name a source with labels')
    return evaluation


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


def run_evaluation(source_text: str, model: str, *, backend: str = 'auto', device: str = 'auto',
                   size: tuple[int, int] | None = None, scales: Sequence[float] = PLAIN,
                   flip: bool = False, map_path: str | None = None,
                   json_path: str | None = None, report_path: str | None = None,
                   command: str = '') -> dict[str, Any]:
    """Do what `frm-seg eval` does; return what its JSON file holds.

    Args:
        source_text: such as `camvid:ROOT:val`.
        model: name of a model or its folder.
        backend: as in `Segmenter.open`.
        device: likewise.
        size: likewise.
        scales: likewise.
        flip: likewise.
        map_path: file of the label map, where truth and model differ in their space and the
            shipped map is not wanted.
        json_path: where the JSON goes, if anywhere.
        report_path: where the HTML report goes, if anywhere.
        command: the exact command, for the record.

    Raises:
        ConfigError: if source or model are wrong or do not fit each other.
    """
    source = open_source(source_text)
    segmenter = Segmenter.open(model, backend, device, size, scales, flip)
    try:
        label_map = find_label_map(source.label_space, segmenter.label_space, map_path)
        evaluation = evaluate(source, segmenter, label_map)
        result = {**summarise(evaluation, source_text, segmenter, command),
                  **scored_classes(evaluation.label_space, label_map)}
    finally:
        segmenter.close()
    if json_path:
        write_json(json_path, result)
    if report_path:
        facts = {**map_facts(result), 'source': source_text, 'frames': str(len(evaluation.series)),
                 'backend': segmenter.chosen, 'run at': mode_text(scales, flip),
                 **model_facts(segmenter.card, segmenter.size)}
        common = f', over {len(label_map.classes)} common classes' if label_map else ''
        write_report(report_path, evaluation, f'{segmenter.card.name} on {source_text}{common}',
                     command, facts)
    return result


def summarise(evaluation: Evaluation, source_text: str, segmenter: Segmenter,
              command: str) -> dict[str, Any]:
    """Put the scores and where they come from into a dict for JSON; None stands for NaN."""
    return {
        **score_dict(evaluation.confusion.scores()),
        'confusion': evaluation.confusion.counts.tolist(),
        'frames': len(evaluation.series),
        'source': source_text,
        'model': segmenter.card.name,
        'model_sha256': segmenter.card.sha256,
        'backend': segmenter.backend.name,
        'size': list(segmenter.size),
        'scales': list(segmenter.scales),
        'flip': segmenter.flip,
        'label_space': evaluation.label_space.name,
        'command': command,
        **details(evaluation),
    }


def scored_classes(truth: LabelSpace, label_map: LabelMap | None) -> dict[str, Any]:
    """Tell for JSON which classes count, and by which map: None where no map was needed."""
    return {'map': label_map.name if label_map else None,
            'classes': list(label_map.classes) if label_map else truth.names}


def map_facts(result: Mapping[str, Any]) -> dict[str, str]:
    """Tell in words of the map in the JSON's dict; nothing where there was none."""
    if not result['map']:
        return {}
    return {'label map': result['map'],
            f'scored over {len(result["classes"])} common classes': ', '.join(result['classes'])}


def score_dict(scores: Scores) -> dict[str, Any]:
    """Put scores into a dict for JSON; None stands for NaN."""
    return {
        'miou': number(scores.miou),
        'iou': {name: number(value) for name, value in scores.iou.items()},
        'category_iou': {name: number(value) for name, value in scores.category_iou.items()},
        'frequency_weighted_iou': number(scores.frequency_weighted_iou),
        'pixel_accuracy': number(scores.pixel_accuracy),
    }


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, allow_nan=False) + '\n',
                             encoding='utf-8')


def score_table(result: Mapping[str, Any]) -> str:
    """Lay out the scores of `summarise` for a terminal, one class a line."""
    rows = [(name, result['iou'][name]) for name in result['iou']]
    rows += [('mIoU', result['miou']), ('pixel accuracy', result['pixel_accuracy'])]
    return '\n'.join(f'{name:<20} {"     -" if value is None else f"{value:6.3f}"}'
                     for name, value in rows)
