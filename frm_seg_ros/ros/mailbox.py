"""Slots for the newest frame of each camera."""
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
    """Hold at most one arrival a camera, between the thread that receives and the one that works.

    The worker takes all that is there at once: whatever the rates of the others, a camera's frame
    waits for one batch at most.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._newest: dict[str, Arrival] = {}
        self._closed = False

    def put(self, camera: str, arrival: Arrival) -> Arrival | None:
        """Store the newest arrival of a camera; return the one it replaces, if there is one.

        Returns the arrival itself once closed, since nobody will take it.
        """
        with self._condition:
            if self._closed:
                return arrival
            replaced = self._newest.get(camera)
            self._newest[camera] = arrival
            self._condition.notify()
            return replaced

    def take(self, timeout_s: float | None = None) -> dict[str, Arrival] | None:
        """Wait for an arrival and take all out, by camera.

        Returns no arrival when none came in time, and None once closed.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._newest or self._closed, timeout_s)
            taken, self._newest = self._newest, {}
            return None if self._closed else taken

    def close(self) -> dict[str, Arrival]:
        """Let `take` end from now on; return the arrivals that nobody took, by camera."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            left, self._newest = self._newest, {}
            return left
