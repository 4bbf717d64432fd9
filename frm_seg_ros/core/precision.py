"""In which precision a network runs: the names, and the choice that `auto` makes."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frm_seg_ros.core.errors import ConfigError

PRECISIONS = ('float32', 'bfloat16', 'float16', 'int8')
# What a card tells of each precision, source by source; both mIoU are those of this backend.
MEASURED = ('source', 'frames', 'miou', 'float32_miou', 'backend', 'command')
# By this much mIoU (of 1) a precision may stay under float32 and still be chosen by `auto`.
LARGEST_LOSS = 0.005


class PrecisionError(ConfigError):
    """A precision that a backend does not do."""


def choose_precision(backend: str, wanted: str, able: Sequence[str],
                     measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[str, str]:
    """Choose the precision that a backend runs in.

    `auto` takes the fastest one whose mIoU, as the model's card tells, is at most 0.5 points
    under that of float32 wherever it was measured; one that was not is never taken by itself.

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
        if precision not in measured:
            passed.append(f'{precision} is not measured in the card')
            continue
        worst = max(measured[precision], key=loss_of)
        loss = loss_of(worst)
        points = f'{abs(100 * loss):.2f} points {"under" if loss > 0 else "over"} float32'
        if loss <= LARGEST_LOSS:
            return precision, f'the fastest that keeps its mIoU, {points} on {worst["source"]}'
        passed.append(f'{precision} is {points} on {worst["source"]}')
    return 'float32', '; '.join(passed) or 'the fastest here'


def loss_of(figures: Mapping[str, Any]) -> float:
    """Give the mIoU (of 1) that a measurement lost against float32; negative where it gained."""
    # Cards hold four decimals; without rounding 0.5754 - 0.5704 would be above 0.005.
    return round(figures['float32_miou'] - figures['miou'], 6)


def check_measured(precisions: Mapping[Any, Any]) -> dict[str, Any]:
    """Check the `precisions` of a card.

    Raises:
        ValueError: if a name is unknown, nothing was measured of it, or the figures of a source
            lack a fact or have one too many.
    """
    for name, rows in precisions.items():
        if name not in PRECISIONS or not isinstance(rows, list) or not rows:
            raise ValueError(f'precisions has {name!r}: {rows!r}, wanted a name of '
                             f'{", ".join(PRECISIONS)} and a list of what was measured')
        for figures in rows:
            _check_figures(name, figures)
    return dict(precisions)


def _check_figures(name: str, figures: Any) -> None:
    if not isinstance(figures, dict) or set(figures) != set(MEASURED):
        raise ValueError(f'precisions has {figures!r} for {name}, wanted its '
                         f'{", ".join(MEASURED)}')
    if not all(isinstance(figures[key], float) and 0 <= figures[key] <= 1
               for key in ('miou', 'float32_miou')):
        raise ValueError(f'precisions has an mIoU of {name} that is no number from 0.0 to 1.0')
