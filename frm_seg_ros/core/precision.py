"""In which precision a network runs: the names, and the choice that `auto` makes."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frm_seg_ros.core.errors import ConfigError

PRECISIONS = ('float32', 'bfloat16', 'float16', 'int8')
# What a card tells of each precision that was measured; both mIoU are those of this backend.
MEASURED = ('source', 'frames', 'miou', 'float32_miou', 'backend', 'command')
# By this much mIoU (of 1) a precision may stay under float32 and still be chosen by `auto`.
LARGEST_LOSS = 0.005


class PrecisionError(ConfigError):
    """A precision that a backend does not do."""


def choose_precision(backend: str, wanted: str, able: Sequence[str],
                     measured: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Choose the precision that a backend runs in.

    `auto` takes the fastest one whose mIoU, as the model's card tells, is at most 0.5 points
    under that of float32; a precision that was not measured is never taken by itself.

    Args:
        backend: its name.
        wanted: `auto` or one of PRECISIONS.
        able: what the backend does with this model on this device, fastest first; float32 is one.
        measured: the `precisions` of the model's card.

    Returns:
        The precision, and a few words that say why it is that one.

    Raises:
        ConfigError: if there is no such precision; a PrecisionError if the backend does not do it.
    """
    if wanted not in ('auto', *PRECISIONS):
        raise ConfigError(f'precision is {wanted!r}: take one of auto, {", ".join(PRECISIONS)}')
    if wanted != 'auto':
        if wanted not in able:
            raise PrecisionError(
                f'backend {backend} does not do {wanted} with this model on this device: it does '
                f'{" and ".join(able)}, choose one of these, auto, or another backend')
        return wanted, 'as asked for'
    passed = []
    for precision in able:
        if precision == 'float32':
            break
        figures = measured.get(precision)
        if figures is None:
            passed.append(f'{precision} is not measured in the card')
            continue
        # Cards hold four decimals; without rounding 0.5754 - 0.5704 would be above 0.005.
        loss = round(figures['float32_miou'] - figures['miou'], 6)
        points = f'{abs(100 * loss):.2f} points {"under" if loss > 0 else "over"} float32'
        if loss <= LARGEST_LOSS:
            return precision, f'the fastest that keeps its mIoU, {points} on {figures["source"]}'
        passed.append(f'{precision} is {points} on {figures["source"]}')
    return 'float32', '; '.join(passed) or 'the fastest here'


def check_measured(precisions: Mapping[Any, Any]) -> dict[str, Any]:
    """Check the `precisions` of a card.

    Raises:
        ValueError: if a name is unknown, or the figures of one lack a fact or have one too many.
    """
    for name, figures in precisions.items():
        if name not in PRECISIONS or not isinstance(figures, dict) or set(figures) != set(
                MEASURED):
            raise ValueError(f'precisions has {name!r}: {figures!r}, wanted a name of '
                             f'{", ".join(PRECISIONS)} and its {", ".join(MEASURED)}')
        if not all(isinstance(figures[key], float) and 0 <= figures[key] <= 1
                   for key in ('miou', 'float32_miou')):
            raise ValueError(f'precisions has an mIoU of {name} that is no number from 0.0 to 1.0')
    return dict(precisions)
