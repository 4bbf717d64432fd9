"""A progress line on stderr, for work that takes longer than a second."""
from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar('Item')
_EVERY_S = 0.2


def track(items: Iterable[Item], total: int, what: str,
          stream: TextIO | None = None) -> Iterator[Item]:
    """Yield the items while one line tells how far it is; silent where nobody looks on.

    Args:
        items: what is worked on, one after the other.
        total: how many there are.
        what: a word for them, such as `frames`.
        stream: where the line goes, stderr when None; only a terminal gets one.
    """
    stream = stream or sys.stderr
    shown = stream.isatty()
    start = last = time.monotonic()
    count = 0
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if shown and (now - last > _EVERY_S or count == total):
            last = now
            stream.write('\r' + _line(count, total, what, now - start))
            stream.flush()
    if shown and count:
        stream.write('\n')


def _line(count: int, total: int, what: str, seconds: float) -> str:
    left = seconds / count * max(total - count, 0)
    filled = 30 * min(count, total) // max(total, 1)
    return (f'{"#" * filled:.<30} {count}/{total} {what}, {count / max(seconds, 1e-9):.1f} a '
            f'second, {left:.0f} s left ')
