"""Charts of the report, as HTML and SVG."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import cycle

import numpy as np

from frm_seg_ros.core.calibration import Calibration
from frm_seg_ros.core.confused import UNLABELLED
from frm_seg_ros.core.label_space import Label
from frm_seg_ros.core.metrics import ConfusionMatrix
from frm_seg_ros.tools.report_page import name_cell

# Colours of several lines in one chart, to be told apart on light and dark.
_LINES = ('var(--accent)', '#e07b39', '#2b9e77', '#a05fd6', '#c2479b', '#8a8f2a')
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 320, 56, 34, 10


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


def plain_bars(values: Mapping[str, float]) -> str:
    """Draw a bar a name; values are in 0..1, NaN shows as a dash."""
    return ''.join(_any_bar(name, 'var(--accent)', value) for name, value in values.items())


def _bar(label: Label, value: float) -> str:
    return _any_bar(label.name, css_color(label), value)


def _any_bar(name: str, color: str, value: float) -> str:
    known = value == value
    fill = (f'<div class="fill" style="width:{100 * value:.1f}%;background:{color}"></div>'
            if known else '')
    return (f'<div class="bar"><span title="{escape(name)}">{escape(name)}</span>'
            f'<div class="track">{fill}</div>'
            f'<span class="number">{f"{value:.3f}" if known else "–"}</span></div>')


def confusion_table(matrix: ConfusionMatrix) -> str:
    """Draw the matrix with every row in percent of its truth; rows without truth are left out."""
    names = [*(label.name for label in matrix.classes), UNLABELLED]
    head = ''.join(name_cell(name) for name in names)
    rows = ''
    for label, counts in zip(matrix.classes, matrix.counts):
        if counts.sum():
            cells = ''.join(_cell(share) for share in counts / counts.sum())
            rows += f'<tr>{name_cell(label.name)}{cells}</tr>'
    return (f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead>'
            f'<tbody>{rows}</tbody></table></div>')


def _cell(share: float) -> str:
    percent = 100 * share
    text = '' if percent < 0.05 else f'{percent:.1f}' if percent < 9.95 else f'{percent:.0f}'
    return f'<td style="background:rgba(var(--cell),{0.75 * share ** 0.6:.2f})">{text}</td>'


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], unit: str,
           top: float = 1.0, links: Iterable[tuple[float, float, str, str]] = ()) -> str:
    """Draw values over time, a line for each name; NaN leaves a gap.

    Args:
        lines: increasing times in `unit` and their values in 0..top, by name.
        unit: of the time axis, such as `s`.
        top: of the value axis.
        links: time, value, target on the page and title of points that lead there.
    """
    first = min(times[0] for times, _ in lines.values())
    span = max(max(times[-1] for times, _ in lines.values()) - first, 1e-9)

    def x(time: float) -> float:
        return _LEFT + (time - first) / span * (_WIDTH - _LEFT - 8)

    drawn = ''.join(_line(list(map(x, times)), [_y(value / top) for value in values], color)
                    for (times, values), color in zip(lines.values(), cycle(_LINES)))
    points = ''.join(
        f'<a href="#{escape(target)}"><title>{escape(title)}</title><circle cx="{x(time):.1f}" '
        f'cy="{_y(value / top):.1f}" r="5.5" fill="var(--bad)" stroke="var(--card)" '
        'stroke-width="2"/></a>' for time, value, target, title in links)
    marks = [f'{first + share * span:.4g} {unit}' for share in (0.0, 0.5, 1.0)]
    legend = line_legend(list(lines)) if len(lines) > 1 else ''
    return _svg(_grid([f'{top * share:g}' for share in (0, .25, .5, .75, 1)]) + drawn + points
                + _x_axis(marks)) + legend


def line_legend(names: Sequence[str]) -> str:
    """Show the colours of lines and of bars side by side, with their names."""
    items = ''.join(f'<span><i class="swatch" style="background:{color}"></i>{escape(name)}</span>'
                    for name, color in zip(names, cycle(_LINES)))
    return f'<div class="legend">{items}</div>'


def grouped_bars(values: Mapping[str, Sequence[float]]) -> str:
    """Draw several bars a name, in the colours of `line_legend`; values are in 0..1 or NaN."""
    return ''.join(''.join(_any_bar(name if index == 0 else '', color, value)
                           for index, (value, color) in enumerate(zip(row, cycle(_LINES))))
                   + '<div class="gap"></div>' for name, row in values.items())


def _line(xs: Sequence[float], ys: Sequence[float], color: str) -> str:
    """Draw one line; a value between two gaps is a dot."""
    steps, pen = [], 'M'
    for x, y in zip(xs, ys):
        if y != y:
            pen = 'M'
            continue
        steps.append(f'M{x:.1f} {y:.1f}h0' if pen == 'M' else f'L{x:.1f} {y:.1f}')
        pen = 'L'
    return (f'<path d="{"".join(steps)}" fill="none" stroke="{color}" stroke-width="1.8" '
            'stroke-linecap="round" stroke-linejoin="round"/>')


def nice_top(value: float) -> float:
    """Round up to 1, 2, 4 or 8 times a power of ten, which four lines divide well."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value))


def histogram(values: Sequence[float], unit: str) -> str:
    """Draw how often values occur, from 0 to above the largest, in 40 bins."""
    top = nice_top(max(values))
    counts, _ = np.histogram(values, bins=40, range=(0.0, top))
    width = (_WIDTH - _LEFT - 8) / len(counts)
    columns = ''.join(
        f'<rect x="{_LEFT + index * width + 0.5:.1f}" y="{_y(count / counts.max()):.1f}" '
        f'width="{width - 1:.1f}" height="{_y(0) - _y(count / counts.max()):.1f}" '
        'fill="var(--accent)"/>' for index, count in enumerate(counts) if count)
    marks = [f'{share * top:g} {unit}' for share in (0.0, 0.5, 1.0)]
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
