"""Labelled rosbag2 recordings made from any source of frames, and what is in a recording."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.sources.bag import BagSource
from frm_seg_ros.sources.bag_file import Bag
from frm_seg_ros.sources.base import FrameSource, open_source
from frm_seg_ros.tools.bag_writer import BagWriter, check_target, new_bag

IMAGE_TOPIC = '/camera/image'
TRUTH_TOPIC = '/camera/label_image'
CAMERA_INFO_TOPIC = '/camera/camera_info'
LABEL_SPACE_TOPIC = '/camera/label_space'

# When the first frame of every bag was taken: not 0, which means `no time` in ROS.
START_NS = 10**9


def make_bag(source_text: str, out: Path | str, rate_hz: float | None = None,
             storage: str = 'mcap', force: bool = False,
             progress: Callable[[int, int], None] | None = None) -> int:
    """Write the frames of a source as a rosbag2 folder: whole or not at all.

    Topics, all stamped alike: IMAGE_TOPIC (Image, rgb8), CAMERA_INFO_TOPIC (CameraInfo: that of a
    bag which has one beside its images, for their size; else that of a nominal camera without
    distortion, see `camera_matrix`), and where the source has truth, TRUTH_TOPIC (Image, mono8
    train ids, 255 = ignored) and LABEL_SPACE_TOPIC (String, the label space as YAML, once,
    transient local).

    Args:
        source_text: such as `synthetic:7:200`.
        out: the folder.
        rate_hz: frames a second; None keeps the distances of the source's stamps. Either way the
            first frame has the stamp START_NS.
        storage: `mcap` or `sqlite3`.
        force: replace what is there under the name.
        progress: called with the number of frames written and their total after every frame.

    Returns:
        How many frames were written.

    Raises:
        ConfigError: if the source, the rate, the storage or the folder is wrong, or if stamps go
            back and there is no rate.
    """
    out = Path(out).expanduser()
    if rate_hz is not None and not 0 < rate_hz <= 1e6:
        raise ConfigError(f'the rate is {rate_hz} Hz: give one above 0 and at most 1e6')
    check_target(out, storage, force)
    source = open_source(source_text)
    with new_bag(out, storage) as writer:
        return _write(source, _FrameWriter(writer, source), rate_hz, progress)


def bag_info(path: Path | str) -> dict[str, Any]:
    """Tell what a bag holds.

    Returns:
        path, storage, bytes (size of its files), messages, start_ns, duration_s, topics (list of
        name, type, count; sorted by name) and damage (phrases; empty when the bag is sound).

    Raises:
        ConfigError: if there is no bag, or nothing of it can be read.
    """
    bag = Bag(path)
    files = [bag.path] if bag.path.is_file() else [f for f in bag.path.iterdir() if f.is_file()]
    return {
        'path': str(bag.path),
        'storage': bag.storage,
        'bytes': sum(file.stat().st_size for file in files),
        'messages': sum(topic.count for topic in bag.topics.values()),
        'start_ns': bag.start_ns,
        'duration_s': bag.duration_ns / 1e9,
        'topics': [{'name': name, 'type': topic.type, 'count': topic.count}
                   for name, topic in sorted(bag.topics.items())],
        'damage': list(bag.damage),
    }


def format_bag_info(info: dict[str, Any]) -> str:
    """Lay out what `bag_info` gives as lines of text."""
    lines = [f'{key + ":":<10}{value}' for key, value in (
        ('bag', info['path']), ('storage', info['storage']),
        ('size', f'{info["bytes"] / 2**20:.1f} MiB'), ('duration', f'{info["duration_s"]:.3f} s'),
        ('messages', info['messages']))]
    width = max((len(topic['name']) for topic in info['topics']), default=0)
    lines += [f'  {topic["name"]:<{width}}  {topic["count"]:>6}  {topic["type"]}'
              for topic in info['topics']]
    return '\n'.join(lines + [f'damaged:  {phrase}' for phrase in info['damage']])


def camera_matrix(height: int, width: int) -> np.ndarray:
    """Give K of a nominal pinhole camera: (3, 3) float64, pixels.

    Most sources tell nothing of their cameras. The focal length is the width (53 degrees across,
    as many robot cameras have), the principal point the middle; nothing may be measured with it.
    """
    return np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]], float)


def _write(source: FrameSource, writer: _FrameWriter, rate_hz: float | None,
           progress: Callable[[int, int], None] | None) -> int:
    first_ns = last_ns = index = 0
    for index, frame in enumerate(source, 1):
        if index == 1:
            first_ns = last_ns = frame.stamp_ns
        if rate_hz is None and frame.stamp_ns < last_ns:
            back_s = (last_ns - frame.stamp_ns) / 1e9
            raise ConfigError(f'the stamp of frame {index} lies {back_s} s before that of the '
                              'frame before it: give a --rate, by which all are stamped anew')
        last_ns = frame.stamp_ns
        since_ns = round((index - 1) * 1e9 / rate_hz) if rate_hz else last_ns - first_ns
        writer.add(frame, START_NS + since_ns)
        if progress:
            progress(index, len(source))
    return index


class _FrameWriter:
    """The topics of a bag made of frames."""

    def __init__(self, writer: BagWriter, source: FrameSource) -> None:
        self._writer, self._label_space = writer, source.label_space
        self._recorded = source.camera_info() if isinstance(source, BagSource) else None
        self._image = writer.topic(IMAGE_TOPIC, 'sensor_msgs/msg/Image')
        self._camera_info = writer.topic(CAMERA_INFO_TOPIC, 'sensor_msgs/msg/CameraInfo')
        if source.label_space:
            self._truth = writer.topic(TRUTH_TOPIC, 'sensor_msgs/msg/Image')
            self._space = writer.topic(LABEL_SPACE_TOPIC, 'std_msgs/msg/String', 1, True)
            self._space_written = False

    def add(self, frame: Frame, stamp_ns: int) -> None:
        """Write the messages of one frame, recorded at its stamp."""
        writer, label_space = self._writer, self._label_space
        header = writer.header(stamp_ns, frame.frame_id)
        if label_space and not self._space_written:    # latched: once is enough
            writer.put(self._space, stamp_ns,
                       writer.make('std_msgs/msg/String', data=label_space.to_yaml()))
            self._space_written = True
        writer.put(self._camera_info, stamp_ns, self._make_camera_info(header, frame))
        writer.put(self._image, stamp_ns, writer.image(header, frame.image, 'rgb8'))
        if label_space and frame.truth is not None:
            writer.put(self._truth, stamp_ns, writer.image(header, frame.truth, 'mono8'))

    def _make_camera_info(self, header: Any, frame: Frame) -> Any:
        height, width = frame.image.shape[:2]
        if self._recorded and (self._recorded.height, self._recorded.width) == (height, width):
            return replace(self._recorded, header=header)
        matrix, make = camera_matrix(height, width), self._writer.make
        whole = make('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0,
                     width=0, do_rectify=False)
        return make(
            'sensor_msgs/msg/CameraInfo', header=header, height=height, width=width,
            distortion_model='plumb_bob', d=np.zeros(5), k=matrix.reshape(-1),
            r=np.eye(3).reshape(-1), p=np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
            binning_x=0, binning_y=0, roi=whole)
