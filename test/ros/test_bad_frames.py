"""Bad frames are dropped, counted by reason and logged; the next good frame is processed."""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture
from sensor_msgs.msg import CompressedImage, Image

MakeRig = Callable[..., Rig]


def truncated(message: Image) -> None:
    message.data = message.data[:-7]


def empty(message: Image) -> None:
    message.data = type(message.data)('B')


def zero_height(message: Image) -> None:
    message.height = 0
    empty(message)


def zero_width(message: Image) -> None:
    message.width = message.step = 0
    empty(message)


def small_step(message: Image) -> None:
    message.step = 3


def huge(message: Image) -> None:
    message.height = message.width = message.step = 2**32 - 1


def unknown(message: Image) -> None:
    message.encoding = '64FC7'


BAD = {truncated: 'bad_data', empty: 'bad_data', zero_height: 'bad_size', zero_width: 'bad_size',
       small_step: 'bad_step', huge: 'bad_size', unknown: 'bad_encoding'}


@pytest.mark.parametrize('spoil', BAD, ids=lambda spoil: spoil.__name__)
def test_bad_image(make_rig: MakeRig, capfd: pytest.CaptureFixture[str],
                   spoil: Callable[[Image], None]) -> None:
    reason = BAD[spoil]
    rig = make_rig()
    found = rig.listen('label_image')
    for count in (1, 2):
        message = rig.message(picture())
        spoil(message)
        rig.send(message)
        rig.wait_received(count)
    good = rig.message(picture())
    rig.send(good)
    rig.wait_counts(processed=1, **{reason: 2})
    rig.wait_messages(found, 1)
    assert [one.header for one in found] == [good.header]
    lines = [line for line in capfd.readouterr().err.splitlines() if 'dropped' in line]
    assert len(lines) == 1 and reason in lines[0]   # the second came within 5 s
    if spoil is unknown:
        assert '64FC7' in lines[0] and 'bgr8' in lines[0]


def test_bad_compressed_image(make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(transport='compressed')
    rig.listen('label_image')
    jpeg = cv2.imencode('.jpg', picture(0, (96, 128)))[1].tobytes()
    assert len(jpeg) > 1000
    bad = (jpeg[:300], b'', b'\xff\xd8\xff' + b'x' * 500, b'GIF89a')
    for count, data in enumerate((*bad, jpeg), 1):
        rig.send(rig.stamped(CompressedImage(format='jpeg', data=data)))
        rig.wait_received(count)
    rig.wait_counts(processed=1, bad_compressed=4)
    lines = [line for line in capfd.readouterr().err.splitlines() if 'dropped' in line]
    assert len(lines) == 1 and 'JPEG' in lines[0]


def test_reasons_are_logged_apart(make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(**{'qos_overrides./image.subscription.depth': 100})
    rig.listen('label_image')
    for count, spoil in enumerate((truncated, unknown, truncated, small_step), 1):
        message = rig.message(np.zeros((8, 8, 3), np.uint8))
        spoil(message)
        rig.send(message)
        rig.wait_received(count)
    rig.wait_counts(bad_data=2, bad_encoding=1, bad_step=1)
    lines = [line for line in capfd.readouterr().err.splitlines() if 'dropped' in line]
    assert [line.split('(')[1].split(')')[0] for line in lines] == [
        'bad_data', 'bad_encoding', 'bad_step']
