"""The report of an evaluation: one HTML file with scores, charts and pictures."""
from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from frm_seg_ros.core.boundary import TOLERANCE
from frm_seg_ros.core.calibration import Calibration
from frm_seg_ros.core.confused import confused_pairs
from frm_seg_ros.core.draw import colorize
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.core.metrics import ConfusionMatrix, mean_of_valid
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.tools import report_charts as charts
from frm_seg_ros.tools.details import interval
from frm_seg_ros.tools.evaluation import Evaluation, Sample
from frm_seg_ros.tools.report_page import facts, page, section, table, tiles

_PICTURE_WIDTH = 480
_WRONG = np.array([230, 40, 30], np.float32)


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
    scores = evaluation.confusion.scores()
    boundary = evaluation.boundary.scores()
    classes = evaluation.label_space.classes
    headline = {
        'mIoU': _number(scores.miou),
        'pixel accuracy': _number(scores.pixel_accuracy),
        'mean category IoU': _number(mean_of_valid(list(scores.category_iou.values()))),
        'frequency-weighted IoU': _number(scores.frequency_weighted_iou),
        'boundary F': _number(boundary.f),
        'frames scored': str(len(evaluation.counts)),
    }
    rows = {**_doubt(evaluation), **fact_rows}
    parts = [
        section('Made by', f'<pre>{escape(command)}</pre>{facts(rows)}'),
        '<div class="pair">',
        section('IoU by class', charts.bars(classes, list(scores.iou.values()))),
        section('mIoU along the recording', _series(evaluation),
                'Every frame by itself; a small class weighs as much as a large one.'), '</div>',
        _delivery(latency_ms, accounts),
        section('Boundary F by class', charts.bars(classes, list(boundary.by_class.values())),
                f'How well outlines are met, within {TOLERANCE:.2%} of the diagonal: mean over '
                'the frames that show the class.'),
        _calibration(evaluation.calibration.scores()),
        section('Confusion', charts.confusion_table(evaluation.confusion),
                'Percent of the true class (row) by predicted class (column).'),
        section('Most confused', _confused(evaluation.confusion),
                'The pairs of classes with most wrong pixels.'),
        section('Colours', charts.legend(classes)),
        section('Worst frames', _gallery(evaluation.worst, evaluation.label_space)),
        section('Frames along the way', _gallery(evaluation.even, evaluation.label_space)),
    ]
    text = page(title, 'Scores as Cityscapes defines them: pixels of ignored truth leave '
                'everything, a class absent from truth and prediction leaves the mean.',
                tiles(headline), '\n'.join(parts))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _number(value: float) -> str:
    return f'{value:.3f}' if value == value else '–'


def _doubt(evaluation: Evaluation) -> dict[str, str]:
    """Tell how far mIoU may be off; nothing where too few frames were scored."""
    found = interval(evaluation)
    if not found:
        return {}
    return {f'mIoU, {found["level"]:.0%} interval over frames':
            f'{found["low"]:.3f} to {found["high"]:.3f} (bootstrap, {found["resamples"]} draws in '
            f'blocks of {found["block"]}; it knows nothing of other places, weather or cameras)'}


def _series(evaluation: Evaluation) -> str:
    """Draw mIoU over the stamps, or over the frames' numbers where stamps do not increase."""
    stamps = np.array([frame.stamp_ns for frame in evaluation.counts])
    values = evaluation.mious().tolist()
    if np.all(np.diff(stamps) > 0):
        return charts.curve(((stamps - stamps[0]) * 1e-9).tolist(), values, 's')
    return charts.curve(list(range(len(values))), values, 'frames')


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


def _delivery(latency_ms: Sequence[float], accounts: Mapping[str, str] | None) -> str:
    """Tell what became of the frames and how long they took; nothing where none was sent."""
    parts = []
    if accounts:
        parts.append(section('What became of the frames', facts(dict(accounts))))
    if len(latency_ms):
        figures = {f'p{rank}': f'{np.percentile(latency_ms, rank):.1f} ms'
                   for rank in (50, 90, 99)}
        parts.append(section('Latency', tiles(figures) + charts.histogram(latency_ms, 'ms'),
                             'From the sending of the image to the receipt of its labels, each '
                             'in a process of its own.'))
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ''


def _gallery(samples: Sequence[Sample], label_space: LabelSpace) -> str:
    return ''.join(_frame(sample, label_space) for sample in samples)


def _frame(sample: Sample, label_space: LabelSpace) -> str:
    """Show image, truth, prediction and error of one frame side by side."""
    image, truth = _shrink(sample.frame.image), _shrink(sample.frame.truth, labels=True)
    labels = _shrink(sample.labels, labels=True)
    pictures = {
        'image': _data_uri(image, '.jpg'),
        'truth': _data_uri(colorize(truth, label_space), '.png'),
        'prediction': _data_uri(colorize(labels, label_space), '.png'),
        'error: red is wrong, black is not scored': _data_uri(
            error_picture(image, truth, labels), '.jpg'),
    }
    shots = ''.join(f'<figure><img alt="{name}" src="{uri}"><figcaption>{name}</figcaption>'
                    '</figure>' for name, uri in pictures.items())
    return (f'<div class="frame"><div class="shots">{shots}</div><div class="soft">frame '
            f'{sample.index}, {sample.frame.stamp_ns * 1e-9:.3f} s: mIoU '
            f'{_number(sample.score.miou)}, pixel accuracy '
            f'{_number(sample.score.pixel_accuracy)}</div></div>')


def error_picture(image: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Paint wrong pixels red and unscored ones black over the dimmed grey image.

    Args:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) uint8 train ids, 255 = not scored.
        labels: (H, W) uint8 train ids, the prediction.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.float32) * 0.6 + 60
    wrong = (truth != labels)[:, :, None]
    painted = np.where(wrong, 0.2 * grey + 0.8 * _WRONG, grey)
    painted[truth == IGNORE] = 0
    return painted.astype(np.uint8)


def _shrink(picture: np.ndarray, labels: bool = False) -> np.ndarray:
    height, width = picture.shape[:2]
    if width <= _PICTURE_WIDTH:
        return picture
    size = (_PICTURE_WIDTH, max(1, round(height * _PICTURE_WIDTH / width)))
    return cv2.resize(picture, size,
                      interpolation=cv2.INTER_NEAREST if labels else cv2.INTER_AREA)


def _data_uri(picture: np.ndarray, suffix: str) -> str:
    """Encode (H, W, 3) uint8 RGB as a data URI."""
    _, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    kind = {'.jpg': 'jpeg', '.png': 'png'}[suffix]
    return f'data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}'
