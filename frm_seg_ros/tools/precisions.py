"""What each precision costs a model in mIoU: quantise it, measure, and write it into the card."""
from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256
from frm_seg_ros.core.model_card import INT8, ONNX, ModelCard
from frm_seg_ros.core.precision import PRECISIONS, PrecisionError, loss_of
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.evaluate import run_evaluation

# By this much mIoU (of 1) int8 may stay under float32 and still be offered.
LARGEST_INT8_LOSS = 0.01
Figures = dict[str, list[dict[str, Any]]]


def measure_precisions(model: str, calibrate: Sequence[str], measure: Sequence[str], *,
                       backend: str = 'openvino', device: str = 'auto', frames: int = 64,
                       command: str = '') -> list[str]:
    """Do what `frm-seg precisions` does.

    The figures of the precisions that this backend does not do stay in the card as they are.

    Args:
        model: name of a model or its folder; its card is written anew.
        calibrate: sources of frames to quantise by, such as `camvid:ROOT:train`; without any,
            the int8 file that is there is measured as it is.
        measure: sources of frames with truth, on which no part of the model was made.
        backend: as in `Segmenter.open`.
        device: likewise.
        frames: how many of each of `calibrate` are used, evenly spread.
        command: the exact command, for the card.

    Returns:
        A line for each precision and source, and one for what became of int8.

    Raises:
        ConfigError: if the model has no ONNX file to quantise, or a source or backend is wrong.
    """
    card = ModelCard.load(model)
    card.check_files()
    if frames < 1:
        raise ConfigError(f'frames is {frames}: take 1 or more')
    with TemporaryDirectory() as scratch:
        draft = replace(card, folder=Path(scratch))
        for name in draft.files:
            shutil.copy(card.folder / name, draft.folder / name)
        if calibrate:
            draft = _quantised(draft, calibrate, frames)
        draft.save()
        found: Figures = {}
        for source in measure:
            for precision, figures in _measure(draft.folder, source, backend, device,
                                               command).items():
                found.setdefault(precision, []).append(figures)
        return _write(card, draft, found)


def _quantised(draft: ModelCard, calibrate: Sequence[str], frames: int) -> ModelCard:
    """Add the int8 file to the draft."""
    if ONNX not in draft.files:
        raise ConfigError(f'model {draft.name} has no {ONNX} to quantise: export it first, or '
                          'leave --calibrate out')
    from frm_seg_ros.tools.quantise import quantise
    path = draft.folder / INT8
    quantise(draft, [open_source(source) for source in calibrate], frames, path)
    return replace(draft, files={**draft.files, INT8: sha256(path)})


def _measure(folder: Path, source: str, backend: str, device: str,
             command: str) -> dict[str, dict[str, Any]]:
    """Score every precision that the backend does; `float32_miou` is set in all."""
    found: dict[str, dict[str, Any]] = {}
    for precision in PRECISIONS:
        try:
            result = run_evaluation(source, str(folder), backend=backend, device=device,
                                    precision=precision)
        except PrecisionError:
            continue
        miou = round(result['miou'], 4)
        found[precision] = {
            'source': source, 'frames': result['frames'], 'miou': miou,
            'float32_miou': found['float32']['miou'] if found else miou,
            'backend': result['backend'], 'command': command}
    return found


def _write(card: ModelCard, draft: ModelCard, found: Figures) -> list[str]:
    """Write the figures into the card, and the int8 file where it is good enough."""
    lines = [f'{name}: mIoU {figures["miou"]:.4f}, {loss_of(figures):+.4f} under float32 on '
             f'{figures["source"]}' for name, rows in found.items() for figures in rows]
    if 'int8' not in found:
        replace(card, precisions={**card.precisions, **found}).save()
        return [*lines, 'int8 was not measured: it wants --calibrate once, and a backend that '
                        'does it, openvino or onnxruntime']
    loss = max(map(loss_of, found['int8']))
    offered = loss < LARGEST_INT8_LOSS
    # First without the int8 file: a card that lists the old one beside the new would be refused.
    files = {name: digest for name, digest in card.files.items() if name != INT8}
    figures = {name: each for name, each in {**card.precisions, **found}.items()
               if offered or name != 'int8'}
    card = replace(card, files=files, precisions=figures)
    card.save()
    if not offered:
        (card.folder / INT8).unlink(missing_ok=True)
        return [*lines, f'int8 is not offered: its mIoU is {100 * loss:.2f} '
                        'points under float32, and less than 1 is wanted']
    with atomic_path(card.folder / INT8) as temporary:
        shutil.copy(draft.folder / INT8, temporary)
    replace(card, files={**files, INT8: draft.files[INT8]}).save()
    return [*lines, f'int8 is offered: {card.folder / INT8}']
