"""What cameras, drivers and clocks do: formats, ages, publishers that come and go."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import Rig, picture, pixels
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
# What the format field holds: of drivers that write only the codec, of image_transport's plugin
# ("ENCODING; jpeg compressed TARGET", see compressed_image_transport), and of neither.
JPEG_FORMATS = ('jpeg', 'jpg', 'JPEG', 'rgb8; jpeg compressed bgr8', 'bgr8; jpeg compressed bgr8',
                'bayer_rggb8; jpeg compressed bgr8', 'mono8; jpeg compressed ',
                'rgb8;jpeg compressed', 'image/jpeg', 'png', '')
PNG_FORMATS = ('png', 'PNG', 'bgr8; png compressed bgr8', 'rgb8; png compressed ', 'jpeg')


def encoded(kind: str) -> tuple[bytes, np.ndarray]:
    """Encode a picture; give the file and the (H, W, 3) RGB that it holds."""
    image = picture(5, (96, 128))
    if kind == 'jpeg':
        data = cv2.imencode('.jpg', image[..., ::-1])[1]
        return data.tobytes(), cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shown, wanted = {
        'png': (image[..., ::-1], image),
        'alpha': (np.dstack([image[..., ::-1], np.full(grey.shape, 9, np.uint8)]), image),
        'grey': (grey, np.dstack([grey] * 3)),
        'deep': (grey.astype(np.uint16) * 256, np.dstack([grey] * 3))}[kind]
    return cv2.imencode('.png', shown)[1].tobytes(), wanted


@pytest.mark.parametrize('kind, formats', [
    ('jpeg', JPEG_FORMATS), ('png', PNG_FORMATS), ('alpha', ('bgra8; png compressed ',)),
    ('grey', ('mono8; png compressed ',)), ('deep', ('16UC1; png compressed ', 'mono16; png'))])
def test_compressed_images_whatever_their_format_says(
        make_rig: MakeRig, model: Any, kind: str, formats: tuple[str, ...]) -> None:
    rig = make_rig(transport='compressed')
    found = rig.listen('label_image')
    data, image = encoded(kind)
    (wanted,) = Segmenter.open(model, 'onnxruntime')([np.ascontiguousarray(image)])
    for count, name in enumerate(formats, 1):
        rig.send(rig.stamped(CompressedImage(format=name, data=data)))
        rig.wait_messages(found, count)
        np.testing.assert_array_equal(pixels(found[-1]), wanted.labels, err_msg=name)


def test_a_compressed_depth_image_is_no_camera_image(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(transport='compressed')
    rig.listen('label_image')
    data = bytes(12) + encoded('deep')[0]   # its header of two parameters, then the PNG
    rig.send(rig.stamped(CompressedImage(format='16UC1; compressedDepth png', data=data)))
    rig.wait_counts(bad_compressed=1)
    assert "'16UC1; compressedDepth png'" in capfd.readouterr().err


def test_age_follows_the_simulated_clock_wherever_it_jumps(make_rig: MakeRig) -> None:
    rig = make_rig(use_sim_time=True, max_age_ms=1000.0)
    rig.listen('label_image')
    clock = rig.peer.create_publisher(Clock, '/clock', 1)
    counts = {'processed': 0, 'too_old': 0}

    def send(stamp_s: int, reason: str) -> None:
        message = rig.message(picture())
        message.header.stamp.sec, message.header.stamp.nanosec = stamp_s, 0
        rig.send(message)
        counts[reason] += 1
        rig.wait_counts(**{name: count for name, count in counts.items() if count})

    def tick(now_s: int) -> None:
        rig.wait(lambda: clock.publish(Clock(clock=_time(now_s))) or
                 rig.node.get_clock().now().nanoseconds == now_s * 10**9, 'the clock to be heard')

    send(50, 'processed')        # nobody said what time it is
    tick(100)
    send(100, 'processed')
    send(98, 'too_old')
    tick(500)                    # forward: what was new is old
    send(100, 'too_old')
    send(500, 'processed')
    tick(20)                     # back, as when a bag starts over
    send(500, 'processed')       # a leftover from before, in the future now
    send(20, 'processed')
    send(18, 'too_old')


def _time(seconds: int) -> Any:
    return Clock().clock.__class__(sec=seconds)


def test_stamps_from_the_future_are_not_old(make_rig: MakeRig) -> None:
    rig = make_rig(max_age_ms=1.0)
    rig.listen('label_image')
    message = rig.message(picture())
    message.header.stamp.sec = 2**31 - 1
    rig.send(message)
    rig.wait_counts(processed=1)
    rig.wait(lambda: any(one.has_frame for one in rig.stats), 'the statistics')
    assert next(one for one in rig.stats if one.has_frame).age_ms < -1e9


def receives(rig: Rig, camera: Any, found: list[Image]) -> bool:
    """Tell whether a frame of a publisher comes out labelled; sends one more at every call."""
    message = rig.message(picture())
    message.header.frame_id = 'this very publisher'
    camera.publish(message)
    return any(one.header.frame_id == 'this very publisher' for one in found)


@pytest.mark.parametrize('durability', ['VOLATILE', 'TRANSIENT_LOCAL'])
@pytest.mark.parametrize('reliability', [RELIABLE, BEST_EFFORT])
def test_a_late_publisher_of_any_quality_is_heard(
        make_rig: MakeRig, reliability: ReliabilityPolicy, durability: str) -> None:
    rig = make_rig(qos='auto', sender=None)
    found = rig.listen('label_image')
    camera = rig.peer.create_publisher(Image, 'image', QoSProfile(
        depth=5, reliability=reliability, durability=DurabilityPolicy[durability]))
    rig.wait(lambda: receives(rig, camera, found), 'a label image')


def test_a_camera_that_vanishes_and_returns_with_another_quality_is_heard(
        make_rig: MakeRig) -> None:
    rig = make_rig(qos='auto', sender=None)
    found = rig.listen('label_image')
    for reliability in (RELIABLE, BEST_EFFORT, RELIABLE):
        camera = rig.peer.create_publisher(Image, 'image', QoSProfile(
            depth=5, reliability=reliability))
        found.clear()
        rig.wait(partial(receives, rig, camera, found), f'labels of a {reliability.name} one')
        rig.peer.destroy_publisher(camera)
        rig.wait(lambda: not rig.peer.get_publishers_info_by_topic('image'), 'its end')
