"""Bounds on how often something happens."""
from __future__ import annotations


class RateLimit:
    """Let pass at most so many events a second, on average over a few.

    The average stays exact when the events come with jitter: one that comes late does not push
    back the next, down to half a period.
    """

    def __init__(self) -> None:
        self._due = float('-inf')

    def allows(self, now: float, rate: float) -> bool:
        """Tell whether an event at `now`, seconds, may pass; `rate` 0 lets all pass."""
        if rate <= 0:
            return True
        if now < self._due:
            return False
        self._due = max(self._due, now - 0.5 / rate) + 1 / rate
        return True


class Quiet:
    """Let a log line pass when the last of its kind is long enough ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def allows(self, kind: str, now: float) -> bool:
        """Tell whether a line of this kind may be logged at `now`, seconds."""
        if now - self._last.get(kind, float('-inf')) < self._seconds:
            return False
        self._last[kind] = now
        return True
