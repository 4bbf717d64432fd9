"""Score a model on a source of frames whose truth is known."""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.frame import Frame, Prediction
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import Scores
from frm_seg_ros.segmenter import PLAIN, Segmenter
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.sources.base import FrameSource, open_source
from frm_seg_ros.tools.details import details, number
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.json_text import json_text
from frm_seg_ros.tools.progress import track
from frm_seg_ros.tools.report import write_report
from frm_seg_ros.tools.score_text import map_facts, option_facts
from frm_seg_ros.tools.shards import Shard, ShardSource, find_done, read_parts, sum_parts
from frm_seg_ros.tools.subject import Subject, label_frame, model_subject, recorded_subject

_log = logging.getLogger(__name__)


def run_evaluation(source_text: str, model: str, *, backend: str = 'auto', device: str = 'auto',
                   size: tuple[int, int] | None = None, scales: Sequence[float] = PLAIN,
                   flip: bool = False, precision: str = 'auto', map_path: str | None = None,
                   bag_options: BagOptions | None = None, shard: Shard | None = None,
                   json_path: str | None = None, report_path: str | None = None,
                   command: str = '') -> dict[str, Any]:
    """Do what `frm-seg eval` does; return what its JSON file holds.

    Args:
        source_text: such as `camvid:ROOT:val`.
        model: name of a model or its folder; not used where the options name predictions.
        backend: as in `Segmenter.open`.
        device: likewise.
        size: likewise.
        scales: likewise.
        flip: likewise.
        precision: likewise.
        map_path: file of the label map, where truth and model differ in their space and the
            shipped map is not wanted.
        bag_options: what else is wanted of a bag.
        shard: the part to evaluate, for `merge_parts`; needs `json_path`, no report. Where that
            file holds this very part already, it is not done again.
        json_path: where the JSON goes, if anywhere.
        report_path: where the HTML report goes, if anywhere.
        command: the exact command, for the record.

    Raises:
        ConfigError: if source or model are wrong or do not fit each other.
    """
    if shard and (report_path or not json_path):
        raise ConfigError('a part of an evaluation goes into a JSON file and has no report: name '
                          'the file with --json, and leave --report out')
    source = open_source(source_text, bag_options)
    with ExitStack() as stack:
        if bag_options and bag_options.predictions:
            subject = recorded_subject(source, bag_options.predictions)
        else:
            segmenter = Segmenter.open(model, backend, device, size, scales, flip, precision)
            stack.callback(segmenter.close)
            subject = model_subject(segmenter)
        label_map = find_label_map(source.label_space, subject.label_space, map_path)
        told = {'source': source_text, 'bag_options': bag_options.told if bag_options else {},
                **subject.record, **scored_classes(source.label_space, label_map)}
        if shard:
            told['shard'] = shard.record(source)
            done = find_done(json_path, told)
            if done:
                _log.warning('%s holds this part already, so it is not done again', json_path)
                return done
            source = ShardSource(source, shard)
        evaluation, unmatched, scored = score(source, subject.predict, label_map)
    if shard:
        told['scored'] = scored
    else:
        _check_scored(len(evaluation.series), unmatched)
    result = summarise(evaluation, len(evaluation.series), unmatched, told, command)
    if json_path:
        write_json(json_path, result)
    if report_path:
        _report(report_path, evaluation, result, subject)
    return result


def _report(path: str, evaluation: Evaluation, result: Mapping[str, Any],
            subject: Subject) -> None:
    facts = {**map_facts(result), 'source': result['source'], **option_facts(result),
             'frames': str(result['frames']), **subject.facts}
    common = f', over {len(result["classes"])} common classes' if result['map'] else ''
    write_report(path, evaluation, f'{subject.name} on {result["source"]}{common}',
                 result['command'], facts)


def merge_parts(paths: Sequence[str | Path], json_path: str | None = None,
                command: str = '') -> dict[str, Any]:
    """Add up the parts of an evaluation; return what `run_evaluation` gives for the whole.

    All scores come from whole numbers, which add up: they are the same to the last digit.

    Args:
        paths: JSON files of all parts, in any order.
        json_path: where the JSON goes, if anywhere.
        command: the exact command, for the record.

    Raises:
        ConfigError: if a part is missing, there twice or of another evaluation.
    """
    parts = read_parts(paths, _told)
    unmatched = {key: sum(part['unmatched'][key] for part in parts)
                 for key in parts[0]['unmatched']}
    frames = sum(part['frames'] for part in parts)
    _check_scored(frames, unmatched)
    result = summarise(sum_parts(parts), frames, unmatched, _told(parts[0]), command)
    if json_path:
        write_json(json_path, result)
    return result


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what all parts of an evaluation have alike."""
    return {key: result[key] for key in (
        'source', 'bag_options', 'model', 'model_sha256', 'backend', 'precision', 'size', 'scales',
        'flip', 'predictions', 'label_space', 'map', 'classes')}


def summarise(evaluation: Evaluation, frames: int, unmatched: Mapping[str, int],
              told: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Put the scores and where they come from into a dict for JSON; None stands for NaN."""
    return {
        **score_dict(evaluation.confusion.scores()),
        'confusion': evaluation.confusion.counts.tolist(),
        'frames': frames,
        'unmatched': dict(unmatched),
        **told,
        'command': command,
        **details(evaluation),
    }


def scored_classes(truth: LabelSpace, label_map: LabelMap | None) -> dict[str, Any]:
    """Tell for JSON in which space which classes count, and by which map, None where by none."""
    return {'label_space': truth.name,
            'map': label_map.name if label_map else None,
            'classes': list(label_map.classes) if label_map else truth.names}


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
        temporary.write_text(json_text(values), encoding='utf-8')
