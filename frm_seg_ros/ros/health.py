"""What is known of how a camera is doing."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from frm_seg_ros.ros.accounting import Counts

# Of the picture every 16th pixel of every 16th row: enough for the noise of a sensor to show.
_SAMPLE = slice(None, None, 16)
WINDOW = 5   # looks that rates and drops are told over


@dataclass
class Changing:
    """Something that should differ from frame to frame.

    Attributes:
        value: the last one.
        changed: when it last differed, seconds.
        seen: when it was last seen, seconds.
    """

    value: Any = None
    changed: float = 0.0
    seen: float = 0.0

    def see(self, value: Any, now: float) -> None:
        """Take the next value."""
        if value != self.value:
            self.value, self.changed = value, now
        self.seen = now

    @property
    def frozen_s(self) -> float:
        """Seconds over which frames came without a change."""
        return self.seen - self.changed


@dataclass(frozen=True)
class Recent:
    """What happened over the last few looks.

    Attributes:
        seconds: how long they go back.
        received: frames that came.
        processed: frames that were labelled.
        dropped: frames that were dropped, by reason.
        lost_in_transport: frames that the middleware lost.
    """

    seconds: float = 0.0
    received: int = 0
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    lost_in_transport: int = 0

    def rate(self, count: int) -> float:
        """Give a count as a rate a second."""
        return count / self.seconds if self.seconds else 0.0


class Health:
    """Facts of one camera, each written by the thread that sees it.

    Attributes:
        since: when it was subscribed to, seconds of `time.monotonic`; None while it is not.
        arrived: when the last frame came; None before the first.
        stamp: of the frames that came.
        picture: a sample of the frames that were decoded.
        times_ms: stage times of the last frame that was labelled.
        error: the last frame that failed: when, reason and sentence.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.arrived: float | None = None
        self.stamp = Changing()
        self.picture = Changing()
        self.times_ms: dict[str, float] = {}
        self.error: tuple[float, str, str] | None = None
        self._looks: deque[tuple[float, Counts]] = deque(maxlen=WINDOW + 1)

    def start(self, counts: Counts, now: float) -> None:
        """Begin anew: the camera was just subscribed to."""
        self._looks.clear()
        self._looks.append((now, counts))
        self.arrived, self.stamp, self.picture = None, Changing(), Changing()
        self.since = now

    def stop(self) -> None:
        """Note that the camera is no longer subscribed to."""
        self.since = None

    def arrive(self, stamp: tuple[int, int], now: float) -> None:
        """Note that a frame came."""
        self.stamp.see(stamp, now)
        self.arrived = now

    def see(self, image: np.ndarray, now: float) -> None:
        """Note what a frame looked like."""
        self.picture.see(image[_SAMPLE, _SAMPLE].tobytes(), now)

    def look(self, counts: Counts, now: float) -> Recent:
        """Compare the counts with those of a few looks ago."""
        self._looks.append((now, counts))
        then, old = self._looks[0]
        dropped = {reason: count - old.dropped.get(reason, 0)
                   for reason, count in counts.dropped.items()}
        return Recent(now - then, counts.received - old.received, counts.processed - old.processed,
                      {reason: count for reason, count in dropped.items() if count},
                      counts.lost_in_transport - old.lost_in_transport)
