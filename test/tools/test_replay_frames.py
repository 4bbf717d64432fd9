"""Frames for a replay: bytes, stamps of many laps, and bags that cannot be replayed."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.bag import open_bag
from frm_seg_ros.sources.bag_file import typestore
from frm_seg_ros.sources.bag_labels import stamp_ns
from frm_seg_ros.tools.replay_frames import Loop, load_frames, make_frames, with_stamp

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
STAMPS = (5_000_000_000, 5_100_000_001, 5_200_000_000)


def write_bag(path: Path, stamps: Sequence[int], compressed: bool) -> Path:
    types, kind = typestore().types, COMPRESSED if compressed else IMAGE
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/cam', kind, typestore=typestore())
        for index, stamp in enumerate(stamps):
            header = types['std_msgs/msg/Header'](
                stamp=types['builtin_interfaces/msg/Time'](*divmod(stamp, 10**9)),
                frame_id='left')
            pixels = picture(index)
            if compressed:
                png = cv2.imencode('.png', pixels[..., ::-1])[1]
                data = png if index != 1 else png[:40]       # the second is damaged
                message = types[kind](header=header, format='png', data=data.ravel())
            else:
                message = types[kind](header=header, height=4, width=5, encoding='bgr8',
                                      is_bigendian=0, step=15, data=pixels.ravel())
            writer.write(connection, index, typestore().serialize_cdr(message, kind))
    return path


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (4, 5, 3), np.uint8)


def test_images_go_out_as_they_are_recorded_but_for_the_stamp(tmp_path: Path) -> None:
    frames = load_frames(open_bag(str(write_bag(tmp_path / 'bag', STAMPS, False))), 1)
    assert frames.left_out == 0 and frames.loop.stamps_ns == list(STAMPS)
    for sending in range(7):
        message = typestore().deserialize_cdr(frames.message(sending), IMAGE)
        assert stamp_ns(message) == frames.loop.stamp(sending)
        assert (message.encoding, message.header.frame_id) == ('bgr8', 'left')
        np.testing.assert_array_equal(message.data, picture(sending % 3).ravel())


def test_compressed_images_are_decoded_and_damaged_ones_left_out(tmp_path: Path) -> None:
    frames = load_frames(open_bag(str(write_bag(tmp_path / 'bag', STAMPS, True))), 1)
    assert frames.left_out == 1 and frames.loop.stamps_ns == [STAMPS[0], STAMPS[2]]
    message = typestore().deserialize_cdr(frames.message(1), IMAGE)
    assert (message.height, message.width, message.step) == (4, 5, 15)
    assert (message.encoding, stamp_ns(message)) == ('rgb8', STAMPS[2])
    np.testing.assert_array_equal(message.data, picture(2).ravel())


def test_every_sending_has_a_stamp_of_its_own_that_tells_its_frame() -> None:
    loop = Loop(STAMPS)
    stamps = [loop.stamp(sending) for sending in range(9)]
    assert stamps[:3] == list(STAMPS)
    assert stamps == sorted(set(stamps))
    assert [loop.frame(stamp) for stamp in stamps] == [0, 1, 2] * 3
    assert loop.frame(STAMPS[0] + 7) is None
    assert Loop([4]).frame(Loop([4]).stamp(5)) == 0      # one frame, no duration
    backwards = Loop([30, 10, 20])
    assert [backwards.frame(backwards.stamp(i)) for i in range(6)] == [0, 1, 2] * 2


def test_a_stamp_is_put_into_any_message_that_begins_with_a_header() -> None:
    types = typestore().types
    header = types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=1, nanosec=2), frame_id='a')
    data = bytes(typestore().serialize_cdr(header, 'std_msgs/msg/Header'))
    changed = typestore().deserialize_cdr(with_stamp(data, 7_000_000_009), 'std_msgs/msg/Header')
    assert (changed.stamp.sec, changed.stamp.nanosec, changed.frame_id) == (7, 9, 'a')


def test_bags_that_cannot_be_replayed(tmp_path: Path) -> None:
    twice = write_bag(tmp_path / 'twice', (1, 2, 1), False)
    with pytest.raises(ConfigError, match='1 images of /cam have the stamp of another'):
        load_frames(open_bag(str(twice)), 1)
    with pytest.raises(ConfigError, match='more than 0 MB'):
        load_frames(open_bag(str(twice)), 0)


def test_frames_are_made_of_images() -> None:
    frames = make_frames([picture(0), picture(1)], rate_hz=4)
    assert frames.loop.stamps_ns == [1_000_000_000, 1_250_000_000]
    message = typestore().deserialize_cdr(frames.message(3), IMAGE)
    assert stamp_ns(message) == 1_750_000_000
    np.testing.assert_array_equal(message.data, picture(1).ravel())
