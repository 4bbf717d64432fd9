"""Frames in the report: image, truth, prediction and error side by side."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from frm_seg_ros.core.draw import colorize
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.tools.evaluation import Evaluation, Sample

_PICTURE_WIDTH = 480
_WRONG = np.array([230, 40, 30], np.float32)


def anchor_of(sample: Sample, cameras: Sequence[str]) -> str:
    """Name a frame by its stamp in nanoseconds; where there are several cameras, by theirs too.

    So a link to a frame stays the same in the reports of other models on the same recording.
    """
    camera = f'-{cameras.index(sample.frame.frame_id)}' if len(cameras) > 1 else ''
    return f'stamp-{sample.frame.stamp_ns}{camera}'


def gallery(samples: Sequence[Sample], evaluation: Evaluation) -> str:
    """Show frames, each under its anchor."""
    cameras = list(evaluation.cameras())
    return ''.join(_frame(sample, evaluation.label_space, cameras) for sample in samples)


def _number(value: float) -> str:
    return f'{value:.3f}' if value == value else '–'


def _frame(sample: Sample, label_space: LabelSpace, cameras: Sequence[str]) -> str:
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
    anchor, seconds = anchor_of(sample, cameras), sample.frame.stamp_ns * 1e-9
    camera = f' of {escape(sample.frame.frame_id)}' if len(cameras) > 1 else ''
    return (f'<div class="frame" id="{anchor}"><div class="shots">{shots}</div><div class="soft">'
            f'<a href="#{anchor}" title="link to this frame">{seconds:.3f} s</a>{camera}, frame '
            f'{sample.index}, mIoU {_number(sample.score.miou)}, pixel accuracy '
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
