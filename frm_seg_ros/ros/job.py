"""A frame on its way from the camera through the network to the outputs."""
from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from frm_seg_ros.ros.messages import FrameReport
from frm_seg_ros.ros.parameters import NodeParameters


@dataclass
class Job:
    """A frame on its way through the network.

    Attributes:
        image: (H, W, 3) uint8 RGB, as the camera sees.
        view: what the network sees of it.
        topics: those that it will be published on.
        parameters: those of the camera when the frame was taken.
        arrived: when its message came, seconds of `time.monotonic`.
        report: what its statistics will say.
    """

    image: np.ndarray
    view: np.ndarray
    topics: set[str]
    parameters: NodeParameters
    arrived: float
    report: FrameReport

    @property
    def confident(self) -> bool:
        """Tell whether the confidence is needed."""
        return 'confidence' in self.topics or self.parameters.min_confidence > 0


class Stopwatch:
    """Time the stages of one frame."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap_ms(self) -> float:
        """Give the milliseconds since the last lap."""
        last, self._last = self._last, time.perf_counter()
        return 1e3 * (self._last - last)
