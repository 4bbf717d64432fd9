"""Bags written by us: read back by value with rosbags alone, and whole or not there at all."""
from __future__ import annotations

import sqlite3

import numpy as np
import pytest
import yaml
from data_trees import write_robot
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools import make_bag as module
from frm_seg_ros.tools.bag_writer import new_bag
from frm_seg_ros.tools.make_bag import bag_info, format_bag_info, make_bag

FIRST = 5_000_000_123       # stamp of the made source's first frame
STAMPS = [0, 66_666_667, 133_333_333, 250_000_000]


class MadeSource:
    """Four frames, the third without truth."""

    def __init__(self, label_space=None, error=None):
        self.label_space, self.error = label_space, error
        self.rate_hz = 15

    def __len__(self):
        return len(STAMPS)

    def __iter__(self):
        for index, stamp_ns in enumerate(STAMPS):
            rng = np.random.default_rng(index)
            image = rng.integers(0, 256, (6 + index, 8, 3), np.uint8)
            truth = rng.integers(0, 11, (6 + index, 8), np.uint8)
            if self.error and index == 2:
                raise self.error
            with_truth = self.label_space and index != 2
            yield Frame(image, FIRST + stamp_ns, f'cam{index}', truth if with_truth else None)


@pytest.fixture
def source(monkeypatch):
    """Let `made:` be a source whose attributes the test may change."""
    made = MadeSource(LabelSpace.load('camvid'))
    monkeypatch.setattr(module, 'open_source', lambda text: made)
    return made


def read(path):
    """Read everything: (time, message) by topic, and the connections by topic."""
    store, found = get_typestore(Stores.ROS2_JAZZY), {}
    with Reader(path) as reader:
        connections = {item.topic: item for item in reader.connections}
        for connection, time_ns, raw in reader.messages():
            message = store.deserialize_cdr(raw, connection.msgtype)
            found.setdefault(connection.topic, []).append((time_ns, message))
    return found, connections


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_every_topic_by_value(tmp_path, source, storage):
    seen = []
    count = make_bag('made:', tmp_path / 'out', storage=storage,
                     progress=lambda *args: seen.append(args))
    assert count == 4 and seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    found, connections = read(tmp_path / 'out')
    assert {name: item.msgtype for name, item in connections.items()} == {
        '/camera/image': 'sensor_msgs/msg/Image', '/camera/label_image': 'sensor_msgs/msg/Image',
        '/camera/camera_info': 'sensor_msgs/msg/CameraInfo',
        '/camera/label_space': 'std_msgs/msg/String'}
    times = [10**9 + stamp_ns for stamp_ns in STAMPS]
    frames = list(source)
    for topic in ('/camera/image', '/camera/camera_info'):
        assert [time_ns for time_ns, _ in found[topic]] == times
    for (time_ns, message), frame in zip(found['/camera/image'], frames, strict=True):
        height, width = frame.image.shape[:2]
        assert (message.height, message.width, message.step) == (height, width, 3 * width)
        assert (message.encoding, message.is_bigendian) == ('rgb8', 0)
        assert (stamp_of(message), message.header.frame_id) == (time_ns, frame.frame_id)
        np.testing.assert_array_equal(message.data.reshape(frame.image.shape), frame.image)
    labelled = [(time_ns, frame) for time_ns, frame in zip(times, frames, strict=True)
                if frame.truth is not None]
    for (time_ns, message), (wanted_ns, frame) in zip(found['/camera/label_image'], labelled,
                                                      strict=True):
        assert (message.encoding, message.step) == ('mono8', 8)
        assert time_ns == stamp_of(message) == wanted_ns
        np.testing.assert_array_equal(message.data.reshape(frame.truth.shape), frame.truth)
    ((time_ns, message),) = found['/camera/label_space']
    assert time_ns == 10**9
    assert LabelSpace.parse(message.data, '') == LabelSpace.load('camvid')


def test_a_bag_of_ones_own_classes_tells_them(tmp_path):
    labels = write_robot(tmp_path / 'data')
    source = open_source(f'labelled:{tmp_path}/data:train')
    make_bag(f'labelled:{tmp_path}/data:train', tmp_path / 'out')
    labels.unlink()
    again = open_source(f'bag:{tmp_path}/out')
    assert again.label_space == source.label_space
    for found, wanted in zip(again, source, strict=True):
        np.testing.assert_array_equal(found.truth, wanted.truth)


def test_camera_info(tmp_path, source):
    make_bag('made:', tmp_path / 'out')
    found, _ = read(tmp_path / 'out')
    for index, (time_ns, info) in enumerate(found['/camera/camera_info']):
        assert (info.height, info.width, stamp_of(info)) == (6 + index, 8, time_ns)
        assert (info.distortion_model, info.d.tolist()) == ('plumb_bob', [0] * 5)
        row = (5 + index) / 2
        assert info.k.tolist() == [8, 0, 3.5, 0, 8, row, 0, 0, 1]
        assert info.r.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
        assert info.p.tolist() == [8, 0, 3.5, 0, 0, 8, row, 0, 0, 0, 1, 0]


def write_camera(path, image_topic, info_topic, stamps=(FIRST, FIRST + 10**8), size=(6, 8)):
    """Write a bag of images with the CameraInfo of a camera that was calibrated."""
    with new_bag(path, 'mcap') as writer:
        images = writer.topic(image_topic, 'sensor_msgs/msg/Image')
        infos = writer.topic(info_topic, 'sensor_msgs/msg/CameraInfo')
        whole = writer.make('sensor_msgs/msg/RegionOfInterest', x_offset=1, y_offset=2, height=3,
                            width=4, do_rectify=True)
        for index, stamp_ns in enumerate(stamps):
            header = writer.header(stamp_ns, 'front_optical')
            writer.put(infos, stamp_ns, writer.make(
                'sensor_msgs/msg/CameraInfo', header=header, height=size[0], width=size[1],
                distortion_model='rational_polynomial', d=np.arange(8.0), k=np.arange(9.0) + index,
                r=np.arange(9.0) + 10, p=np.arange(12.0) + 20, binning_x=2, binning_y=1,
                roi=whole))
            picture = np.full((6, 8, 3), index, np.uint8)
            writer.put(images, FIRST + index, writer.image(header, picture, 'rgb8'))
    return path


@pytest.mark.parametrize('topic, info, taken', [
    ('/front/image_raw', '/front/camera_info', True),
    ('/image', '/camera_info', True),
    ('/front/image_raw', '/left/camera_info', False),
])
def test_calibration_of_a_bag_is_kept(tmp_path, topic, info, taken):
    write_camera(tmp_path / 'in', topic, info)
    make_bag(f'bag:{tmp_path}/in', tmp_path / 'out')
    found, _ = read(tmp_path / 'out')
    assert [time_ns for time_ns, _ in found['/camera/image']] == [10**9, 10**9 + 10**8]
    for time_ns, message in found['/camera/camera_info']:
        assert (stamp_of(message), message.header.frame_id) == (time_ns, 'front_optical')
        if not taken:
            assert (message.k[0], message.distortion_model) == (8, 'plumb_bob')
            continue
        assert (message.k.tolist(), message.d.tolist()) == (list(range(9)), list(range(8)))
        assert message.r.tolist() == list(range(10, 19))
        assert message.p.tolist() == list(range(20, 32))
        assert (message.distortion_model, message.binning_x) == ('rational_polynomial', 2)
        assert (message.roi.x_offset, message.roi.do_rectify) == (1, True)


def test_calibration_of_another_size_is_not_taken(tmp_path):
    write_camera(tmp_path / 'in', '/front/image_raw', '/front/camera_info', size=(12, 16))
    make_bag(f'bag:{tmp_path}/in', tmp_path / 'out')
    found, _ = read(tmp_path / 'out')
    assert {(item.height, item.width, item.k[0])
            for _, item in found['/camera/camera_info']} == {(6, 8, 8)}


def test_stamps_that_go_back_are_refused_but_with_a_rate(tmp_path):
    write_camera(tmp_path / 'in', '/a/image', '/a/camera_info',
                 (FIRST, FIRST + 2 * 10**8, FIRST + 10**8))
    with pytest.raises(ConfigError, match='the stamp of frame 3 lies 0.1 s before that of the '
                                          'frame before it: give a --rate'):
        make_bag(f'bag:{tmp_path}/in', tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['in']
    assert make_bag(f'bag:{tmp_path}/in', tmp_path / 'out', rate_hz=2) == 3
    assert bag_info(tmp_path / 'out')['duration_s'] == 1


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_metadata_and_latching(tmp_path, source, storage):
    make_bag('made:', tmp_path / 'out', storage=storage)
    text = (tmp_path / 'out' / 'metadata.yaml').read_text()
    facts = yaml.safe_load(text)['rosbag2_bagfile_information']
    assert (facts['version'], facts['storage_identifier']) == (8, storage)
    assert facts['message_count'] == 12
    assert facts['duration'] == {'nanoseconds': STAMPS[-1]}
    assert facts['starting_time'] == {'nanoseconds_since_epoch': 10**9}
    assert [(tmp_path / 'out' / name).is_file() for name in facts['relative_file_paths']] == [True]
    durability = {}
    for topic in facts['topics_with_message_count']:
        (qos,) = yaml.safe_load(topic['topic_metadata']['offered_qos_profiles'])
        durability[topic['topic_metadata']['name']] = qos['durability']
        assert qos['reliability'] == 1
    transient_local, volatile = 1, 2        # of rmw
    assert durability == {'/camera/image': volatile, '/camera/camera_info': volatile,
                          '/camera/label_image': volatile, '/camera/label_space': transient_local}


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_back_through_the_bag_source(tmp_path, source, storage):
    make_bag('made:', tmp_path / 'out', storage=storage)
    again = open_source(f'bag:{tmp_path / "out"}')
    assert (len(again), again.label_space.name) == (4, 'camvid')
    for frame, wanted in zip(again, source, strict=True):
        np.testing.assert_array_equal(frame.image, wanted.image)
        assert frame.stamp_ns == wanted.stamp_ns - FIRST + 10**9
        assert frame.frame_id == wanted.frame_id
        if wanted.truth is None:
            assert frame.truth is None
        else:
            np.testing.assert_array_equal(frame.truth, wanted.truth)


def test_a_rate_sets_the_stamps(tmp_path, source):
    make_bag('made:', tmp_path / 'out', rate_hz=30)
    found, _ = read(tmp_path / 'out')
    assert [time_ns for time_ns, _ in found['/camera/image']] == [
        1_000_000_000, 1_033_333_333, 1_066_666_667, 1_100_000_000]
    assert open_source(f'bag:{tmp_path / "out"}').rate_hz == pytest.approx(30)


def test_without_truth_there_are_no_label_topics(tmp_path, source):
    source.label_space = None
    make_bag('made:', tmp_path / 'out')
    found, _ = read(tmp_path / 'out')
    assert sorted(found) == ['/camera/camera_info', '/camera/image']


def test_synthetic_drive(tmp_path):
    assert make_bag('synthetic:3:2', tmp_path / 'out') == 2
    frames = open_source(f'bag:{tmp_path / "out"}')
    for frame, wanted in zip(frames, open_source('synthetic:3:2'), strict=True):
        np.testing.assert_array_equal(frame.image, wanted.image)
        np.testing.assert_array_equal(frame.truth, wanted.truth)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError('disk full')])
def test_interrupted_writing_leaves_nothing(tmp_path, source, storage, error):
    source.error = error
    with pytest.raises((KeyboardInterrupt, OSError)):
        make_bag('made:', tmp_path / 'out', storage=storage)
    assert list(tmp_path.iterdir()) == []


def test_no_overwriting_but_by_force(tmp_path, source):
    out = tmp_path / 'out'
    make_bag('made:', out)
    before = (out / 'metadata.yaml').read_text()
    with pytest.raises(ConfigError, match='out is there already: name another folder, or'):
        make_bag('made:', out, rate_hz=2)
    assert (out / 'metadata.yaml').read_text() == before
    source.error = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        make_bag('made:', out, force=True)
    assert (out / 'metadata.yaml').read_text() == before
    source.error = None
    make_bag('made:', out, rate_hz=2, storage='sqlite3', force=True)
    assert bag_info(out)['duration_s'] == 1.5
    assert sorted(path.name for path in out.iterdir()) == ['metadata.yaml', 'out.db3']


def test_force_never_replaces_what_is_no_bag(tmp_path, source):
    out = tmp_path / 'home'
    out.mkdir()
    (out / 'thesis.tex').touch()
    with pytest.raises(ConfigError, match='is no bag, so it is not replaced'):
        make_bag('made:', out, force=True)
    assert (out / 'thesis.tex').exists()


@pytest.mark.parametrize('arguments, message', [
    ({'storage': 'rosbag'}, "no storage is called 'rosbag': take one of mcap, sqlite3"),
    ({'rate_hz': 0}, 'the rate is 0 Hz'),
    ({'rate_hz': -1.5}, 'the rate is -1.5 Hz'),
    ({'rate_hz': float('nan')}, 'the rate is nan Hz'),
    ({'source_text': 'nonsense'}, "'nonsense' is not a source"),
])
def test_wrong_arguments(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        make_bag(**{'source_text': 'images:x', 'out': tmp_path / 'out', **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_info(tmp_path, source, storage):
    out = tmp_path / 'out'
    make_bag('made:', out, storage=storage)
    info = bag_info(out)
    size = sum(path.stat().st_size for path in out.iterdir())
    assert info == {
        'path': str(out), 'storage': storage, 'bytes': size, 'messages': 12, 'start_ns': 10**9,
        'duration_s': 0.25, 'damage': [], 'topics': [
            {'name': '/camera/camera_info', 'type': 'sensor_msgs/msg/CameraInfo', 'count': 4},
            {'name': '/camera/image', 'type': 'sensor_msgs/msg/Image', 'count': 4},
            {'name': '/camera/label_image', 'type': 'sensor_msgs/msg/Image', 'count': 3},
            {'name': '/camera/label_space', 'type': 'std_msgs/msg/String', 'count': 1}]}
    text = format_bag_info(info)
    assert '  /camera/label_image       3  sensor_msgs/msg/Image\n' in text
    assert f'storage:  {storage}\n' in text and 'duration: 0.250 s\n' in text
    assert 'damaged' not in text


def test_info_of_a_cut_file(tmp_path, source):
    make_bag('made:', tmp_path / 'out')
    file = tmp_path / 'out' / 'out.mcap'
    file.write_bytes(file.read_bytes()[:-40])
    info = bag_info(file)
    assert (info['bytes'], len(info['damage'])) == (file.stat().st_size, 1)
    assert format_bag_info(info).endswith('\ndamaged:  File end magic is invalid')


def test_database_is_sound(tmp_path, source):
    make_bag('made:', tmp_path / 'out', storage='sqlite3')
    with sqlite3.connect(tmp_path / 'out' / 'out.db3') as database:
        assert database.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        assert database.execute('SELECT count(*) FROM messages').fetchone() == (12,)


def test_same_bytes_as_rclpy(tmp_path, source):
    """Deserialise with the real ROS what rosbags wrote."""
    reason = 'needs rclpy and sensor_msgs'
    serialization = pytest.importorskip('rclpy.serialization', reason=reason)
    image_type = pytest.importorskip('sensor_msgs.msg', reason=reason).Image
    make_bag('made:', tmp_path / 'out')
    with Reader(tmp_path / 'out') as reader:
        image_connection = [item for item in reader.connections if item.topic == '/camera/image']
        raws = [raw for _, _, raw in reader.messages(image_connection)]
    for raw, frame in zip(raws, source, strict=True):
        message = serialization.deserialize_message(bytes(raw), image_type)
        assert bytes(message.data) == frame.image.tobytes()
        assert message.header.frame_id == frame.frame_id
