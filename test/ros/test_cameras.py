"""Many cameras on one model: each gets its own, and none harms or delays another."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import SECONDS, Rig, picture, pixels
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.core.draw import colorize
from frm_seg_ros.core.encodings import fill_image
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.ros.outputs import OUTPUTS
from frm_seg_ros.segmenter import Segmenter

CAMERAS = ['front', 'left', 'rear']
DEEP = {f'qos_overrides./{camera}/image.subscription.depth': 100 for camera in CAMERAS}
MakeRig = Callable[..., Rig]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, int]]]:
    """Collect the sizes of the images of every batch, those of the warm-up left out."""
    seen: list[list[tuple[int, int]]] = []
    real = Segmenter.__call__

    def noting(segmenter: Segmenter, images: Any, confidence: bool = False) -> Any:
        if any(image.any() for image in images):
            seen.append([image.shape[:2] for image in images])
        return real(segmenter, images, confidence)

    monkeypatch.setattr(Segmenter, '__call__', noting)
    return seen


class Gate:
    """Hold the worker inside its next batch until told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.shut = False
        real = Segmenter.__call__

        def held(segmenter: Segmenter, images: Any, confidence: bool = False) -> Any:
            if self.shut:
                self.reached.set()
                assert self.opened.wait(60)
            return real(segmenter, images, confidence)

        monkeypatch.setattr(Segmenter, '__call__', held)

    def hold(self, rig: Rig, camera: str) -> None:
        """Let a frame of a camera keep the worker busy."""
        self.shut = True
        rig.send(rig.message(picture()), camera=camera)
        rig.wait(self.reached.is_set, 'the worker to hold a frame')

    def open(self) -> None:
        self.shut = False
        self.opened.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Gate(monkeypatch)
    yield made
    made.open()


def in_encoding(rig: Rig, image: np.ndarray, encoding: str) -> Image:
    """Make a message of an image in one of three encodings, rows padded for bgr8."""
    message = rig.message(image)
    if encoding == 'bgr8':
        padded = np.pad(np.ascontiguousarray(image[..., ::-1]).reshape(len(image), -1),
                        ((0, 0), (0, 5)))
        fill_image(message, padded, 'mono8')
        message.encoding, message.width = 'bgr8', image.shape[1]
    elif encoding == 'mono8':
        fill_image(message, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 'mono8')
    return message


def test_one_batch_of_different_sizes_and_encodings(
        make_rig: MakeRig, gate: Gate, batches: list, model: Any) -> None:
    rig = make_rig(cameras=CAMERAS)
    found = {camera: rig.listen(f'{camera}/label_image') for camera in CAMERAS}
    color = rig.listen('left/color')
    gate.hold(rig, 'rear')
    images = {'front': picture(1, (96, 128)), 'left': picture(2, (45, 61)),
              'rear': picture(3, (200, 160))}
    sent = {camera: in_encoding(rig, images[camera], encoding)
            for camera, encoding in zip(CAMERAS, ('bgr8', 'rgb8', 'mono8'))}
    for camera, message in sent.items():
        rig.send(message, camera=camera)
    for camera in CAMERAS:
        rig.wait_pending(1 + (camera == 'rear'), camera)
    gate.open()
    images['rear'] = cv2.cvtColor(cv2.cvtColor(images['rear'], cv2.COLOR_RGB2GRAY),
                                  cv2.COLOR_GRAY2RGB)
    segmenter = Segmenter.open(model, 'onnxruntime')
    for camera in CAMERAS:
        rig.wait_messages(found[camera], 1 + (camera == 'rear'))
        labels = segmenter([images[camera]])[0].labels
        np.testing.assert_array_equal(pixels(found[camera][-1]), labels)
        assert found[camera][-1].header == sent[camera].header
        rig.wait_counts(camera, processed=1 + (camera == 'rear'))
        (stats,) = [one for one in rig.stats
                    if one.has_frame and one.header == sent[camera].header]
        assert (stats.camera, stats.batch) == (camera, 3)
        wanted = np.bincount(labels.ravel(), minlength=11)[:11] / labels.size
        np.testing.assert_allclose(stats.class_shares, wanted, atol=1e-6)
    rig.wait_messages(color, 1)
    labels = segmenter([images['left']])[0].labels
    np.testing.assert_array_equal(pixels(color[0]), colorize(labels, LabelSpace.load('camvid')))
    assert [sorted(sizes) for sizes in batches[:2]] == [
        [(48, 64)], sorted(image.shape[:2] for image in images.values())]


def test_all_batches_are_warmed_up(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    real = Segmenter.__call__
    monkeypatch.setattr(Segmenter, '__call__', lambda segmenter, images, confidence=False: (
        counts.append(len(images)), real(segmenter, images, confidence))[1])
    make_rig(cameras=CAMERAS)
    assert counts == [1, 2, 3]


def test_every_camera_has_its_topics(make_rig: MakeRig) -> None:
    rig = make_rig(cameras=['front', 'left'], sender=None)
    topics = {one.topic_name for one in rig.node.publishers}
    assert {f'/frm_seg/{camera}/{topic}' for camera in ('front', 'left')
            for topic in (*OUTPUTS, 'stats')} <= topics
    assert not topics & {f'/frm_seg/{topic}' for topic in (*OUTPUTS, 'stats')}
    assert {'/front/image', '/left/image'} <= {one.topic_name for one in rig.node.subscriptions}


def test_bad_frames_cost_their_own_camera_only(make_rig: MakeRig, gate: Gate) -> None:
    rig = make_rig(cameras=CAMERAS)
    found = {camera: rig.listen(f'{camera}/label_image') for camera in CAMERAS}
    gate.hold(rig, 'front')
    bad, good = rig.message(picture()), rig.message(picture(1))
    bad.data = bad.data[:-1]
    rig.send(bad, camera='left')
    rig.send(good, camera='rear')
    for camera in ('left', 'rear'):
        rig.wait_pending(1, camera)
    gate.open()
    rig.wait_counts('left', bad_data=1)
    rig.wait_counts('rear', processed=1)
    rig.wait_messages(found['rear'], 1)
    assert found['rear'][0].header == good.header and not found['left']
    (stats,) = [one for one in rig.stats if one.camera == 'rear' and one.has_frame]
    assert stats.batch == 1


def test_an_output_that_cannot_be_made_costs_its_own_camera_only(
        make_rig: MakeRig, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError('no colours')

    monkeypatch.setitem(OUTPUTS, 'overlay', type(OUTPUTS['overlay'])('rgb8', broken))
    rig = make_rig(cameras=['front', 'left'])
    found = rig.listen('left/label_image')
    rig.listen('front/overlay')
    gate.hold(rig, 'left')
    for camera in ('front', 'left'):
        rig.send(rig.message(picture()), camera=camera)
        rig.wait_pending(1 + (camera == 'left'), camera)
    gate.open()
    rig.wait_counts('front', engine_error=1)
    rig.wait_counts('left', processed=2)
    rig.wait_messages(found, 2)


def test_an_engine_that_raises_costs_the_batch_and_each_camera_counts_its_own(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    rig = make_rig(cameras=CAMERAS)
    for camera in CAMERAS:
        rig.listen(f'{camera}/label_image')
    gate.hold(rig, 'front')
    for camera in ('left', 'rear'):
        rig.send(rig.message(picture()), camera=camera)
        rig.wait_pending(1, camera)
    real = Segmenter.__call__

    def broken(*_: Any) -> Any:
        raise RuntimeError('out of memory')

    monkeypatch.setattr(Segmenter, '__call__', broken)
    gate.open()
    rig.wait_counts('front', processed=1)
    rig.wait_counts('left', engine_error=1)
    rig.wait_counts('rear', engine_error=1)
    monkeypatch.setattr(Segmenter, '__call__', real)
    rig.wait_engine()
    rig.send(rig.message(picture()), camera='left')
    rig.wait_counts('left', engine_error=1, processed=1)


def test_no_camera_starves_beside_a_flood(
        make_rig: MakeRig, batches: list, monkeypatch: pytest.MonkeyPatch) -> None:
    # One camera sends so fast that a frame of it always waits, the other now and then: each of
    # its frames must be in the batch after it came.
    real = Segmenter.__call__

    def slow(segmenter: Segmenter, images: Any, confidence: bool = False) -> Any:
        time.sleep(0.03)
        return real(segmenter, images, confidence)

    monkeypatch.setattr(Segmenter, '__call__', slow)
    rig = make_rig(cameras=['front', 'left'])
    rig.listen('front/label_image')
    found = rig.listen('left/label_image')
    flood, stop = rig.message(picture(0, (240, 320))), threading.Event()

    def run() -> None:
        while not stop.is_set():
            rig.send(flood, camera='front')
            stop.wait(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        rig.wait(lambda: rig.counts('front').get('overwritten', 0) > 20, 'an overload')
        for count in range(1, 31):
            message = rig.message(picture(count))
            rig.send(message, camera='left')
            rig.wait_messages(found, count)
            assert found[-1].header == message.header
    finally:
        stop.set()
        thread.join(SECONDS)
    rig.wait_counts('left', processed=30)
    shared = [batch for batch in batches if (48, 64) in batch]
    assert len(shared) == 30 and sum(len(batch) == 2 for batch in shared) >= 20
    rig.wait(lambda: not rig.counts('front')['pending'], 'the last frame')


def test_a_camera_that_is_gone_delays_nobody(make_rig: MakeRig) -> None:
    # `left` is named but nobody publishes it: the others' batches do not wait for it.
    rig = make_rig(cameras=['front', 'left'])
    found = rig.listen('front/label_image')
    rig.listen('left/label_image')
    rig.send(rig.message(picture()), camera='left')
    rig.wait_counts('left', processed=1)
    for count in range(1, 21):
        rig.send(rig.message(picture()), camera='front')
        rig.wait_messages(found, count)
    assert rig.counts('left') == {'received': 1, 'processed': 1, 'pending': 0}


def test_counts_add_up_in_every_message_while_all_send(make_rig: MakeRig) -> None:
    rig = make_rig(cameras=CAMERAS, **DEEP)
    for camera in CAMERAS:
        rig.listen(f'{camera}/label_image')
    for number in range(150):
        for index, camera in enumerate(CAMERAS):
            message = rig.message(picture(number % 7, (48 + 8 * index, 64)))
            if (number + index) % 5 == 0:
                message.step = 1
            rig.send(message, camera=camera)
    for camera in CAMERAS:
        rig.wait_received(150, camera)
        counts = rig.counts(camera)
        assert set(counts) <= {'received', 'processed', 'pending', 'overwritten', 'bad_step'}
        assert counts['processed'] > 0
    assert not rig.wrong_stats


def test_deactivating_counts_what_waits_of_every_camera(make_rig: MakeRig, gate: Gate) -> None:
    rig = make_rig(cameras=CAMERAS)
    for camera in CAMERAS:
        rig.listen(f'{camera}/label_image')
    gate.hold(rig, 'front')
    for camera in CAMERAS:
        rig.send(rig.message(picture()), camera=camera)
        rig.wait_pending(1 + (camera == 'front'), camera)
    timer = threading.Timer(0.2, gate.open)
    timer.start()
    assert rig.change('deactivate')
    timer.join()
    rig.wait_counts('front', processed=1, inactive=1)
    rig.wait_counts('left', inactive=1)
    rig.wait_counts('rear', inactive=1)


def test_live_parameters_reach_all_cameras(make_rig: MakeRig) -> None:
    rig = make_rig(cameras=['front', 'left'])
    for camera in ('front', 'left'):
        rig.listen(f'{camera}/label_image')
    assert rig.set('enabled', False)[0]
    for camera in ('front', 'left'):
        rig.send(rig.message(picture()), camera=camera)
        rig.wait_counts(camera, paused=1)
    success, reason = rig.set('cameras', ['rear'])
    assert not success and 'cameras can be set only while' in reason
    assert rig.set('cameras', ['front', 'left'])[0]   # unchanged


def test_compressed_transport_of_named_cameras(make_rig: MakeRig, model: Any) -> None:
    rig = make_rig(cameras=['front', 'left'], transport='compressed')
    found = rig.listen('left/label_image')
    image = picture(4)
    data = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    rig.send(rig.stamped(CompressedImage(format='png', data=data)), camera='left')
    rig.wait_messages(found, 1)
    wanted = Segmenter.open(model, 'onnxruntime')([image])[0].labels
    np.testing.assert_array_equal(pixels(found[0]), wanted)
