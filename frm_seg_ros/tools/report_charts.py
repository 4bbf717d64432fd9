"""Charts of the report, as HTML and SVG."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from frm_seg_ros.core.calibration import Calibration
from frm_seg_ros.core.confused import UNLABELLED
from frm_seg_ros.core.label_space import Label
from frm_seg_ros.core.metrics import ConfusionMatrix

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 300, 40, 24, 8


def css_color(label: Label) -> str:
    """Write a label's colour for CSS."""
    return '#{:02x}{:02x}{:02x}'.format(*label.color)


def legend(classes: Sequence[Label]) -> str:
    """Show the colours of the classes with their names."""
    items = ''.join(f'<span><i class="swatch" style="background:{css_color(label)}"></i>'
                    f'{escape(label.name)}</span>' for label in classes)
    return f'<div class="legend">{items}</div>'


def bars(classes: Sequence[Label], values: Sequence[float]) -> str:
    """Draw a bar a class; `values` are in 0..1, NaN shows as a dash."""
    return ''.join(_bar(label, value) for label, value in zip(classes, values))


def _bar(label: Label, value: float) -> str:
    known = value == value
    fill = (f'<div class="fill" style="width:{100 * value:.1f}%;background:{css_color(label)}">'
            '</div>' if known else '')
    return (f'<div class="bar"><span>{escape(label.name)}</span><div class="track">{fill}</div>'
            f'<span class="number">{f"{value:.3f}" if known else "–"}</span></div>')


def confusion_table(matrix: ConfusionMatrix) -> str:
    """Draw the matrix with every row in percent of its truth; rows without truth are left out."""
    names = [*(label.name for label in matrix.classes), UNLABELLED]
    head = ''.join(f'<th>{escape(name)}</th>' for name in names)
    rows = ''
    for label, counts in zip(matrix.classes, matrix.counts):
        if counts.sum():
            cells = ''.join(_cell(share) for share in counts / counts.sum())
            rows += f'<tr><th>{escape(label.name)}</th>{cells}</tr>'
    return (f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead>'
            f'<tbody>{rows}</tbody></table></div>')


def _cell(share: float) -> str:
    percent = 100 * share
    text = '' if percent < 0.05 else f'{percent:.1f}' if percent < 9.95 else f'{percent:.0f}'
    return f'<td style="background:rgba(var(--cell),{0.75 * share ** 0.6:.2f})">{text}</td>'


def curve(times_s: Sequence[float], values: Sequence[float], unit: str) -> str:
    """Draw values in 0..1 over time; NaN leaves a gap.

    Args:
        times_s: increasing, in `unit`.
        values: one a time.
        unit: of the time axis, such as `s`.
    """
    span = max(times_s[-1] - times_s[0], 1e-9)
    paths, pen = [], 'M'
    for time, value in zip(times_s, values):
        if value != value:
            pen = 'M'
            continue
        x = _LEFT + (time - times_s[0]) / span * (_WIDTH - _LEFT - 8)
        paths.append(f'{pen}{x:.1f} {_y(value):.1f}')
        pen = 'L'
    line = (f'<path d="{" ".join(paths)}" fill="none" stroke="var(--accent)" stroke-width="1.6" '
            'stroke-linecap="round" stroke-linejoin="round"/>')
    marks = [f'{position * span:.4g} {unit}' for position in (0.0, 0.5, 1.0)]
    return _svg(_grid(['0', '0.25', '0.5', '0.75', '1']) + line + _x_axis(marks))


def histogram(values: Sequence[float], unit: str) -> str:
    """Draw how often values occur, from 0 to the largest, in 40 bins."""
    top = max(values) or 1.0
    counts, _ = np.histogram(values, bins=40, range=(0.0, top))
    width = (_WIDTH - _LEFT - 8) / len(counts)
    columns = ''.join(
        f'<rect x="{_LEFT + index * width + 0.5:.1f}" y="{_y(count / counts.max()):.1f}" '
        f'width="{width - 1:.1f}" height="{_y(0) - _y(count / counts.max()):.1f}" '
        'fill="var(--accent)"/>' for index, count in enumerate(counts) if count)
    marks = [f'{share * top:.3g} {unit}' for share in (0.0, 0.5, 1.0)]
    return _svg(_grid(['0', str(int(counts.max()))]) + columns + _x_axis(marks))


def reliability(calibration: Calibration) -> str:
    """Draw the accuracy of every bin of confidence, with the line on which both are equal."""
    bins = len(calibration.pixels)
    width = (_WIDTH - _LEFT - 8) / bins
    columns = ''.join(
        f'<rect x="{_LEFT + index * width + 1:.1f}" y="{_y(accuracy):.1f}" '
        f'width="{width - 2:.1f}" height="{_y(0) - _y(accuracy):.1f}" fill="var(--accent)"/>'
        for index, accuracy in enumerate(calibration.accuracy) if accuracy == accuracy)
    diagonal = (f'<line x1="{_LEFT}" y1="{_y(0):.1f}" x2="{_WIDTH - 8}" y2="{_y(1):.1f}" '
                'stroke="var(--bad)" stroke-width="2" stroke-dasharray="5 4"/>')
    return _svg(_grid(['0', '0.25', '0.5', '0.75', '1']) + columns + diagonal
                + _x_axis(['confidence 0', '0.5', '1']))


def _y(share: float) -> float:
    return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(marks: Sequence[str]) -> str:
    parts = []
    for index, mark in enumerate(marks):
        y = _y(index / (len(marks) - 1))
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'stroke="var(--line)"/><text x="{_LEFT - 6}" y="{y + 4:.1f}" '
                     f'text-anchor="end">{mark}</text>')
    return ''.join(parts)


def _x_axis(marks: Sequence[str]) -> str:
    anchors = ('start', 'middle', 'end')
    places = (_LEFT, (_LEFT + _WIDTH - 8) / 2, _WIDTH - 8)
    return ''.join(f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{escape(mark)}</text>'
                   for x, anchor, mark in zip(places, anchors, marks))


def _svg(body: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{body}</svg>'
