"""Score a model on a source of frames whose truth is known."""
from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.core.metrics import Scores
from frm_seg_ros.segmenter import PLAIN, Segmenter
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.sources.base import FrameSource, open_source
from frm_seg_ros.tools.csv_file import write_csv
from frm_seg_ros.tools.details import details, number
from frm_seg_ros.tools.evaluation import Evaluation
from frm_seg_ros.tools.jobs import run_jobs
from frm_seg_ros.tools.json_text import json_text
from frm_seg_ros.tools.report import write_report
from frm_seg_ros.tools.samples import find_samples
from frm_seg_ros.tools.score_text import map_facts, option_facts
from frm_seg_ros.tools.scoring import Scored, check_scored, find_label_map, score
from frm_seg_ros.tools.shards import Shard, ShardSource, find_done, read_parts, sum_parts
from frm_seg_ros.tools.subject import Subject, model_subject, recorded_subject

_log = logging.getLogger(__name__)


def run_evaluation(source_text: str, model: str, *, backend: str = 'auto', device: str = 'auto',
                   size: tuple[int, int] | None = None, scales: Sequence[float] = PLAIN,
                   flip: bool = False, precision: str = 'auto', map_path: str | None = None,
                   bag_options: BagOptions | None = None, shard: Shard | None = None,
                   jobs: int = 1, json_path: str | None = None, csv_path: str | None = None,
                   report_path: str | None = None, command: str = '') -> dict[str, Any]:
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
        shard: the part to evaluate, for `merge_parts`; needs `json_path`, no report or CSV. Where
            that file holds this very part already, it is not done again.
        jobs: processes among which the frames are divided.
        json_path: where the JSON goes, if anywhere.
        csv_path: where a table with a line a frame goes, if anywhere.
        report_path: where the HTML report goes, if anywhere.
        command: the exact command, for the record.

    Raises:
        ConfigError: if source or model are wrong or do not fit each other.
    """
    _check_outputs(shard, jobs, json_path, csv_path or report_path)
    given = partial(run_evaluation, source_text, model, backend=backend, device=device, size=size,
                    scales=scales, flip=flip, precision=precision, map_path=map_path,
                    bag_options=bag_options, command=command)
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
            return _run_part(source, shard, subject, label_map, told, json_path, command)
        if jobs > 1:
            scored = run_jobs(given, jobs, lambda paths: _sum(
                read_parts(paths, _told), source.label_space))
        else:
            scored = score(source, subject.predict, label_map)
        check_scored(len(scored.places), scored.unmatched)
        if jobs > 1 and report_path:
            scored.evaluation.keep_samples(*find_samples(source, subject.predict, label_map,
                                                         scored))
    result = summarise(scored, told, command)
    if json_path:
        write_json(json_path, result)
    if csv_path:
        write_csv(csv_path, scored.evaluation)
    if report_path:
        _report(report_path, scored.evaluation, result, subject, jobs)
    return result


def _check_outputs(shard: Shard | None, jobs: int, json_path: str | None,
                   whole_path: str | None) -> None:
    if shard and (whole_path or not json_path):
        raise ConfigError('a part of an evaluation goes into a JSON file and has no report or '
                          'CSV: name the file with --json, and leave the others out')
    if jobs < 1:
        raise ConfigError(f'{jobs} processes cannot evaluate anything: give --jobs 1 or more')
    if shard and jobs > 1:
        raise ConfigError('a part of an evaluation is done by one process: leave --jobs out, or '
                          'start several parts')


def _run_part(source: FrameSource, shard: Shard, subject: Subject, label_map: LabelMap | None,
              told: dict[str, Any], json_path: str, command: str) -> dict[str, Any]:
    """Evaluate one part into its file, if it is not there yet."""
    told['shard'] = shard.record(source)
    done = find_done(json_path, told)
    if done:
        _log.warning('%s holds this part already, so it is not done again', json_path)
        return done
    part = ShardSource(source, shard)
    scored = score(part, subject.predict, label_map, part.lead)
    told['scored'] = [part.first + place for place in scored.places]
    result = summarise(scored, told, command)
    write_json(json_path, result)
    return result


def _report(path: str, evaluation: Evaluation, result: Mapping[str, Any],
            subject: Subject, jobs: int) -> None:
    together = {'processes at once': str(jobs)} if jobs > 1 else {}
    facts = {**map_facts(result), 'source': result['source'], **option_facts(result),
             'frames': str(result['frames']), **together, **subject.facts}
    common = f', over {len(result["classes"])} common classes' if result['map'] else ''
    write_report(path, evaluation, f'{subject.name} on {result["source"]}{common}',
                 result['command'], facts)


def merge_parts(paths: Sequence[str | Path], json_path: str | None = None,
                command: str = '', csv_path: str | None = None) -> dict[str, Any]:
    """Add up the parts of an evaluation; return what `run_evaluation` gives for the whole.

    All scores come from whole numbers, which add up: they are the same to the last digit.

    Args:
        paths: JSON files of all parts, in any order.
        json_path: where the JSON goes, if anywhere.
        command: the exact command, for the record.
        csv_path: where a table with a line a frame goes, if anywhere.

    Raises:
        ConfigError: if a part is missing, there twice or of another evaluation.
    """
    parts = read_parts(paths, _told)
    scored = _sum(parts)
    check_scored(len(scored.places), scored.unmatched)
    result = summarise(scored, _told(parts[0]), command)
    if json_path:
        write_json(json_path, result)
    if csv_path:
        write_csv(csv_path, scored.evaluation)
    return result


def _sum(parts: Sequence[Mapping[str, Any]], space: LabelSpace | None = None) -> Scored:
    """Add up parts in their order, in the label space of the truth where that is known."""
    unmatched = {key: sum(part['unmatched'][key] for part in parts)
                 for key in parts[0]['unmatched']}
    return Scored(sum_parts(parts, space), unmatched, [place for part in parts
                                                for place in part['scored']])


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what all parts of an evaluation have alike."""
    return {key: result[key] for key in (
        'source', 'bag_options', 'model', 'model_sha256', 'backend', 'precision', 'size', 'scales',
        'flip', 'predictions', 'label_space', 'map', 'classes')}


def summarise(scored: Scored, told: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Put the scores and where they come from into a dict for JSON; None stands for NaN."""
    return {
        **score_dict(scored.evaluation.confusion.scores()),
        'confusion': scored.evaluation.confusion.counts.tolist(),
        'frames': len(scored.places),
        'unmatched': dict(scored.unmatched),
        **told,
        'command': command,
        **details(scored.evaluation),
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
