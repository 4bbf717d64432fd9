"""Write the tables of docs/reliability.md from what the tests told.

    python benchmarks/reliability_table.py FOLDER docs/reliability.md

FOLDER is what $RELIABILITY named while test_fuzz.py and test_faults.py ran. Those of the soak
come from benchmarks/results/soak.json.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SOAK = Path(__file__).with_name('results') / 'soak.json'


def between(text: str, name: str, table: list[str]) -> str:
    """Replace what stands between the marker of a name and the end marker after it."""
    before, marker, rest = text.partition(f'<!-- {name} -->')
    _, end, after = rest.partition('<!-- end -->')
    if not marker or not end:
        raise SystemExit(f'the page has no <!-- {name} --> ... <!-- end -->: put them back')
    return before + marker + '\n' + '\n'.join(table) + '\n' + end + after


def faults(told: list[dict[str, Any]]) -> list[str]:
    """Make the table of faults."""
    rows = sorted((one['what'], one['outcome']) for one in told if 'outcome' in one)
    return ['| fault | outcome |', '|---|---|', *(f'| {what} | {how} |' for what, how in rows)]


def fuzz(told: list[dict[str, Any]]) -> list[str]:
    """Make the table of mutations and what became of their frames."""
    (found,) = (one for one in told if 'mutations' in one)
    tried = ', '.join(f'{count} {kind}' for kind, count in found['mutations'].items())
    return [f'Mutations: {tried}.', '', '| frames | count |', '|---|---|',
            f'| processed | {found["processed"]} |',
            *(f'| {reason} | {count} |' for reason, count in sorted(found['dropped'].items()))]


def soak(found: dict[str, Any]) -> list[str]:
    """Make the table of the soak."""
    rss, drift = found['rss_mb_per_hour'], found['latency_ms_per_hour']
    latency, dropped = found['latency_ms'], found['dropped']
    return [
        '| what | figure |', '|---|---|',
        f'| length | {found["seconds"] / 60:.1f} min, {found["sent"]} frames sent, '
        f'{found["processed"]} processed |',
        f'| dropped | {dropped or "none"}, lost in transport {found["lost_in_transport"]} |',
        f'| resident memory | {rss["slope"]:+.2f} MB/h, 95 % interval {rss["low"]:+.2f} to '
        f'{rss["high"]:+.2f} (lag-1 autocorrelation {rss["autocorrelation"]:+.2f}) |',
        f'| memory first, last, largest | {found["rss_mb"]["first"]:.1f}, '
        f'{found["rss_mb"]["last"]:.1f}, {found["rss_mb"]["largest"]:.1f} MB |',
        f'| latency p50, p90, p99 | {latency["p50"]:.1f}, {latency["p90"]:.1f}, '
        f'{latency["p99"]:.1f} ms |',
        f'| latency drift | {drift["slope"]:+.1f} ms/h, 95 % interval {drift["low"]:+.1f} to '
        f'{drift["high"]:+.1f} |']


def main() -> None:
    """Read, make the tables, write the page."""
    folder, page = map(Path, sys.argv[1:])
    told = [json.loads(path.read_text()) for path in sorted(folder.glob('*.json'))]
    text = between(page.read_text(encoding='utf-8'), 'faults', faults(told))
    text = between(text, 'fuzz', fuzz(told))
    text = between(text, 'soak', soak(json.loads(SOAK.read_text())))
    page.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
