"""A progress line on stderr, for work that takes longer than a second."""
from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar('Item')
_EVERY_S = 0.2


class ProgressLine:
    """Called with what is done and the total, keeps one line up to date where a terminal is."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        """Begin; `what` is a word for the items, `stream` is stderr when None."""
        self._what = what
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._start = self._last = time.monotonic()

    def __call__(self, count: int, total: int) -> None:
        """Show that `count` of `total` items are done."""
        now = time.monotonic()
        if self._shown and (now - self._last > _EVERY_S or count == total):
            self._last = now
            end = '\n' if count == total else ''
            self._stream.write(f'\r{self._line(count, total, now - self._start)}{end}')
            self._stream.flush()

    def _line(self, count: int, total: int, seconds: float) -> str:
        filled = 30 * min(count, total) // max(total, 1)
        left = seconds / count * max(total - count, 0)
        return (f'{"#" * filled:.<30} {count}/{total} {self._what}, '
                f'{count / max(seconds, 1e-9):.1f} a second, {left:.0f} s left ')


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield the items while a progress line tells how many are done."""
    line = ProgressLine(what)
    for count, item in enumerate(items, 1):
        yield item
        line(count, total)
