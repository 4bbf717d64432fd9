"""The images of a bag that were asked for."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.bag_options import BagOptions


class ChosenImages:
    """The images of a topic that the options choose, by time of recording and stride.

    Attributes:
        total: images of the whole topic.
        count: those chosen.
    """

    def __init__(self, bag: Bag, topic: str, options: BagOptions) -> None:
        self._bag, self._topic, self._stride = bag, topic, options.stride
        self._start_ns = self._end_ns = None
        self._first, self.total = 0, bag.topics[topic].count
        last = self.total
        if options.start_s or options.end_s is not None:
            times = bag.times(topic)
            self._start_ns = bag.start_ns + round(options.start_s * 1e9)
            self._first = sum(time < self._start_ns for time in times)
            if options.end_s is not None:
                self._end_ns = bag.start_ns + round(options.end_s * 1e9)
                last = sum(time < self._end_ns for time in times)
        self.count = len(range(self._first, last, self._stride))
        if not self.count:
            end_s = 'the end' if options.end_s is None else f'{options.end_s} s'
            raise ConfigError(
                f'no image of {topic} was recorded from {options.start_s} s to {end_s}: the bag '
                f'{bag.path} lasts {bag.duration_ns / 1e9:.3f} s, choose another time')

    def images(self) -> Iterator[tuple[int, Any]]:
        """Yield (index among all images of the topic, message); leaves broken messages out."""
        messages = self._bag.messages({self._topic}, True, self._start_ns, self._end_ns)
        for index, (_, _, message) in enumerate(messages, self._first):
            if message is not None and (index - self._first) % self._stride == 0:
                yield index, message
