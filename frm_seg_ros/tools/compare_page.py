"""A comparison of runs as a page of HTML."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path

import numpy as np

from frm_seg_ros.core.bootstrap import miou_of_sums
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.tools import report_charts as charts
from frm_seg_ros.tools.compare import (
    LOW_IS_BEST,
    TIME,
    Run,
    differences,
    facts_of,
    head_of,
    name_of,
    rows_of,
    scores_of,
)
from frm_seg_ros.tools.report_page import facts, name_cell, page, section, table, tiles


def write_comparison(path: str | Path, runs: Sequence[Run], command: str) -> None:
    """Write a comparison as one HTML file, whole or not at all."""
    names = [name_of(run) for run in runs]
    headline = {f'mIoU of {name}': _number(scores_of(run)['mIoU'])
                for name, run in zip(names, runs)}
    parts = [
        section('Made by', f'<pre>{escape(command)}</pre>'),
        _verdicts(runs),
        _changed(runs),
        '<div class="pair">',
        section('IoU by class', charts.line_legend(names) + '<div class="gap"></div>'
                + charts.grouped_bars(_by_class(runs))),
        '<div class="stack">',
        section('mIoU along the recording', _along(runs, names), 'Every frame by itself.'),
        section('Side by side', _table(runs),
                'The best of a line is bold. Times are those of each run, under its load; '
                'compare speed with frm-seg bench.'),
        '</div></div>', '<div class="pair">',
        *(section(f'Run {name}', facts(facts_of(run))) for name, run in zip(names, runs)),
        '</div>',
    ]
    text = page(f'{len(runs)} runs on {runs[0].result["source"]}',
                f'Runs over the same {len(runs[0].stamps_ns)} frames, scored against the same '
                'truth.', tiles(headline), '\n'.join(parts))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _number(value: float) -> str:
    return f'{value:.3f}' if value == value else '–'


def _verdicts(runs: Sequence[Run]) -> str:
    """Say what every difference means."""
    said = ''
    for found in differences(runs):
        color = 'good' if found.low > 0 else 'bad' if found.high < 0 else 'line'
        said += (f'<p class="verdict" style="border-color:var(--{color})">{escape(found.words)}'
                 '</p>')
    return section('What the difference means', said,
                   'Paired bootstrap: the same blocks of frames are drawn for both. For frames of '
                   'one drive the interval is too narrow, and it knows nothing of other places.')


def _changed(runs: Sequence[Run]) -> str:
    """Show what the runs do not have alike; nothing where that is only their files."""
    known = [facts_of(run) for run in runs]
    names = dict.fromkeys(name for one in known for name in one if name not in (
        'file', 'command'))
    rows = [[name, *(one.get(name, '–')[:40] for one in known)] for name in names
            if len({one.get(name) for one in known}) > 1]
    if not rows:
        return ''
    return section('What the runs do not have alike',
                   table(['', *(run.letter for run in runs)], rows))


def _by_class(runs: Sequence[Run]) -> dict[str, list[float]]:
    return {name: [scores_of(run)[f'IoU {name}'] for run in runs]
            for name in runs[0].result['iou']}


def _along(runs: Sequence[Run], names: Sequence[str]) -> str:
    """Draw mIoU of every run by frame: over time, or over numbers where stamps go back."""
    stamps = runs[0].stamps_ns
    rising = bool(np.all(np.diff(stamps) > 0))
    times = (stamps - stamps[0]) * 1e-9 if rising else np.arange(len(stamps))
    lines = {name: (times.tolist(), miou_of_sums(run.counts).tolist())
             for name, run in zip(names, runs)}
    return charts.curves(lines, 's' if rising else 'frames')


def _table(runs: Sequence[Run]) -> str:
    """Lay out all scores; colours tell what is better or worse than the first run."""
    head = ''.join(name_cell(name) for name in head_of(runs))
    scores = [scores_of(run) for run in runs]
    body = ''
    for name, *cells in rows_of(runs):
        sign = -1 if name in LOW_IS_BEST else 1
        values = [sign * one[name] for one in scores]
        if name == TIME:
            values = []
        best = max((value for value in values if value == value), default=None)
        kinds = ['best' if value == best else '' for value in values]
        kinds += ['better' if value > values[0] else 'worse' if value < values[0] else ''
                  for value in values[1:]]
        row = ''.join(f'<td class="{kind}">{escape(cell)}</td>'
                      for kind, cell in zip_longest(kinds, cells, fillvalue=''))
        body += f'<tr>{name_cell(name)}{row}</tr>'
    return (f'<div class="scroll"><table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}'
            '</tbody></table></div>')
