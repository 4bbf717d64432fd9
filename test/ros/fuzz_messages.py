"""Mutations of valid messages: every field, alone and together, from a seed.

As a program it sends them through DDS: `fuzz_messages.py SEED COUNT`.
"""
from __future__ import annotations

import array
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from frm_seg_ros.core.encodings import ENCODINGS, fill_image

SIZE = (24, 32)
UINT32 = (0, 1, 2, 3, 23, 24, 25, 31, 32, 33, 96, 97, 255, 256, 65535, 65536, 2**31 - 1, 2**31,
          2**32 - 2, 2**32 - 1)
INT32 = (0, 1, -1, 2**31 - 1, -2**31, 1_700_000_000)
TEXTS = ('', ' ', 'camera', '/', 'ü' * 9, '\n\t', '%s%n', 'x' * 5000, 'rgb8', 'RGB8', 'rgb8 ',
         'bgr16', '32FC1', '16UC1', '8UC5', 'png', 'jpeg', *ENCODINGS)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, float('inf'), float('-inf'), float('nan'))
Mutate = Callable[[np.random.Generator, Any], None]


def image(chance: np.random.Generator) -> Image:
    """Make a valid image of noise."""
    message = Image()
    fill_image(message, chance.integers(0, 256, (*SIZE, 3), np.uint8), 'rgb8')
    message.header.stamp.sec = 1_700_000_000
    return message


def compressed(chance: np.random.Generator) -> CompressedImage:
    """Make a valid JPEG or PNG of noise."""
    kind = ('jpeg', 'png')[chance.integers(2)]
    pixels = chance.integers(0, 256, (*SIZE, 3), np.uint8)
    message = CompressedImage(format=kind)
    message.data = cv2.imencode(f'.{kind}', pixels)[1].tobytes()
    message.header.stamp.sec = 1_700_000_000
    return message


def camera_info(chance: np.random.Generator) -> CameraInfo:
    """Make the valid calibration of such an image."""
    return CameraInfo(height=SIZE[0], width=SIZE[1], distortion_model='plumb_bob', d=[0.1] * 5,
                      k=[30.0, 0, 16, 0, 30, 12, 0, 0, 1], r=[1.0, 0, 0, 0, 1, 0, 0, 0, 1],
                      p=[30.0, 0, 16, 0, 0, 30, 12, 0, 0, 0, 1, 0])


def _pick(chance: np.random.Generator, values: tuple[Any, ...]) -> Any:
    return values[chance.integers(len(values))]


def _uint32(chance: np.random.Generator) -> int:
    return int(chance.integers(2**32)) if chance.random() < 0.2 else _pick(chance, UINT32)


def _floats(chance: np.random.Generator, count: int) -> list[float]:
    return [float(_pick(chance, FLOATS)) if chance.random() < 0.5 else float(chance.normal())
            for _ in range(count)]


def _stamp(chance: np.random.Generator, message: Any) -> None:
    message.header.stamp.sec = _pick(chance, INT32)
    message.header.stamp.nanosec = _uint32(chance)


def _frame_id(chance: np.random.Generator, message: Any) -> None:
    message.header.frame_id = _pick(chance, TEXTS)


def _set(name: str, value: Callable[[np.random.Generator], Any]) -> Mutate:
    return lambda chance, message: setattr(message, name, value(chance))


def _bytes(chance: np.random.Generator, message: Any) -> None:
    """Cut, lengthen, empty, or change bytes, above all the first ones, which hold headers."""
    data = bytearray(message.data)
    how = chance.integers(4)
    if how == 0:
        del data[chance.integers(len(data) + 1):]
    elif how == 1:
        data += chance.bytes(int(chance.integers(1, 100)))
    elif how == 2:
        data.clear()
    elif data:
        for place in chance.integers(0, _pick(chance, (min(64, len(data)), len(data))), 8):
            data[place] = int(chance.integers(256))
    message.data = array.array('B', data)


def _same_bytes(chance: np.random.Generator, message: Image) -> None:
    """Take another shape and encoding whose size may well fit the data."""
    message.encoding = _pick(chance, ENCODINGS)
    message.height = int(_pick(chance, (1, 2, 3, 4, 16, 24, 48, 96)))
    message.width = int(_pick(chance, (1, 2, 3, 4, 16, 32, 48, 96)))
    message.step = len(message.data) // message.height


def _png_size(chance: np.random.Generator, message: CompressedImage) -> None:
    """Let a PNG declare another size (IHDR: bytes 16 to 24), with the right checksum."""
    data = bytearray(message.data)
    if data[:4] == b'\x89PNG':
        import zlib
        data[16:24] = _uint32(chance).to_bytes(4, 'big') + _uint32(chance).to_bytes(4, 'big')
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
        message.data = array.array('B', data)


def _roi(chance: np.random.Generator, message: CameraInfo) -> None:
    for name in ('x_offset', 'y_offset', 'height', 'width'):
        if chance.random() < 0.5:
            setattr(message.roi, name, _uint32(chance))
    message.roi.do_rectify = bool(chance.integers(2))


HEADER = {'stamp': _stamp, 'frame_id': _frame_id}
MUTATIONS: dict[str, tuple[Callable[..., Any], dict[str, Mutate]]] = {
    'image': (image, HEADER | {
        'height': _set('height', _uint32), 'width': _set('width', _uint32),
        'step': _set('step', _uint32), 'encoding': _set('encoding', lambda c: _pick(c, TEXTS)),
        'is_bigendian': _set('is_bigendian', lambda c: int(c.integers(256))), 'data': _bytes,
        'shape': _same_bytes}),
    'compressed': (compressed, HEADER | {
        'format': _set('format', lambda c: _pick(c, TEXTS)), 'data': _bytes,
        'declared size': _png_size}),
    'camera_info': (camera_info, HEADER | {
        'height': _set('height', _uint32), 'width': _set('width', _uint32),
        'distortion_model': _set('distortion_model', lambda c: _pick(c, TEXTS)),
        'd': _set('d', lambda c: _floats(c, int(c.integers(20)))),
        'k': _set('k', lambda c: _floats(c, 9)), 'r': _set('r', lambda c: _floats(c, 9)),
        'p': _set('p', lambda c: _floats(c, 12)), 'roi': _roi,
        'binning_x': _set('binning_x', _uint32), 'binning_y': _set('binning_y', _uint32)})}


def mutated(kind: str, chance: np.random.Generator) -> Any:
    """Make a valid message of a kind of MUTATIONS and change one to three of its fields."""
    make, changes = MUTATIONS[kind]
    message = make(chance)
    for name in chance.choice(list(changes), min(int(chance.integers(1, 4)), len(changes)), False):
        changes[name](chance, message)
    return message


def main() -> None:
    """Send mutations of all kinds to the cameras raw and jpeg, slowly enough for each to come."""
    import rclpy
    from rclpy.qos import QoSProfile
    seed, count = map(int, sys.argv[1:])
    rclpy.init(args=[])
    node = rclpy.create_node('fuzz')
    topics = {'image': (Image, 'raw/image'), 'compressed': (CompressedImage,
              'jpeg/image/compressed'), 'camera_info': (CameraInfo, 'raw/camera_info')}
    senders = {kind: node.create_publisher(*topic, QoSProfile(depth=100))
               for kind, topic in topics.items()}
    while not all(sender.get_subscription_count() for sender in senders.values()):
        time.sleep(0.01)
    chance = np.random.default_rng(seed)
    for number in range(count):
        kind = tuple(MUTATIONS)[number % 3]
        senders[kind].publish(mutated(kind, chance))
        time.sleep(0.002)
        print(kind, flush=True)
    sys.stdin.read()   # until all has come
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main()
