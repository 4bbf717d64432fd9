"""What became of every frame."""
from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """A snapshot in which `received = processed + sum of dropped + pending`.

    Attributes:
        received: frames that reached the node.
        processed: frames whose outputs were published.
        dropped: frames by the reason for which they were dropped.
        pending: frames in the mailbox or in hand.
        lost_in_transport: frames that the middleware lost before; not part of `received`.
    """

    received: int
    processed: int
    dropped: dict[str, int]
    pending: int
    lost_in_transport: int


class Accounting:
    """Counters of one camera, changed from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._processed = 0
        self._dropped: dict[str, int] = {}
        self._pending = 0
        self._lost = 0

    def receive(self) -> None:
        """Count a frame that arrived; it is pending until dropped or processed."""
        with self._lock:
            self._received += 1
            self._pending += 1

    def drop(self, reason: str) -> None:
        """Count a pending frame as dropped."""
        with self._lock:
            self._pending -= 1
            self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def process(self) -> None:
        """Count a pending frame as processed."""
        with self._lock:
            self._pending -= 1
            self._processed += 1

    def lose(self, count: int) -> None:
        """Count frames that the middleware lost."""
        with self._lock:
            self._lost += count

    def snapshot(self) -> Counts:
        """Give all counts as of one moment."""
        with self._lock:
            return Counts(self._received, self._processed, dict(self._dropped), self._pending,
                          self._lost)
