"""Labelled rosbag2 recordings made from any source of frames, and what is in a recording."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.bag_file import STORAGES, Bag, typestore
from frm_seg_ros.sources.base import FrameSource, open_source

IMAGE_TOPIC = '/camera/image'
TRUTH_TOPIC = '/camera/label_image'
CAMERA_INFO_TOPIC = '/camera/camera_info'
LABEL_SPACE_TOPIC = '/camera/label_space'

# When the first frame of every bag was taken: not 0, which means `no time` in ROS.
START_NS = 10**9

# Format of rosbag2 in Iron; Jazzy reads it too. (9 writes QoS in a form that came with Jazzy.)
_VERSION: Literal[8] = 8


def make_bag(source_text: str, out: Path | str, rate_hz: float | None = None,
             storage: str = 'mcap', force: bool = False,
             progress: Callable[[int, int], None] | None = None) -> int:
    """Write the frames of a source as a rosbag2 folder: whole or not at all.

    Topics, all stamped alike: IMAGE_TOPIC (Image, rgb8), CAMERA_INFO_TOPIC (CameraInfo of a
    nominal camera, see `camera_matrix`), and where the source has truth, TRUTH_TOPIC (Image, mono8
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
        ConfigError: if the source, the rate, the storage or the folder is wrong.
    """
    out = Path(out).expanduser()
    if storage not in STORAGES.values():
        raise ConfigError(f'no storage is called {storage!r}: take one of '
                          f'{", ".join(sorted(STORAGES.values()))}')
    if rate_hz is not None and not 0 < rate_hz <= 1e6:
        raise ConfigError(f'the rate is {rate_hz} Hz: give one above 0 and at most 1e6')
    if out.exists() and not (out / 'metadata.yaml').is_file():
        raise ConfigError(f'{out} is there already and is no bag, so it is not replaced: name '
                          'another folder')
    if out.exists() and not force:
        raise ConfigError(f'{out} is there already: name another folder, or add --force to '
                          'replace the bag')
    source = open_source(source_text)
    with atomic_path(out) as folder:
        plugin = StoragePlugin[storage.upper()]
        with Writer(folder, version=_VERSION, storage_plugin=plugin) as writer:
            return _write(source, _BagWriter(writer, source.label_space), rate_hz, progress)


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

    Sources tell nothing of their cameras. The focal length is the width (53 degrees across, as
    many robot cameras have), the principal point the middle; nothing may be measured with it.
    """
    return np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]], float)


def _write(source: FrameSource, writer: _BagWriter, rate_hz: float | None,
           progress: Callable[[int, int], None] | None) -> int:
    first_ns = index = 0
    for index, frame in enumerate(source, 1):
        if index == 1:
            first_ns = frame.stamp_ns
        since_ns = round((index - 1) * 1e9 / rate_hz) if rate_hz else frame.stamp_ns - first_ns
        writer.add(frame, START_NS + since_ns)
        if progress:
            progress(index, len(source))
    return index


def _qos(durability: QosDurability, depth: int) -> Qos:
    """Make reliable, keep-last QoS as a publisher offers it."""
    never = QosTime(9223372036, 854775807)      # rmw's infinite duration
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, never, never,
               QosLiveliness.AUTOMATIC, never, False)


class _BagWriter:
    """Topics of an open rosbags writer, and the way from a frame to its messages."""

    def __init__(self, writer: Writer, label_space: LabelSpace | None) -> None:
        self._writer, self._label_space = writer, label_space
        self._types = typestore().types
        self._image = self._topic(IMAGE_TOPIC, 'sensor_msgs/msg/Image')
        self._camera_info = self._topic(CAMERA_INFO_TOPIC, 'sensor_msgs/msg/CameraInfo')
        if label_space:
            self._truth = self._topic(TRUTH_TOPIC, 'sensor_msgs/msg/Image')
            self._space: Connection | None = self._topic(
                LABEL_SPACE_TOPIC, 'std_msgs/msg/String', QosDurability.TRANSIENT_LOCAL, 1)

    def _topic(self, name: str, msgtype: str,
               durability: QosDurability = QosDurability.VOLATILE, depth: int = 10) -> Connection:
        return self._writer.add_connection(name, msgtype, typestore=typestore(),
                                           offered_qos_profiles=[_qos(durability, depth)])

    def add(self, frame: Frame, stamp_ns: int) -> None:
        """Write the messages of one frame, recorded at its stamp."""
        header = self._header(stamp_ns, frame.frame_id)
        if self._label_space and self._space:
            self._put(self._space, stamp_ns, self._make('std_msgs/msg/String',
                                                        data=self._label_space.to_yaml()))
            self._space = None      # latched: once is enough
        self._put(self._camera_info, stamp_ns, self._make_camera_info(header, frame))
        self._put(self._image, stamp_ns, self._make_image(header, frame.image, 'rgb8'))
        if self._label_space and frame.truth is not None:
            self._put(self._truth, stamp_ns, self._make_image(header, frame.truth, 'mono8'))

    def _put(self, connection: Connection, stamp_ns: int, message: Any) -> None:
        raw = typestore().serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, stamp_ns, raw)

    def _make(self, msgtype: str, **fields: Any) -> Any:
        return self._types[msgtype](**fields)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self._make('builtin_interfaces/msg/Time', sec=seconds, nanosec=nanoseconds)
        return self._make('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)

    def _make_image(self, header: Any, image: np.ndarray, encoding: str) -> Any:
        height, width = image.shape[:2]
        return self._make('sensor_msgs/msg/Image', header=header, height=height, width=width,
                          encoding=encoding, is_bigendian=0, step=image[0].size,
                          data=np.ascontiguousarray(image).reshape(-1))

    def _make_camera_info(self, header: Any, frame: Frame) -> Any:
        height, width = frame.image.shape[:2]
        matrix = camera_matrix(height, width)
        whole = self._make('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0,
                           width=0, do_rectify=False)
        return self._make(
            'sensor_msgs/msg/CameraInfo', header=header, height=height, width=width,
            distortion_model='plumb_bob', d=np.zeros(5), k=matrix.reshape(-1),
            r=np.eye(3).reshape(-1), p=np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
            binning_x=0, binning_y=0, roi=whole)
