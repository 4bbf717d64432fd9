"""A thread that notices when a step of work hangs."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_SECONDS = 0.1


class Watchdog:
    """Tells when a step takes longer than it may.

    Time counts only while the watchdog runs too: a process that was stopped, by a debugger or a
    container, is not taken for one that hangs. A step that holds Python's lock stops it likewise.
    """

    def __init__(self, bark: Callable[[str], None]) -> None:
        """Start; `bark` is called once a step, from a thread of our own, with a sentence."""
        self._bark = bark
        self._step: _Step | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name='watchdog', daemon=True)
        self._thread.start()

    @contextmanager
    def step(self, what: str, limit_s: float) -> Iterator[None]:
        """Watch what the body does; with a limit of 0 it may take any time."""
        self._step = _Step(what, limit_s)
        try:
            yield
        finally:
            self._step = None

    @property
    def busy_s(self) -> float:
        """Seconds that the present step has taken; 0 between steps."""
        step = self._step
        return 0.0 if step is None else step.spent_s

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(TICK_SECONDS):
            now = time.monotonic()
            if (step := self._step) is not None and step.is_over(min(now - last,
                                                                     2 * TICK_SECONDS)):
                self._bark(f'{step.what} has taken more than {step.limit_s:g} s: it hangs')
            last = now


class _Step:
    def __init__(self, what: str, limit_s: float) -> None:
        self.what, self.limit_s, self.spent_s = what, limit_s, 0.0

    def is_over(self, passed_s: float) -> bool:
        """Add time; tell whether this was what brought it over its limit."""
        before, self.spent_s = self.spent_s, self.spent_s + passed_s
        return before <= self.limit_s < self.spent_s and self.limit_s > 0
