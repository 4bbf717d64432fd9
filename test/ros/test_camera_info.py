"""The scaled calibration, against projecting points and resizing pictures."""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from frm_seg_ros.ros.camera_info import scaled, seen_size

MakeRig = Callable[..., Rig]


def calibration(height: int = 480, width: int = 640, **more: object) -> CameraInfo:
    return CameraInfo(
        height=height, width=width, distortion_model='plumb_bob', d=[0.1, -0.2, 0.001, 0.002, 0.0],
        k=[500.0, 1.5, 310.0, 0.0, 510.0, 235.0, 0.0, 0.0, 1.0],
        r=[0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        p=[480.0, 0.0, 305.0, -60.0, 0.0, 490.0, 231.0, 3.0, 0.0, 0.0, 1.0, 0.0], **more)


def project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Project (N, 3 or 4) points to (N, 2) pixels."""
    pixels = points @ matrix.T
    return pixels[:, :2] / pixels[:, 2:]


@pytest.mark.parametrize('size', [(480, 640), (240, 320), (97, 333), (960, 1280)])
@pytest.mark.parametrize('roi, binning', [
    ((0, 0, 0, 0), (0, 0)), ((0, 0, 0, 0), (2, 4)), ((100, 40, 300, 200), (1, 1)),
    ((101, 41, 301, 203), (2, 2))])
def test_points_fall_on_the_same_place_of_the_picture(
        size: tuple[int, int], roi: tuple[int, ...], binning: tuple[int, int]) -> None:
    left, top, columns, rows = roi
    info = calibration(binning_x=binning[0], binning_y=binning[1], roi=RegionOfInterest(
        x_offset=left, y_offset=top, width=columns, height=rows, do_rectify=bool(rows)))
    bins = np.maximum(binning, 1)
    seen = seen_size(info)
    assert seen == ((rows or 480) // bins[1], (columns or 640) // bins[0])
    found = scaled(info, size, Header(frame_id='camera'))
    points = np.random.default_rng(0).uniform((-1, -1, 2, 1), (1, 1, 5, 1), (50, 4))
    points[:, 3] = 1
    for name, shape in (('k', (3, 3)), ('p', (3, 4))):
        whole = project(np.reshape(getattr(info, name), shape), points[:, :shape[1]])
        # Edges of pixels, from the corner of what is seen: what scales.
        edges = (whole + 0.5 - (left, top)) / bins
        wanted = edges * (size[1] / seen[1], size[0] / seen[0]) - 0.5
        again = project(np.reshape(getattr(found, name), shape), points[:, :shape[1]])
        np.testing.assert_allclose(again, wanted, atol=1e-9)
    assert (found.height, found.width) == size and seen_size(found) == size
    assert found.roi == RegionOfInterest() and (found.binning_x, found.binning_y) == (0, 0)
    assert (found.d, list(found.r), found.distortion_model) == (
        info.d, list(info.r), info.distortion_model)


def test_the_formula_is_what_opencv_does_to_a_picture() -> None:
    # A smooth spot, shrunk by OpenCV: its centre moves as the principal point does.
    rows, columns = np.mgrid[:480, :640]
    info = calibration()
    spot = np.exp(-((columns - info.k[2]) ** 2 + (rows - info.k[5]) ** 2) / (2 * 20.0 ** 2))
    for size in ((240, 320), (160, 128)):
        small = cv2.resize(spot, size[::-1], interpolation=cv2.INTER_AREA)
        rows, columns = np.mgrid[:size[0], :size[1]]
        centre = (small * columns).sum() / small.sum(), (small * rows).sum() / small.sum()
        found = scaled(info, size, Header())
        # The tails of the spot beyond the border: well below a hundredth of a pixel.
        np.testing.assert_allclose(centre, (found.k[2], found.k[5]), atol=0.01)


def test_the_same_size_changes_nothing_and_the_uncalibrated_stay_so() -> None:
    info = calibration()
    again = scaled(info, (480, 640), info.header)
    assert again == info
    blank = CameraInfo(height=480, width=640)
    found = scaled(blank, (240, 320), Header())
    assert not any(found.k) and not any(found.p) and (found.height, found.width) == (240, 320)


def test_the_node_scales_it_and_gives_it_the_header_of_the_frame(make_rig: MakeRig) -> None:
    rig = make_rig(cameras=['front'], output_size='24x32')
    source = rig.peer.create_publisher(CameraInfo, 'front/camera_info', 10)
    found = rig.listen('front/camera_info', CameraInfo)
    labels = rig.listen('front/label_image')
    rig.wait(source.get_subscription_count, 'the node to listen')
    rig.send(rig.message(picture()), camera='front')   # before any calibration
    rig.wait_messages(labels, 1)
    info = calibration(48, 64)
    info.header.frame_id = 'elsewhere'
    (subscription,) = [one for one in rig.node.subscriptions
                       if one.topic_name == '/front/camera_info']
    heard: list[CameraInfo] = []
    real = subscription.callback
    subscription.callback = lambda message: (real(message), heard.append(message))
    source.publish(info)
    rig.wait(lambda: heard, 'the calibration to be heard')
    message = rig.message(picture())
    rig.send(message, camera='front')
    rig.wait_messages(labels, 2)
    rig.wait_messages(found, 1)
    assert found[0] == scaled(info, (24, 32), message.header)
    assert found[0].header == labels[1].header == message.header


def test_a_calibration_of_another_size_is_told_of_once_and_not_used(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig()
    source = rig.peer.create_publisher(CameraInfo, 'camera_info', 10)
    found, labels = rig.listen('camera_info', CameraInfo), rig.listen('label_image')
    rig.wait(source.get_subscription_count, 'the node to listen')
    source.publish(calibration())
    told, count = '', 0
    while 'camera_info is of images of 480x640' not in told:
        count += 1
        assert count < 100
        rig.send(rig.message(picture()))
        rig.wait_messages(labels, count)
        told += capfd.readouterr().err
    rig.send(rig.message(picture()))
    rig.wait_messages(labels, count + 1)
    assert (told + capfd.readouterr().err).count('480x640') == 1 and not found
