"""rosbag2 recordings as sources of frames."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import to_mono
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.sources.bag_choice import ChosenImages
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.bag_images import Drops, StampOrder, message_to_rgb
from frm_seg_ros.sources.bag_labels import (
    StampedFiles,
    StampedMessages,
    decode_file,
    decode_message,
    list_label_files,
    stamp_ns,
)
from frm_seg_ros.sources.bag_options import BagOptions
from frm_seg_ros.sources.bag_topics import (
    find_camera_info,
    find_confidence,
    find_label_space,
    find_predictions_space,
    find_topics,
)
from frm_seg_ros.sources.images import DEFAULT_RATE_HZ
from frm_seg_ros.sources.label_coding import LabelCoding

# Enough stamps for a median that single lost frames do not move.
_RATE_FRAMES = 21


def open_bag(text: str, options: BagOptions = BagOptions()) -> BagSource:   # noqa: B008  frozen
    """Open one camera of a bag.

    Args:
        text: as for `told_of_bag`.
        options: what else is wanted.

    Raises:
        ConfigError: if there is no bag or nothing of it can be read, if it has no such topic, or
            if there are several to choose from; lists them.
    """
    return BagSource(*told_of_bag(text, options))


def told_of_bag(text: str, options: BagOptions) -> tuple[str, BagOptions]:
    """Split `PATH`, or `PATH#/image/topic` or `PATH#/image/topic#/truth/topic`.

    Without topics the bag must have one image topic, and at most one truth topic: an Image topic
    whose name ends as TRUTH_ENDINGS.

    Args:
        text: as above; its topics are those of the options, told in another way.
        options: what else is wanted.

    Returns:
        The path, and the options with the topics.

    Raises:
        ConfigError: if it names too many topics, or others than the options.
    """
    path, *topics = text.split('#/')
    if len(topics) > 2:
        raise ConfigError(f'{text!r} names {len(topics)} topics: write bag:PATH, or '
                          'bag:PATH#/image/topic#/truth/topic')
    told = dict(zip(('topic', 'truth_topic'), (f'/{topic}' for topic in topics)))
    for name, topic in told.items():
        if getattr(options, name) not in ('', topic):
            raise ConfigError(f'{text!r} names the topic {topic}, an option '
                              f'{getattr(options, name)}: name one of them')
    return path, replace(options, **told)


class BagSource:
    """Frames of one image topic, each with its truth where there is one.

    The truth is a label image of the same stamp on another topic, or a file of a folder.

    Attributes:
        bag: what the recording holds.
        options: what was wanted of it.
        image_topic: name.
        truth_topic: name; None when the truth is in a folder, or there is none.
        label_space: that of the truth, as the options name it, or a std_msgs/String on a topic
            that ends as LABEL_SPACE_ENDING; None when there is no truth or nobody tells.
        predictions_space: that of the recorded predictions; None where none are wanted.
        rate_hz: of all images, from the median distance of the first stamps; 10 where they do not
            tell.
    """

    def __init__(self, path: str,
                 options: BagOptions = BagOptions()) -> None:   # noqa: B008  frozen
        self.bag, self.options = Bag(path), options
        self.image_topic, self.truth_topic = find_topics(self.bag, options)
        self.label_space = self.predictions_space = None
        if self.truth_topic or options.truth_dir:
            self.label_space = find_label_space(self.bag, options.truth_space)
            self._truth_coding = LabelCoding(options.truth_coding, self.label_space,
                                             options.resize_labels)
        if options.predictions:
            self.predictions_space = find_predictions_space(self.bag, options, self.label_space)
            self._predictions_coding = LabelCoding(
                options.predictions_coding, self.predictions_space, options.resize_labels)
        self.rate_hz = self._find_rate()
        self._chosen = ChosenImages(self.bag, self.image_topic, options)
        self._check_folder()

    def __len__(self) -> int:
        """Count the chosen images; those that cannot be converted are counted too."""
        return self._chosen.count

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in the order of the images; holds one, and WINDOW label images.

        Images that cannot be converted are left out, with one warning a reason. Another warning
        counts the stamps that go back.

        Raises:
            ConfigError: if a label image has another size than its image, or values out of the
                label space.
        """
        find_truth = self._truth_finder()
        drops, order = Drops(self.bag.path), StampOrder(self.bag.path, self.image_topic)
        for index, image in self._chosen.images():
            try:
                rgb = message_to_rgb(image)
                truth = find_truth(index, stamp_ns(image), rgb.shape[:2])
            except FrameError as error:
                drops.add(error)
                continue
            order.add(stamp_ns(image))
            yield Frame(rgb, stamp_ns(image), image.header.frame_id, truth)
        drops.tell()
        order.tell()

    def recorded(self) -> Callable[[Frame], np.ndarray | None]:
        """Begin to read the recorded predictions.

        Returns:
            A function that gives the labels of a frame, (H, W) uint8 train ids of
            `predictions_space`, None where none of its stamp was recorded. The frames must come
            as this source gives them. It raises ConfigError if a label image has another size
            than its image, or values out of the label space.
        """
        find = self._topic_finder(self.options.predictions, self._predictions_coding)
        return lambda frame: find(frame.stamp_ns, frame.image.shape[:2])

    def recorded_confidence(self) -> Callable[[Frame], np.ndarray | None]:
        """Begin to read the confidence of the recorded predictions, which nodes of ours tell.

        Returns:
            A function as `recorded` gives: (H, W) uint8, 0..255, None also where the confidence
            of a frame has another size than its image.
        """
        topic = find_confidence(self.bag, self.options.predictions)
        messages = StampedMessages(item[2] for item in self.bag.messages({topic} if topic else ()))

        def find(frame: Frame) -> np.ndarray | None:
            message = messages.find(frame.stamp_ns)
            confidence = None if message is None else to_mono(message)
            fits = confidence is not None and confidence.shape == frame.image.shape[:2]
            return confidence if fits else None
        return find

    def camera_info(self) -> Any | None:
        """Read the first sensor_msgs/CameraInfo of the camera, None where there is none."""
        topic = find_camera_info(self.bag, self.image_topic)
        messages = self.bag.messages({topic} if topic else ())
        return next((message for _, _, message in messages), None)

    def _truth_finder(self) -> Callable[[int, int, tuple[int, int]], np.ndarray | None]:
        """Begin to read the truth: give it by index, stamp and size of an image."""
        if self.truth_topic:
            find = self._topic_finder(self.truth_topic, self._truth_coding)
            return lambda _, stamp, size: find(stamp, size)
        if not self.options.truth_dir:
            return lambda *_: None
        if self.options.truth_by == 'order':
            files = list_label_files(self.options.truth_dir)
            return lambda index, _, size: decode_file(files[index], self._truth_coding, size)
        stamped = StampedFiles(self.options.truth_dir, self.options.tolerance_s)

        def from_file(_: int, stamp: int, size: tuple[int, int]) -> np.ndarray | None:
            path = stamped.find(stamp)
            return None if path is None else decode_file(path, self._truth_coding, size)
        return from_file

    def _topic_finder(self, topic: str, coding: LabelCoding
                      ) -> Callable[[int, tuple[int, int]], np.ndarray | None]:
        """Begin to read label images: give them by stamp and size of an image."""
        messages = StampedMessages(message for _, _, message in self.bag.messages({topic}))

        def find(stamp: int, size: tuple[int, int]) -> np.ndarray | None:
            message = messages.find(stamp)
            return None if message is None else decode_message(message, coding, size, topic)
        return find

    def _check_folder(self) -> None:
        """Make sure that every image can have one file of the folder, and no file two images."""
        if not self.options.truth_dir:
            return
        if self.options.truth_by == 'order':
            files = len(list_label_files(self.options.truth_dir))
            if files != self._chosen.total:
                raise ConfigError(
                    f'{self.options.truth_dir} holds {files} PNG files, {self.image_topic} '
                    f'{self._chosen.total} images, so that their order does not pair them: '
                    'bring one file for every image, or match by stamp')
            return
        StampedFiles(self.options.truth_dir, self.options.tolerance_s)
        if self.options.tolerance_s >= 0.5 / self.rate_hz:
            raise ConfigError(
                f'the tolerance is {self.options.tolerance_s} s, but the images are '
                f'{1 / self.rate_hz:.3g} s apart: give less than half of that')

    def _find_rate(self) -> float:
        count = min(_RATE_FRAMES, self.bag.topics[self.image_topic].count)
        first = islice(self.bag.messages({self.image_topic}), count)
        gaps = np.diff([stamp_ns(message) for _, _, message in first])
        gap_ns = float(np.median(gaps)) if len(gaps) else 0.0
        return 1e9 / gap_ns if gap_ns > 0 else DEFAULT_RATE_HZ
