"""Images of a bag, decoded once, as messages that can be sent any number of times."""
from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from frm_seg_ros.core.encodings import compressed_to_rgb
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.sources.bag import BagSource
from frm_seg_ros.sources.bag_file import typestore
from frm_seg_ros.sources.bag_labels import stamp_ns
from frm_seg_ros.sources.bag_topics import COMPRESSED, IMAGE


class Loop:
    """Stamps for frames that are sent again and again: every sending has one of its own.

    In lap 0 the stamps are those of the bag; each further lap adds the duration of a lap.

    Attributes:
        stamps_ns: of the bag, frame by frame.
    """

    def __init__(self, stamps_ns: Sequence[int]) -> None:
        self.stamps_ns = list(stamps_ns)
        self._frame = {stamp: frame for frame, stamp in enumerate(self.stamps_ns)}
        self._first = min(stamps_ns)
        length = max(stamps_ns) - self._first
        self._lap_ns = length + max(length // max(len(self.stamps_ns) - 1, 1), 1)

    def stamp(self, sending: int) -> int:
        """Give the stamp of the `sending`-th frame that is sent, from 0 on, in nanoseconds."""
        lap, frame = divmod(sending, len(self.stamps_ns))
        return self.stamps_ns[frame] + lap * self._lap_ns

    def frame(self, stamp: int) -> int | None:
        """Tell which frame of the bag was sent with a stamp; None where none was."""
        return self._frame.get(self._first + (stamp - self._first) % self._lap_ns)


@dataclass(frozen=True)
class ReplayFrames:
    """Images of a bag in memory.

    Attributes:
        loop: their stamps.
        messages: sensor_msgs/Image in CDR, little-endian; as the bag has them, or rgb8 where it
            has CompressedImage.
        left_out: images that could not be decoded.
    """

    loop: Loop
    messages: list[bytes]
    left_out: int

    def message(self, sending: int) -> bytes:
        """Give the message of the `sending`-th frame that is sent, with the stamp of its own."""
        return with_stamp(self.messages[sending % len(self.messages)], self.loop.stamp(sending))


def with_stamp(data: bytes, stamp: int) -> bytes:
    """Put a stamp, ns, into a little-endian message in CDR that begins with a std_msgs/Header."""
    changed = bytearray(data)
    struct.pack_into('<iI', changed, 4, *divmod(stamp, 10**9))
    return bytes(changed)


def load_frames(source: BagSource, limit_mb: int) -> ReplayFrames:
    """Read and decode the images of a bag.

    Args:
        source: the open bag.
        limit_mb: how much memory they may take.

    Raises:
        ConfigError: if they take more, two have one stamp, or none can be decoded.
    """
    stamps, messages, left_out, size = [], [], 0, 0
    compressed = source.bag.topics[source.image_topic].type == COMPRESSED
    for _, _, message in source.bag.messages({source.image_topic}, broken_too=True):
        try:
            image = _raw_image(message) if compressed else message
        except FrameError:
            image = None
        if image is None:
            left_out += 1
            continue
        messages.append(bytes(typestore().serialize_cdr(image, IMAGE)))
        stamps.append(stamp_ns(message))
        size += len(messages[-1])
        if size > limit_mb << 20:
            raise ConfigError(f'the images of {source.image_topic} take more than {limit_mb} MB '
                              'of memory: take a shorter bag, or raise --limit-mb')
    if not messages:
        raise ConfigError(f'no image of {source.image_topic} in {source.bag.path} can be decoded')
    if len(set(stamps)) < len(stamps):
        raise ConfigError(f'{len(stamps) - len(set(stamps))} images of {source.image_topic} have '
                          'the stamp of another one, so that their outputs cannot be told apart: '
                          'take a bag with stamps of their own')
    return ReplayFrames(Loop(stamps), messages, left_out)


def make_frames(images: Sequence[np.ndarray], rate_hz: float) -> ReplayFrames:
    """Make frames of images (H, W, 3) uint8 RGB, stamped from one second on at a rate."""
    types = typestore().types
    stamps = [10**9 + round(index * 1e9 / rate_hz) for index in range(len(images))]
    headers = [types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9)), frame_id='camera')
        for stamp in stamps]
    return ReplayFrames(Loop(stamps), [
        bytes(typestore().serialize_cdr(_image(header, image), IMAGE))
        for header, image in zip(headers, images)], 0)


def _raw_image(message: Any) -> Any:
    """Decode a CompressedImage into an Image; None stays None."""
    return None if message is None else _image(message.header, compressed_to_rgb(message))


def _image(header: Any, rgb: np.ndarray) -> Any:
    height, width = rgb.shape[:2]
    return typestore().types[IMAGE](
        header=header, height=height, width=width, encoding='rgb8', is_bigendian=0,
        step=3 * width, data=np.ascontiguousarray(rgb).reshape(-1))
