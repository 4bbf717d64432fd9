"""rosbag2 recordings as sources of frames."""
from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import compressed_to_rgb, to_mono, to_rgb
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.images import DEFAULT_RATE_HZ
from frm_seg_ros.sources.truth import check_truth

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
STRING = 'std_msgs/msg/String'
TRUTH_ENDINGS = ('label_image', 'labels', 'truth')
LABEL_SPACE_ENDING = 'label_space'
# Images that wait for their truth: at 30 Hz, labels that came half a second later still find them.
WINDOW = 16
# Enough stamps for a median that single lost frames do not move.
_RATE_FRAMES = 21

_log = logging.getLogger(__name__)


def open_bag(text: str) -> BagSource:
    """Open `PATH`, or `PATH#/image/topic` or `PATH#/image/topic#/truth/topic`.

    Without topics the bag must have one image topic, and at most one truth topic: an Image topic
    whose name ends as TRUTH_ENDINGS.

    Raises:
        ConfigError: if there is no bag or nothing of it can be read, if it has no such topic, or
            if there are several to choose from; lists them.
    """
    path, *topics = text.split('#/')
    if len(topics) > 2:
        raise ConfigError(f'{text!r} names {len(topics)} topics: write bag:PATH, or '
                          'bag:PATH#/image/topic#/truth/topic')
    return BagSource(path, *(f'/{topic}' for topic in topics))


class BagSource:
    """Frames of one image topic, each with the label image of the same stamp where there is one.

    Attributes:
        bag: what the recording holds.
        image_topic: name.
        truth_topic: name; None when the bag has none.
        label_space: as a std_msgs/String on a topic that ends as LABEL_SPACE_ENDING names it; None
            when there is no truth or no such topic.
        rate_hz: from the median distance of the first stamps; 10 where they do not tell.
    """

    def __init__(self, path: str, image_topic: str = '', truth_topic: str = '') -> None:
        self.bag = Bag(path)
        self.image_topic = image_topic or _only(self.bag, 'image', _image_topics(self.bag))
        _check_topic(self.bag, self.image_topic, (IMAGE, COMPRESSED))
        truths = [truth_topic] if truth_topic else _truth_topics(self.bag)
        self.truth_topic = _only(self.bag, 'truth', truths) if truths else None
        if self.truth_topic:
            _check_topic(self.bag, self.truth_topic, (IMAGE,))
        self.label_space = _find_label_space(self.bag) if self.truth_topic else None
        self.rate_hz = self._find_rate()

    def __len__(self) -> int:
        """Count the recorded images; those that cannot be converted are counted too."""
        return self.bag.topics[self.image_topic].count

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in the order of the images; holds at most WINDOW of them.

        Images that cannot be converted are left out, with one warning a reason.

        Raises:
            ConfigError: if a label image has another size than its image, or values out of the
                label space.
        """
        topics = {self.image_topic, self.truth_topic or self.image_topic}
        messages = ((topic, message) for topic, _, message in self.bag.messages(topics))
        drops = _Drops(self.bag.path)
        for image, truth in _paired(messages, self.image_topic, self.truth_topic):
            try:
                frame = self._frame(image, truth)
            except FrameError as error:
                drops.add(error)
                continue
            yield frame
        drops.tell()

    def _frame(self, image: Any, truth: Any) -> Frame:
        rgb, labels = _to_rgb(image), None
        if truth is not None:
            labels = to_mono(truth)
            values = range(len(self.label_space.classes)) if self.label_space else range(255)
            check_truth(labels, rgb.shape[:2], values,
                        f'the label image of stamp {stamp_ns(truth)} on {self.truth_topic}')
        return Frame(rgb, stamp_ns(image), image.header.frame_id, labels)

    def _find_rate(self) -> float:
        first = islice(self.bag.messages({self.image_topic}), min(_RATE_FRAMES, len(self)))
        gaps = np.diff([stamp_ns(message) for _, _, message in first])
        gap_ns = float(np.median(gaps)) if len(gaps) else 0.0
        return 1e9 / gap_ns if gap_ns > 0 else DEFAULT_RATE_HZ


class _Drops:
    """Count of what was left out, by reason, with the first sentence of each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, tuple[int, FrameError]] = {}

    def add(self, error: FrameError) -> None:
        count, first = self._found.get(error.reason, (0, error))
        self._found[error.reason] = (count + 1, first)

    def tell(self) -> None:
        for reason, (count, first) in self._found.items():
            _log.warning('images of the bag %s left out: %d (%s), the first because: %s',
                         self._path, count, reason, first)


def stamp_ns(message: Any) -> int:
    """Give the stamp in a message's header in nanoseconds."""
    stamp = message.header.stamp
    return stamp.sec * 10**9 + stamp.nanosec


def _to_rgb(message: Any) -> np.ndarray:
    return to_rgb(message) if hasattr(message, 'encoding') else compressed_to_rgb(message)


def _paired(messages: Iterable[tuple[str, Any]], image_topic: str,
            truth_topic: str | None) -> Iterator[tuple[Any, Any]]:
    """Yield (image, truth of the same stamp or None), images in their order.

    An image waits for its truth, and a truth for its image, while at most WINDOW others come.
    """
    images: deque[Any] = deque()
    truths: OrderedDict[int, Any] = OrderedDict()
    window = WINDOW if truth_topic else 0
    for topic, message in messages:
        if topic == image_topic:
            images.append(message)
        else:
            truths[stamp_ns(message)] = message
            if len(truths) > window:
                truths.popitem(last=False)
        while images and (len(images) > window or stamp_ns(images[0]) in truths):
            image = images.popleft()
            yield image, truths.pop(stamp_ns(image), None)
    for image in images:
        yield image, truths.pop(stamp_ns(image), None)


def _filled(bag: Bag, *types: str) -> list[str]:
    return sorted(name for name, topic in bag.topics.items()
                  if topic.type in types and topic.count)


def _truth_topics(bag: Bag) -> list[str]:
    return [name for name in _filled(bag, IMAGE) if name.endswith(TRUTH_ENDINGS)]


def _image_topics(bag: Bag) -> list[str]:
    return [name for name in _filled(bag, IMAGE, COMPRESSED) if name not in _truth_topics(bag)]


def _only(bag: Bag, what: str, names: Collection[str]) -> str:
    if len(names) != 1:
        raise ConfigError(
            f'the bag {bag.path} has {len(names)} {what} topics{": " if names else ""}'
            f'{", ".join(names)}; one is wanted: name it, as in bag:PATH#/image/topic#/truth/topic'
            f' (the bag holds {_contents(bag)})')
    return next(iter(names))


def _check_topic(bag: Bag, name: str, types: Collection[str]) -> None:
    if name not in bag.topics or bag.topics[name].type not in types:
        found = bag.topics[name].type if name in bag.topics else 'no such topic'
        raise ConfigError(f'{name} in the bag {bag.path} is {found}, wanted {" or ".join(types)}: '
                          f'the bag holds {_contents(bag)}')


def _contents(bag: Bag) -> str:
    topics = ', '.join(f'{name} ({topic.type}, {topic.count})'
                       for name, topic in sorted(bag.topics.items())) or 'no topics'
    return topics + (f'; it is damaged: {"; ".join(bag.damage)}' if bag.damage else '')


def _find_label_space(bag: Bag) -> LabelSpace | None:
    names = {name for name in _filled(bag, STRING) if name.endswith(LABEL_SPACE_ENDING)}
    told = next((message.data for _, _, message in bag.messages(names)), '') if names else ''
    return LabelSpace.load(told) if told else None
