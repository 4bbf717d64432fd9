"""A slot for the newest frame."""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """A message and when it came.

    Attributes:
        message: sensor_msgs Image or CompressedImage.
        age_ms: from its stamp to the arrival, by the node's clock.
        monotonic: time of arrival, seconds of `time.monotonic`.
    """

    message: Any
    age_ms: float
    monotonic: float


class Mailbox:
    """Hold at most one arrival, between the thread that receives and the one that works."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._newest: Arrival | None = None
        self._closed = False

    def put(self, arrival: Arrival) -> Arrival | None:
        """Store the newest arrival; return the one it replaces, if there is one."""
        with self._condition:
            replaced, self._newest = self._newest, arrival
            self._condition.notify()
            return replaced

    def take(self) -> Arrival | None:
        """Wait for an arrival and take it out; return None once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._newest is not None or self._closed)
            if self._closed:
                return None
            taken, self._newest = self._newest, None
            return taken

    def close(self) -> Arrival | None:
        """Let `take` end from now on; return the arrival that nobody took, if there is one."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            left, self._newest = self._newest, None
            return left
