"""Label the images of a recording, and write the labels beside its messages."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection

from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_message import label_space_fields
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.bag_file import Bag, typestore
from frm_seg_ros.sources.bag_images import Drops, message_to_rgb
from frm_seg_ros.sources.bag_labels import stamp_ns
from frm_seg_ros.sources.bag_topics import IMAGE, LABEL_SPACE, find_image_topics
from frm_seg_ros.tools.bag_writer import BagWriter, check_target, new_bag
from frm_seg_ros.tools.predict import ALPHA
from frm_seg_ros.tools.subject import label_frame

# Names, encodings and QoS depth of the node's topics; docs/node.md.
PREFIX = '/frm_seg'
IMAGES = {'label_image': 'mono8', 'confidence': 'mono8'}
OVERLAY = {'overlay': 'rgb8'}
_DEPTH = 2


@dataclass(frozen=True)
class Annotation:
    """What was done.

    Attributes:
        labelled: images.
        left_out: a line for every reason why images could not be labelled.
        copied: messages of the bag that were copied, the images among them.
    """

    labelled: int
    left_out: list[str]
    copied: int


class Annotator:
    """Checks what is wanted of a bag, before a model is opened, and then does it.

    Attributes:
        topics: topics of images, and the prefix of the topics that get their labels.
    """

    def __init__(self, path: Path | str, out: Path | str, topics: Sequence[str] = (),
                 with_overlay: bool = False, storage: str = 'mcap', prefix: str = PREFIX,
                 force: bool = False) -> None:
        """Open the bag.

        Args:
            path: the bag: a folder, or one file of mcap or sqlite3.
            out: the folder of the new bag.
            topics: of the images; the only one where none is told.
            with_overlay: write the labels in colours over the images too.
            storage: of the new bag, `mcap` or `sqlite3`.
            prefix: of the new topics, in place of the node's name.
            force: replace the bag `out`, and leave topics of the very names of the new ones out.

        Raises:
            ConfigError: if the bag, a topic, the storage, the prefix or the folder is wrong, or
                the bag has a topic of such a name and `force` is not given.
        """
        self._out, self._storage = Path(out).expanduser(), storage
        check_target(self._out, storage, force)
        self._bag = Bag(path)
        if self._out.resolve() in (self._bag.path.resolve(), self._bag.path.resolve().parent):
            raise ConfigError(f'{self._out} is the bag that is read: name another folder, which '
                              'can take its place afterwards')
        parts = prefix.split('/')
        if parts[0] or not all(part.isidentifier() and part.isascii() for part in parts[1:]):
            raise ConfigError(f'the prefix {prefix!r} is no name of ROS: write it as {PREFIX}, '
                              'of letters, digits and underscores between slashes')
        found = find_image_topics(self._bag, topics)
        if any(topic.startswith(f'{prefix}/') for topic in found):
            raise ConfigError(f'the prefix {prefix} is that of {", ".join(found)}: name another, '
                              'since what begins so is taken for labels')
        self.topics = dict(zip(found, (f'{prefix}{name}' for name in camera_names(found))))
        self._images = {**IMAGES, **(OVERLAY if with_overlay else {})}
        self._space = f'{prefix}/label_space'
        new = {self._space, *(f'{camera}/{name}' for camera in self.topics.values()
                              for name in self._images)}
        self._replaced = new & set(self._bag.topics)
        if self._replaced and not force:
            raise ConfigError(f'the bag {self._bag.path} has {", ".join(sorted(self._replaced))} '
                              'already: name another --prefix, or add --force to leave them out')

    def run(self, segmenter: Segmenter,
            progress: Callable[[int, int], None] | None = None) -> Annotation:
        """Copy the bag, with the labels of every image right after it; whole or not at all.

        One message is held at a time. What comes out carries the header and the time of recording
        of its image. Images that cannot be converted are copied, and get no labels.

        Args:
            segmenter: the model.
            progress: called with the images that were looked at and their total, after each.

        Raises:
            ConfigError: if no image could be labelled.
        """
        total = sum(self._bag.topics[topic].count for topic in self.topics)
        drops, seen, copied = Drops(self._bag.path), 0, 0
        with new_bag(self._out, self._storage) as writer:
            for connection in self._bag.connections:
                if connection.topic not in self._replaced:
                    writer.copy_topic(connection)
            labels = {topic: _Labels(writer, camera, segmenter, self._images)
                      for topic, camera in self.topics.items()}
            self._write_space(writer, segmenter)
            for connection, time_ns, raw in self._bag.raw_messages():
                if connection.topic in self._replaced:
                    continue
                writer.copy(connection, time_ns, raw)
                copied += 1
                if connection.topic in labels:
                    seen += 1
                    try:
                        labels[connection.topic].write(connection, time_ns, raw)
                    except FrameError as error:
                        drops.add(error)
                    if progress:
                        progress(seen, total)
            if seen == drops.total:
                raise ConfigError(f'no image of {", ".join(self.topics)} in the bag '
                                  f'{self._bag.path} could be labelled: '
                                  f'{"; ".join(drops.lines()) or "there is none"}')
        return Annotation(seen - drops.total, drops.lines(), copied)

    def _write_space(self, writer: BagWriter, segmenter: Segmenter) -> None:
        """Write the label space before everything else; latched."""
        fields = label_space_fields(segmenter.card, segmenter.label_space)
        arrays = {key: np.array(value, np.uint8) for key, value in fields.items()
                  if value and isinstance(value[0], int)}
        writer.put(writer.topic(self._space, LABEL_SPACE, 1, True), self._bag.start_ns,
                   writer.make(LABEL_SPACE, **{**fields, **arrays}))


class _Labels:
    """The topics that hold the labels of one camera."""

    def __init__(self, writer: BagWriter, prefix: str, segmenter: Segmenter,
                 images: dict[str, str]) -> None:
        self._writer, self._segmenter, self._encodings = writer, segmenter, images
        self._prefix = prefix
        self._topics: dict[str, Connection] = {}

    def write(self, connection: Connection, time_ns: int, raw: bytes) -> None:
        """Label an image.

        Raises:
            FrameError: if it is none, or cannot be converted.
        """
        message = _decode(connection, raw)
        image = message_to_rgb(message)
        prediction = label_frame(self._segmenter, Frame(image, stamp_ns(message)))
        made = {'label_image': prediction.labels, 'confidence': prediction.confidence}
        if 'overlay' in self._encodings:
            made['overlay'] = overlay(image, prediction.labels, self._segmenter.label_space, ALPHA)
        for name, encoding in self._encodings.items():
            if made[name] is not None:      # there are models without confidence
                self._writer.put(self._topic(name), time_ns, self._writer.image(
                    message.header, made[name], encoding))

    def _topic(self, name: str) -> Connection:
        if name not in self._topics:
            self._topics[name] = self._writer.topic(f'{self._prefix}/{name}', IMAGE, _DEPTH)
        return self._topics[name]


def _decode(connection: Connection, raw: bytes) -> Any:
    try:
        return typestore().deserialize_cdr(raw, connection.msgtype)
    except Exception as error:  # noqa: BLE001  rosbags raises what the bytes lead it into
        raise FrameError('bad_message', f'its {len(raw)} bytes are no {connection.msgtype}: '
                                        f'{error}') from error


def camera_names(topics: Sequence[str]) -> list[str]:
    """Name the cameras of image topics as the node's topics have them: '' or '/<camera>'.

    One topic has no name. Each of several has that of the namespace right above it (`/front` for
    `/cameras/front/image_raw`, and for its compressed twin), or where that names not each of them,
    all the topic.

    Raises:
        ConfigError: if two topics show the same pictures, one of them compressed.
    """
    if len(topics) == 1:
        return ['']
    names = [topic.removesuffix('/compressed') for topic in topics]
    twins = sorted(topic for topic, name in zip(topics, names) if names.count(name) > 1)
    if twins:
        raise ConfigError(f'{" and ".join(twins)} show the same pictures: name one of them')
    above = [name.split('/')[-2] for name in names]
    unique = all(above) and len(set(above)) == len(above)
    return [f'/{name}' for name in above] if unique else names
