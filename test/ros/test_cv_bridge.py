"""Encodings that we do not convert, with cv_bridges that work, lie and crash."""
from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture, pixels
from sensor_msgs.msg import Image

from frm_seg_ros.core.encodings import ENCODINGS, fill_image, to_rgb
from frm_seg_ros.core.errors import FrameError
from frm_seg_ros.ros import cv_bridge_probe

# A small cv_bridge that does what the probe asks and rgb16, as the real one does.
WORKING = """
import numpy as np
KINDS = {'bgr8': (np.uint8, 3), '16UC1': (np.uint16, 1), 'mono16': (np.uint16, 1),
         'rgb16': (np.uint16, 3)}
class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        kind, channels = KINDS[message.encoding]
        width = np.dtype(kind).itemsize * channels * message.width
        rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        image = np.ascontiguousarray(rows[:, :width]).view(kind)
        image = image.reshape(message.height, message.width, channels).squeeze()
        if message.encoding == 'bgr8':
            image = image[..., ::-1]
        return (image // 257).astype(np.uint8) if desired_encoding == 'rgb8' and \\
            kind is np.uint16 else image
"""
BROKEN = {
    'missing': None,
    'raises': 'raise ImportError("built for another NumPy")',
    'crashes': 'import os; os.kill(os.getpid(), 11)',
    'ignores padding': WORKING.replace('rows[:, :width]', 'rows.reshape(-1)[:message.height * '
                                       'width].reshape(message.height, -1)'),
    'takes 16UC1 for uint8': WORKING.replace(
        'image = image.reshape(', "image = image.astype(np.uint8 if message.encoding == '16UC1' "
        'else kind).reshape('),
    'swaps colours': WORKING.replace("== 'bgr8'", "== 'rgb8'"),
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Install the source of a cv_bridge for one test."""
    monkeypatch.setattr(cv_bridge_probe, 'usable', cv_bridge_probe.usable.__wrapped__)

    def write(source: str | None) -> None:
        if source is None:
            source = 'raise ModuleNotFoundError("cv_bridge")'
        (tmp_path / 'cv_bridge.py').write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)

    yield write


def deep_message() -> tuple[Image, np.ndarray]:
    """Make an rgb16 message with padded rows, and the 8-bit picture it shows."""
    image = picture(3, (16, 24))
    message = Image()
    rows = np.pad((image.astype(np.uint16) * 257).view(np.uint8).reshape(16, -1), ((0, 0), (0, 4)))
    fill_image(message, rows, 'mono8')
    message.width, message.encoding = 24, 'rgb16'
    return message, image


def test_a_working_one_is_used(install: Callable[[str], None]) -> None:
    install(WORKING)
    assert 'rgb16' not in ENCODINGS
    message, image = deep_message()
    np.testing.assert_array_equal(cv_bridge_probe.image_to_rgb(message), image)


@pytest.mark.parametrize('fault', BROKEN)
def test_a_broken_one_is_not_used(install: Callable[[str], None], fault: str) -> None:
    install(BROKEN[fault])
    assert not cv_bridge_probe.usable()
    with pytest.raises(FrameError, match="'rgb16'.*bgr8") as caught:
        cv_bridge_probe.image_to_rgb(deep_message()[0])
    assert caught.value.reason == 'bad_encoding'


def test_what_even_cv_bridge_does_not_know_is_a_bad_frame(
        install: Callable[[str], None]) -> None:
    install(WORKING)
    message, _ = deep_message()
    message.encoding = '64FC7'
    with pytest.raises(FrameError, match="'64FC7'.*nor does cv_bridge") as caught:
        cv_bridge_probe.image_to_rgb(message)
    assert caught.value.reason == 'bad_encoding'


def test_malformed_messages_never_reach_it(install: Callable[[str], None],
                                           tmp_path: Path) -> None:
    install(f'open({str(tmp_path / "asked")!r}, "w")')
    message, _ = deep_message()
    message.encoding, message.step = 'rgb8', 1
    with pytest.raises(FrameError, match='step'):
        cv_bridge_probe.image_to_rgb(message)
    assert not (tmp_path / 'asked').exists()


def test_the_probe_asks_once(install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch,
                             tmp_path: Path) -> None:
    install(f'open({str(tmp_path / "asked")!r}, "a").write("x")\n{WORKING}')
    monkeypatch.setattr(cv_bridge_probe, 'usable', lru_cache(cv_bridge_probe.usable))
    for _ in range(3):
        assert cv_bridge_probe.usable()
    assert (tmp_path / 'asked').read_text() == 'x'


def test_the_node_lives_on_beside_one_that_crashes(
        install: Callable[[str], None], make_rig: Callable[..., Rig]) -> None:
    install(f'import os\nos.kill(os.getpid(), {int(signal.SIGSEGV)})')
    rig = make_rig()
    found = rig.listen('label_image')
    rig.send(rig.stamped(deep_message()[0]))
    rig.wait_counts(bad_encoding=1)
    rig.send(rig.message(picture()))
    rig.wait_counts(bad_encoding=1, processed=1)
    rig.wait_messages(found, 1)
    assert pixels(found[0]).shape == (48, 64)


def test_ours_equal_those_of_a_real_cv_bridge() -> None:
    if not cv_bridge_probe.usable():
        pytest.skip('no working cv_bridge is installed')
    from cv_bridge import CvBridge
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 4), np.uint8)
    for encoding, channels in (('rgb8', 3), ('bgr8', 3), ('rgba8', 4), ('bgra8', 4), ('mono8', 1),
                               ('mono16', 2), ('yuv422', 2), ('yuv422_yuy2', 2)):
        message = Image()
        fill_image(message, image[..., :channels].reshape(16, -1), 'mono8')
        message.width, message.encoding = 24, encoding
        theirs = CvBridge().imgmsg_to_cv2(message, 'rgb8').astype(int)
        # Rounding of 16 bits to 8 may differ.
        assert np.abs(to_rgb(message) - theirs).max() <= (encoding == 'mono16'), encoding
