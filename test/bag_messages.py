"""Messages of camera bags, and bags of them, as other programs write them."""
from __future__ import annotations

import cv2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from frm_seg_ros.sources.bag_file import typestore

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
STRING = 'std_msgs/msg/String'


def header(stamp_ns, frame_id='front'):
    types = typestore().types
    stamp = types['builtin_interfaces/msg/Time'](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def image(stamp_ns, array, encoding='rgb8', **changes):
    fields = {'header': header(stamp_ns), 'height': array.shape[0], 'width': array.shape[1],
              'encoding': encoding, 'is_bigendian': 0, 'step': array[0].size,
              'data': array.reshape(-1), **changes}
    return typestore().types[IMAGE](**fields)


def compressed(stamp_ns, array):
    data = cv2.imencode('.png', cv2.cvtColor(array, cv2.COLOR_RGB2BGR))[1].reshape(-1)
    return typestore().types[COMPRESSED](header=header(stamp_ns), format='png', data=data)


def string(text):
    return typestore().types[STRING](data=text)


def write(path, messages, storage='mcap', empty=(), zstd=None):
    """Write (topic, time of recording, message); a message may be raw bytes of an Image.

    `zstd` is what is compressed: file, message or storage.
    """
    writer = Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
    if zstd:
        writer.set_compression(CompressionMode[zstd.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, msgtype in empty:
            connections[topic] = writer.add_connection(topic, msgtype, typestore=typestore())
        for topic, time_ns, message in messages:
            raw = isinstance(message, bytes)
            msgtype = IMAGE if raw else message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, msgtype, typestore=typestore())
            data = message if raw else typestore().serialize_cdr(message, msgtype)
            writer.write(connections[topic], time_ns, data)
    return path
