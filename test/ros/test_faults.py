"""Faults, and what becomes of the node: it lives, its counts are true, the next labels are right.

The docstring of a test names its fault in docs/reliability.md, which `make reliability` writes.
"""
from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rclpy.qos import QoSProfile
from rig import Rig, picture, pixels
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from test_process import BROKEN, HANG, MAIN, options, read_until, running

from frm_seg_ros.core.disk_cache import DiskCache
from frm_seg_ros.core.encodings import fill_image
from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]
Tell = Callable[..., None]
ROOT = Path(__file__).resolve().parents[2]
PUBLISHER = """
import array, time, numpy as np, rclpy
from sensor_msgs.msg import Image
rclpy.init(args=[])
node = rclpy.create_node('camera')
sender = node.create_publisher(Image, 'image', 5)
while True:
    sender.publish(Image(height=480, width=640, step=1920, encoding='rgb8',
                         data=array.array('B', bytes(480 * 1920))))
    time.sleep(0.01)
"""
WRITER = """
import os, sys, time
from frm_seg_ros.core.disk_cache import DiskCache
real = os.replace
def wait(*_):
    print('writing', flush=True)
    time.sleep(1000)
os.replace = wait
DiskCache('openvino').write('facts', b'x' * 1000000)
"""


def offline(model: Path, image: np.ndarray, backend: str = 'onnxruntime') -> np.ndarray:
    """Label without the node."""
    segmenter = Segmenter.open(model, backend)
    (prediction,) = segmenter([image])
    segmenter.close()
    return prediction.labels


class Survivor:
    """Holds a node to what a fault has to leave it.

    Attributes:
        labels: all label images that came.
    """

    def __init__(self, rig: Rig, model: Path, tell: Tell) -> None:
        self.rig = rig
        self._model = model
        self._tell = tell
        self.labels = rig.listen('label_image')

    def good(self, sender: Any = None, backend: str = 'onnxruntime') -> None:
        """Send good frames until one is labelled; hold its labels to those made offline."""
        image = picture(99, (96, 128))
        message = self.rig.message(image)
        message.header.frame_id = 'good'

        def came() -> list[Image]:
            (self.rig.send if sender is None else sender.publish)(message)
            time.sleep(0.02)
            return [one for one in self.labels if one.header.frame_id == 'good']

        self.rig.wait(came, 'the labels of a good frame')
        np.testing.assert_array_equal(pixels(came()[0]), offline(self._model, image, backend))

    def survived(self, outcome: str = '', sender: Any = None,
                 backend: str = 'onnxruntime') -> dict[str, int]:
        """See that all is well; keep the outcome; give the counts."""
        self.good(sender, backend)
        rig = self.rig
        # Statistics follow their labels: older ones would not count what came since.
        rig.wait(lambda: rig.counts().get('processed', 0) >= len(self.labels)
                 and not rig.counts()['pending'], 'the end of the frames')
        assert rig.state() == 'active' and not rig.wrong_stats
        counts = {name: count for name, count in rig.counts().items() if count}
        said = ', '.join(f'{count} {name}' for name, count in counts.items())
        self._tell(outcome='; '.join(filter(None, [
            outcome, 'node alive', said, 'next labels right'])))
        return counts


@pytest.fixture
def survivor(model: Path, make_rig: MakeRig, tell: Tell) -> Callable[..., Survivor]:
    return lambda **options: Survivor(make_rig(**options), model, tell)


def test_engine_raises(survivor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """the engine raises, and twice more while it is opened anew"""
    one = survivor()
    real, calls = Segmenter.__call__, []

    def broken(segmenter: Segmenter, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) <= 3:
            raise RuntimeError('the runtime says no')
        return real(segmenter, *arguments)

    monkeypatch.setattr(Segmenter, '__call__', broken)
    one.rig.send(one.rig.message(picture()))
    one.rig.wait_counts(engine_error=1)
    one.rig.wait_engine()
    assert len(calls) >= 4
    assert one.survived('opened anew')['engine_error'] == 1


def test_engine_hangs(model: Path, tell: Tell) -> None:
    """the engine hangs in a batch"""
    peer = Rig(start=False)
    try:
        found = peer.listen('label_image')
        hung = BROKEN.replace('TROUBLE', HANG) + MAIN
        arguments = options(model, qos='reliable', engine_timeout_ms=1000)
        image = picture()
        with running(*arguments, code=hung) as process:
            read_until(process, 'model tiny')
            while process.poll() is None:
                peer.send(peer.message(image))
                time.sleep(0.1)
            assert process.returncode == 3 and not found and not peer.wrong_stats
        peer.stats.clear()   # the next process counts from 0
        with running(*arguments) as process:   # what respawn of launch does
            read_until(process, 'model tiny')
            peer.wait(lambda: peer.send(peer.message(image)) or found, 'labels', 60)
            np.testing.assert_array_equal(pixels(found[0]), offline(model, image))
        assert not peer.wrong_stats
        tell(outcome='the process ends with exit code 3; respawned, next labels right')
    finally:
        peer.close()


def test_publisher_restarts(survivor: Any) -> None:
    """the publisher ends and starts anew, ten times"""
    one = survivor(sender=None, qos='auto')
    for _ in range(10):
        sender = one.rig.peer.create_publisher(Image, 'image', QoSProfile(depth=5))
        one.labels.clear()
        one.good(sender)
        one.rig.peer.destroy_publisher(sender)
    one.survived(sender=one.rig.peer.create_publisher(Image, 'image', QoSProfile(depth=5)))


def test_subscriber_comes_and_goes(survivor: Any) -> None:
    """a subscriber of the labels comes and goes, twenty times under a stream"""
    one = survivor()
    for _ in range(20):
        other = one.rig.peer.create_subscription(Image, '/frm_seg/label_image', lambda _: None, 5)
        for seed in range(5):
            one.rig.send(one.rig.message(picture(seed)))
        one.rig.peer.destroy_subscription(other)
    assert one.survived()['received'] > 100


def test_participant_vanishes(survivor: Any) -> None:
    """the camera's process is killed with SIGKILL while it sends, three times"""
    one = survivor(sender=None, qos='auto')
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path])}
    for _ in range(3):
        process = subprocess.Popen([sys.executable, '-c', PUBLISHER], env=environment)
        try:
            before = len(one.labels)
            one.rig.wait(lambda n=before: len(one.labels) > n + 5, 'labels')
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    one.survived(sender=one.rig.peer.create_publisher(Image, 'image', QoSProfile(depth=5)))


def test_openvino_cache_on_a_full_disk(survivor: Any, monkeypatch: pytest.MonkeyPatch,
                                       tmp_path: Path) -> None:
    """the disk is full where OpenVINO's compiled models are kept"""
    pytest.importorskip('openvino', reason='openvino is not installed')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    tried = []

    def full(path: Path, _: bytes) -> int:
        tried.append(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, 'write_bytes', full)
    survivor(backend='openvino').survived('nothing is kept', backend='openvino')
    assert tried and not [path for path in tmp_path.rglob('*') if path.is_file()]


FULL = """
import errno, os
from numba.core import caching
def full(*_):
    print('full', flush=True)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
caching.IndexDataCacheFile._open_for_write = full
"""


def test_numba_cache_on_a_full_disk(model: Path, tell: Tell, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """the disk is full where numba's compiled functions are kept"""
    monkeypatch.setenv('NUMBA_CACHE_DIR', str(tmp_path))
    with lone(model, FULL + MAIN) as label:
        label('full')
    tell(outcome='nothing is kept; node alive, labels right')


@contextmanager
def lone(model: Path, code: str) -> Iterator[Callable[[str], None]]:
    """Run the node as a process; yield what waits for its word, then has a frame labelled."""
    peer = Rig(start=False)
    try:
        with running(*options(model, qos='reliable'), code=code) as process:
            def label(word: str) -> None:
                read_until(process, word)
                read_until(process, 'model tiny')
                found, image = peer.listen('label_image'), picture()
                peer.wait(lambda: peer.send(peer.message(image)) or found, 'labels', 60)
                np.testing.assert_array_equal(pixels(found[0]), offline(model, image))
                assert process.poll() is None and not peer.wrong_stats

            yield label
    finally:
        peer.close()


def test_killed_while_it_writes_the_cache(survivor: Any, monkeypatch: pytest.MonkeyPatch,
                                          tmp_path: Path) -> None:
    """SIGKILL while a compiled model is written to the cache"""
    pytest.importorskip('openvino', reason='openvino is not installed')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, '-c', WRITER], stdout=subprocess.PIPE, text=True,
        env=os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path])})
    with process:
        assert process.stdout.readline() == 'writing\n'
        process.kill()
    cache = DiskCache('openvino')
    assert list(cache.folder.iterdir())   # what was being written is left behind
    assert cache.read('facts') is None
    survivor(backend='openvino').survived('what is half written is not taken', backend='openvino')


def test_damaged_cache(survivor: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """compiled models in the cache are cut off in the middle, as by a loss of power"""
    pytest.importorskip('openvino', reason='openvino is not installed')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    one = survivor(backend='openvino')
    kept = [path for path in DiskCache('openvino').folder.iterdir() if path.is_file()]
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    rig = one.rig
    assert all(rig.change(step) for step in ('deactivate', 'cleanup', 'configure', 'activate'))
    one.survived('compiled anew', backend='openvino')


def test_clock_jumps(survivor: Any) -> None:
    """the simulated clock jumps forward by an hour, back by two, and to zero"""
    one = survivor(use_sim_time=True, max_age_ms=1000.0)
    clock = one.rig.peer.create_publisher(Clock, '/clock', 1)
    for now_s in (10_000, 13_600, 6400, 0, 1):
        def heard(now_s: int = now_s) -> bool:
            message = Clock()
            message.clock.sec = now_s
            clock.publish(message)
            return one.rig.node.get_clock().now().nanoseconds == now_s * 10**9

        one.rig.wait(heard, 'the clock')
        for age_s in (0, 2):
            message = one.rig.message(picture())
            message.header.stamp.sec, message.header.stamp.nanosec = now_s - age_s, 0
            received = (one.rig.counts() or {'received': 0})['received']
            one.rig.send(message)
            one.rig.wait_received(received + 1)
    counts = one.survived()
    assert counts['too_old'] == 5


def test_overload(survivor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """three times as many frames as the engine takes"""
    one = survivor()
    real = Segmenter.__call__

    def slow(segmenter: Segmenter, *arguments: Any) -> Any:
        time.sleep(0.03)
        return real(segmenter, *arguments)

    monkeypatch.setattr(Segmenter, '__call__', slow)
    for seed in range(200):
        one.rig.send(one.rig.message(picture(seed)))
        time.sleep(0.01)
    one.rig.wait_received(200)
    counts = one.survived()
    assert counts['overwritten'] > 66 and counts['processed'] > 10


def test_another_encoding(survivor: Any) -> None:
    """size and encoding of the images change in mid-stream, one of them unknown"""
    one = survivor()
    colour = picture(3, (64, 96))
    for number, (encoding, image) in enumerate([
            ('bgr8', colour[..., ::-1]), ('rgb8', colour), ('mono8', colour[..., 0]),
            ('rgb8', picture(4)), ('mono8', picture(5)[..., 0])], 1):
        message = one.rig.message(colour)
        fill_image(message, np.ascontiguousarray(image), encoding)
        one.rig.send(message)
        one.rig.wait_messages(one.labels, number)
        shown = np.dstack([image] * 3) if image.ndim == 2 else image
        wanted = offline(one._model, np.ascontiguousarray(
            shown[..., ::-1] if encoding == 'bgr8' else shown))
        np.testing.assert_array_equal(pixels(one.labels[-1]), wanted)
    message = one.rig.message(colour)
    message.encoding = '64FC7'
    one.rig.send(message)
    one.rig.wait_received(6)
    assert one.survived()['bad_encoding'] == 1


def test_camera_info_missing(survivor: Any) -> None:
    """camera_info is missing, then of another size, then right"""
    one = survivor()
    infos = one.rig.listen('camera_info', CameraInfo)
    sender = one.rig.peer.create_publisher(CameraInfo, 'camera_info', 1)
    one.good()
    assert not infos
    one.rig.wait(sender.get_subscription_count, 'the node to subscribe')
    relay = one.rig.node._cameras['']._outlet.info
    for height in (48, 96):
        sender.publish(CameraInfo(height=height, width=128))
        one.rig.wait(lambda h=height: relay._newest and relay._newest.height == h, 'camera_info')
        one.labels.clear()
        one.good()
        assert bool(infos) == (height == 96)
    one.survived('labels come without it')


def test_the_page_lists_exactly_these_faults() -> None:
    text = (ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8')
    table = text.partition('<!-- faults -->')[2].partition('<!-- end -->')[0]
    rows = [line.split('|')[1].strip() for line in table.splitlines() if line.startswith('| ')]
    tried = [function.__doc__ for name, function in globals().items()
             if name.startswith('test_') and function.__doc__]
    assert rows[1:] == sorted(tried)
