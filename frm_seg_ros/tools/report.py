"""The report of an evaluation: one HTML file with scores, charts and pictures."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from frm_seg_ros.core.bootstrap import LEVEL
from frm_seg_ros.core.boundary import TOLERANCE
from frm_seg_ros.core.calibration import Calibration
from frm_seg_ros.core.confused import confused_pairs
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.metrics import ConfusionMatrix, mean_of_valid
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.tools import report_charts as charts
from frm_seg_ros.tools.details import cameras_of, flicker, interval
from frm_seg_ros.tools.evaluation import Evaluation, Sample
from frm_seg_ros.tools.report_frames import anchor_of, gallery
from frm_seg_ros.tools.report_page import facts, hidden, links, page, section, table, tiles
from frm_seg_ros.tools.report_time import delivery, series, timing

# What of `model_facts` is too long for the top of the page.
_CARD = ('trained on', 'trained by', 'licence')


def model_facts(card: ModelCard, size: tuple[int, int]) -> dict[str, str]:
    """List what a reader needs to know of a model: its card, in short."""
    return {
        'model': card.name,
        'network size': f'{size[0]}x{size[1]}',
        'label space': card.label_space,
        'trained on': card.trained_on,
        'trained by': card.command,
        'licence': card.licence,
        **{f'SHA-256 of {name}': digest for name, digest in sorted(card.files.items())},
    }


def write_report(path: str | Path, evaluation: Evaluation, title: str, command: str,
                 fact_rows: Mapping[str, str], latency_ms: Sequence[float] = (),
                 accounts: Mapping[str, str] | None = None) -> None:
    """Write the report, whole or not at all.

    Args:
        path: the HTML file.
        evaluation: scores and samples, of one frame at least.
        title: first line.
        command: what produced it, exactly.
        fact_rows: facts by name: source, model, backend, ...
        latency_ms: from sending to receipt, by frame; empty where nothing was sent.
        accounts: what became of the frames, by name; None where none could get lost.
    """
    worst = evaluation.worst
    even = [sample for sample in evaluation.even
            if sample.index not in {one.index for one in worst}]
    text = page(title, 'Scores as Cityscapes defines them: pixels of ignored truth leave '
                'everything, a class absent from truth and prediction leaves the mean.',
                tiles(_headline(evaluation)) + _contents(evaluation, worst),
                '\n'.join([
                    _made_by(command, {**_doubt(evaluation), **fact_rows}),
                    _cameras(evaluation),
                    _scores(evaluation, worst),
                    timing(evaluation),
                    delivery(latency_ms, accounts),
                    _calibration(evaluation.calibration.scores()),
                    _confusion(evaluation.confusion),
                    section('Colours', charts.legend(evaluation.label_space.classes)),
                    section('Worst frames', gallery(worst, evaluation), anchor='worst'),
                    section('Frames along the way', gallery(even, evaluation)) if even else '',
                ]))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _headline(evaluation: Evaluation) -> dict[str, str]:
    scores, share = evaluation.confusion.scores(), flicker(evaluation)['share']
    found = interval(evaluation)
    return {
        'mIoU': _number(scores.miou),
        f'mIoU, {LEVEL:.0%} interval': f'{found["low"]:.3f}–{found["high"]:.3f}' if found else '–',
        'pixel accuracy': _number(scores.pixel_accuracy),
        'mean category IoU': _number(mean_of_valid(list(scores.category_iou.values()))),
        'frequency-weighted IoU': _number(scores.frequency_weighted_iou),
        'boundary F': _number(evaluation.boundary.scores().f),
        'flicker': '–' if share is None else f'{share:.2%}',
        'frames scored': str(len(evaluation.counts)),
    }


def _contents(evaluation: Evaluation, worst: Sequence[Sample]) -> str:
    """Lead to the parts of the page, and to each of the worst frames by its stamp."""
    cameras = list(evaluation.cameras())
    frames = {f'{sample.frame.stamp_ns * 1e-9:.3f} s': anchor_of(sample, cameras)
              for sample in worst}
    parts = {'scores': 'scores', 'confusion': 'confusion', 'worst frames:': 'worst'}
    return f'<nav>{links(parts)}<span class="soft">{links(frames)}</span></nav>'


def _made_by(command: str, rows: Mapping[str, str]) -> str:
    """Show the command, the facts, and the long part of the model's card on demand."""
    long = {name: text for name, text in rows.items()
            if name in _CARD or name.startswith('SHA-256')}
    short = {name: text for name, text in rows.items() if name not in long}
    card = hidden('the rest of the model card', facts(long)) if long else ''
    return section('Made by', f'<pre>{escape(command)}</pre>{facts(short)}{card}')


def _cameras(evaluation: Evaluation) -> str:
    """Score every camera by itself; nothing where there is but one."""
    found = cameras_of(evaluation)
    if len(found) < 2:
        return ''
    rows = [[name, str(one['frames']), '–' if one['miou'] is None else _number(one['miou'])]
            for name, one in found.items()]
    return section('Cameras', table(['camera', 'frames', 'mIoU'], rows))


def _scores(evaluation: Evaluation, worst: Sequence[Sample]) -> str:
    """Show the scores by class, and along the recording."""
    classes = evaluation.label_space.classes
    scores, boundary = evaluation.confusion.scores(), evaluation.boundary.scores()
    found = flicker(evaluation)
    seen = f' ({found["still_pixels"]:,} pixels)' if found['still_pixels'] else ''
    return ('<div class="pair" id="scores">'
            + section('IoU by class', charts.bars(classes, list(scores.iou.values())))
            + section('Boundary F by class', charts.bars(classes, list(
                boundary.by_class.values())),
                f'How well outlines are met, within {TOLERANCE:.2%} of the diagonal: mean over '
                'the frames that show the class.')
            + '</div><div class="pair">' + series(evaluation, worst)
            + section('IoU by category', charts.plain_bars(scores.category_iou),
                      'A mix-up inside a category is no error here. Flicker above is the share '
                      f'of the pixels that stood still from frame to frame{seen} whose label '
                      'changed.') + '</div>')


def _confusion(matrix: ConfusionMatrix) -> str:
    return section('Confusion', charts.confusion_table(matrix),
                   'Percent of the true class (row) by predicted class (column).',
                   'confusion') + section('Most confused', _confused(matrix),
                                          'The pairs of classes with most wrong pixels.')


def _number(value: float) -> str:
    return f'{value:.3f}' if value == value else '–'


def _doubt(evaluation: Evaluation) -> dict[str, str]:
    """Tell how the interval was made; nothing where too few frames were scored."""
    found = interval(evaluation)
    if not found:
        return {}
    return {'interval of mIoU': f'over frames, by bootstrap: {found["resamples"]} draws in blocks '
            f'of {found["block"]}; it knows nothing of other places, weather or cameras'}


def _confused(matrix: ConfusionMatrix) -> str:
    """List the pairs that are confused most; one line where all is right."""
    rows = [[pair.truth, pair.predicted, f'{pair.pixels:,}', f'{pair.share:.1%}']
            for pair in confused_pairs(matrix)]
    head = ['truth', 'predicted', 'pixels', 'share of the true class']
    return table(head, rows) if rows else '<p>No pixel is wrong.</p>'


def _calibration(calibration: Calibration) -> str:
    """Draw the reliability diagram with its table; nothing where no confidence was known."""
    total = calibration.pixels.sum()
    if not total:
        return ''
    bins = len(calibration.pixels)
    rows = [[f'{index / bins:.2f} to {(index + 1) / bins:.2f}', f'{pixels:,}',
             f'{pixels / total:.1%}', _number(accuracy), _number(confidence)]
            for index, (pixels, accuracy, confidence) in enumerate(zip(
                calibration.pixels, calibration.accuracy, calibration.confidence)) if pixels]
    head = ['confidence', 'pixels', 'share', 'accuracy', 'mean confidence']
    return section('Calibration', '<div class="pair"><div>' + charts.reliability(calibration)
                   + f'</div>{table(head, rows)}</div>',
                   f'Expected calibration error {_number(calibration.error)}. Bars: accuracy of '
                   'the pixels by their confidence; on the dashed line confidence tells how often '
                   'labels are right, below it the model is too sure.')
