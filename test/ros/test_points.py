"""Labelled points: their place against projecting them back, and when they come."""
from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture, pixels
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from frm_seg_ros.ros.points import HELD, cloud_message

MakeRig = Callable[..., Rig]
SIZE = (48, 64)


def calibration() -> CameraInfo:
    return CameraInfo(height=48, width=64, k=[50.0, 0.0, 30.0, 0.0, 55.0, 20.0, 0.0, 0.0, 1.0],
                      p=[52.0, 0.0, 31.0, 0.0, 0.0, 53.0, 21.0, 0.0, 0.0, 0.0, 1.0, 0.0])


def points_of(message: PointCloud2) -> np.ndarray:
    """Read an organised cloud by what its fields say: (H, W) of x, y, z, label."""
    kinds = {PointField.FLOAT32: '<f4', PointField.UINT8: 'u1'}
    dtype = np.dtype({'names': [one.name for one in message.fields],
                      'formats': [kinds[one.datatype] for one in message.fields],
                      'offsets': [one.offset for one in message.fields],
                      'itemsize': message.point_step})
    assert message.row_step == message.width * message.point_step
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def depth_message(millimetres: np.ndarray, header: Header) -> Image:
    return Image(header=header, height=millimetres.shape[0], width=millimetres.shape[1],
                 encoding='16UC1', step=2 * millimetres.shape[1],
                 data=array.array('B', millimetres.astype('<u2').tobytes()))


@pytest.mark.parametrize('matrix', ['p', 'k'])
def test_points_project_onto_their_pixels(matrix: str) -> None:
    info = calibration()
    if matrix == 'k':
        info.p = [0.0] * 12
    rng = np.random.default_rng(0)
    metres = rng.uniform(0.3, 8, SIZE).astype(np.float32)
    metres[rng.random(SIZE) < 0.2] = np.nan
    labels = rng.integers(0, 256, SIZE, np.uint8)
    points = points_of(cloud_message(Header(), metres, labels, info))
    camera = np.reshape(info.p if matrix == 'p' else info.k, (3, -1))[:, :3]
    places = np.stack([points[name] for name in 'xyz'], -1).astype(float) @ camera.T
    columns, rows = np.meshgrid(np.arange(64), np.arange(48))
    there = ~np.isnan(metres)
    # float32 coordinates times focal lengths of 50: a millionth of some 64 pixels.
    np.testing.assert_allclose((places[..., 0] / places[..., 2])[there], columns[there], atol=1e-4)
    np.testing.assert_allclose((places[..., 1] / places[..., 2])[there], rows[there], atol=1e-4)
    np.testing.assert_array_equal(points['z'], metres)
    np.testing.assert_array_equal(points['label'], labels)
    assert np.isnan(points['x'][~there]).all() and np.isnan(points['y'][~there]).all()


def test_the_node_labels_the_points_of_the_same_stamp(make_rig: MakeRig) -> None:
    rig = make_rig(output_size='24x32', id_offset=5)
    source = rig.peer.create_publisher(CameraInfo, 'camera_info', 10)
    depths = rig.peer.create_publisher(Image, 'depth', 100)
    rig.wait(source.get_subscription_count, 'the node to listen')
    assert not depths.get_subscription_count()
    found = rig.listen('points', PointCloud2)
    rig.wait(depths.get_subscription_count, 'the node to want depth images')
    labels, infos = rig.listen('label_image'), rig.listen('camera_info', CameraInfo)
    source.publish(calibration())
    rng = np.random.default_rng(1)
    count = 0
    while not infos:   # the calibration was heard
        count += 1
        assert count < 200
        rig.send(rig.message(picture()))
        rig.wait_messages(labels, count)
    assert not found   # without depth there are labels alone
    for number in range(1, 4):
        millimetres = rng.integers(0, 3, SIZE) * rng.integers(300, 9000, SIZE)
        message = rig.message(picture(number))
        depths.publish(depth_message(millimetres, message.header))
        rig.wait(lambda: (message.header.stamp.sec, message.header.stamp.nanosec)   # noqa: B023
                 in rig.node._cameras['']._outlet.points._held, 'the depth image')
        rig.send(message)
        rig.wait_messages(found, number)
        rig.wait_messages(labels, count + number)
        points = points_of(found[-1])
        assert found[-1].header == message.header == labels[-1].header
        assert (found[-1].height, found[-1].width) == (24, 32)   # as the label image
        np.testing.assert_array_equal(points['label'], pixels(labels[-1]))
        near = millimetres[1::2, 1::2]   # the nearest of half the size: floor(2 x + 1)
        np.testing.assert_allclose(points['z'], np.where(near > 0, near / 1000, np.nan), rtol=1e-6)
        v, u = 11, int(np.flatnonzero(near[11])[0])
        info = infos[-1]
        assert points['x'][v, u] == pytest.approx(
            (u - info.p[2]) * near[v, u] / 1000 / info.p[0], abs=1e-5)


def test_depth_is_listened_to_only_while_wanted(make_rig: MakeRig) -> None:
    rig = make_rig(cameras=['front'])
    depths = rig.peer.create_publisher(Image, 'front/depth', 100)
    rig.listen('front/points', PointCloud2)
    rig.wait(depths.get_subscription_count, 'the node to want depth images')
    held = rig.node._cameras['front']._outlet.points._held
    for number in range(20):
        header = Header()
        header.stamp.sec = number
        depths.publish(depth_message(np.ones(SIZE, int), header))
        rig.wait(lambda: (number, 0) in held, 'the depth image')   # noqa: B023
    assert len(held) == HELD   # no queue grows
    (listener,) = [one for one in rig.peer.subscriptions if one.topic_name.endswith('points')]
    rig.peer.destroy_subscription(listener)
    rig.wait(lambda: not depths.get_subscription_count(), 'the end of it')
    assert not held


def test_bad_depth_is_told_once_and_labels_go_on(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig()
    source = rig.peer.create_publisher(CameraInfo, 'camera_info', 10)
    depths = rig.peer.create_publisher(Image, 'depth', 100)
    found, infos = rig.listen('points', PointCloud2), rig.listen('camera_info', CameraInfo)
    rig.wait(lambda: depths.get_subscription_count() and source.get_subscription_count(), 'both')
    points: Any = rig.node._cameras['']._outlet.points
    source.publish(calibration())
    rig.wait(lambda: rig.send(rig.message(picture())) or infos, 'the calibration to be heard')
    rig.wait_received(rig.stamps)   # all that were sent: none comes late
    before = rig.counts()['processed']
    for number in (1, 2):
        message = rig.message(picture())
        depth = depth_message(np.ones(SIZE, int), message.header)
        depth.data = depth.data[:-1]
        depths.publish(depth)
        rig.wait(lambda: points._held, 'the depth image')
        rig.send(message)
        rig.wait(lambda: rig.counts()['processed'] == before + number, 'labels')   # noqa: B023
    assert capfd.readouterr().err.count('has 6143 bytes') == 1 and not found


