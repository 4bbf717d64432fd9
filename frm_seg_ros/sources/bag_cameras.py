"""Several cameras of one recording as one source."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.sources.bag import BagSource, told_of_bag
from frm_seg_ros.sources.bag_options import BagOptions


def open_bags(text: str,
              options: BagOptions = BagOptions()) -> BagSource | BagCameras:   # noqa: B008  frozen
    """Open a bag as `open_bag` does, or several of its cameras where the topic has commas.

    Raises:
        ConfigError: as `open_bag`, or if the cameras and their topics do not fit each other.
    """
    path, options = told_of_bag(text, options)
    if ',' in options.topic:
        return BagCameras(path, options)
    return BagSource(path, options)


class BagCameras:
    """The frames of several image topics, one camera after the other.

    The frame_id of every frame is the topic of its images, which tells the cameras apart for
    certain.

    Attributes:
        sources: the BagSource of every image topic.
        label_space, predictions_space, rate_hz: as those of BagSource; of the first camera.
    """

    def __init__(self, path: str, options: BagOptions) -> None:
        self.sources = {one.topic: BagSource(path, one) for one in _by_camera(options)}
        first = next(iter(self.sources.values()))
        self.label_space, self.rate_hz = first.label_space, first.rate_hz
        self.predictions_space = first.predictions_space
        for topic, source in self.sources.items():
            if (source.label_space, source.predictions_space) != (
                    self.label_space, self.predictions_space):
                raise ConfigError(f'{topic} and {first.image_topic} have truth or predictions in '
                                  'different label spaces: evaluate them one by one')

    def __len__(self) -> int:
        return sum(map(len, self.sources.values()))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames of each camera as BagSource does."""
        for topic, source in self.sources.items():
            yield from (replace(frame, frame_id=topic) for frame in source)

    def recorded(self) -> Callable[[Frame], np.ndarray | None]:
        """Begin to read the recorded predictions, as BagSource does."""
        finders = {topic: source.recorded() for topic, source in self.sources.items()}
        return lambda frame: finders[frame.frame_id](frame)

    def recorded_confidence(self) -> Callable[[Frame], np.ndarray | None]:
        """Begin to read the confidence of the recorded predictions, as BagSource does."""
        finders = {topic: source.recorded_confidence() for topic, source in self.sources.items()}
        return lambda frame: finders[frame.frame_id](frame)


def _by_camera(options: BagOptions) -> list[BagOptions]:
    """Make options of one camera each; the names with commas are in one order."""
    if options.truth_dir:
        raise ConfigError(f'the folder {options.truth_dir} cannot hold the truth of several '
                          'cameras: name a truth topic for each, or evaluate them one by one')
    topics = options.topic.split(',')
    if len(set(topics)) < len(topics) or not all(topics):
        raise ConfigError(f'{options.topic!r} names a camera twice or none: name every one once')
    named = {'topic': topics}
    for name in ('truth_topic', 'predictions'):
        told = getattr(options, name)
        if told or name == 'truth_topic':
            named[name] = told.split(',') if told else []
            if len(named[name]) != len(topics):
                raise ConfigError(f'{len(topics)} cameras have {len(named[name])} topics of their '
                                  f'{name.replace("_topic", "")}: name one for each, in the order '
                                  'of the cameras')
    return [replace(options, **dict(zip(named, topics))) for topics in zip(*named.values())]
