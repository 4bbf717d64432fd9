"""Frames through the node, by their values."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from data_trees import write_robot

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from frm_seg_ros.msg import LabelSpace
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import Rig, picture, pixels
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import SetBool

from frm_seg_ros.core.draw import colorize, overlay
from frm_seg_ros.core.label_space import LabelSpace as Space
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros import camera, node, subscription
from frm_seg_ros.ros.outputs import OUTPUTS
from frm_seg_ros.segmenter import Segmenter

CAMVID = Space.load('camvid')
MakeRig = Callable[..., Rig]


@pytest.fixture(scope='module')
def segmenter(model: Path) -> Segmenter:
    return Segmenter.open(model, 'onnxruntime')


class Gate:
    """A segmenter that waits: the real one, held until the gate opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.images = 0
        self.shut = False
        real = Segmenter.__call__

        def held(segmenter: Segmenter, images: Any, confidence: bool = False) -> Any:
            if self.shut:
                self.images += len(images)
                self.reached.set()
                assert self.opened.wait(30)
            return real(segmenter, images, confidence)

        monkeypatch.setattr(Segmenter, '__call__', held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Gate(monkeypatch)
    yield made
    made.opened.set()


def test_all_outputs_hold_the_offline_result_and_the_stamp(
        make_rig: MakeRig, segmenter: Segmenter) -> None:
    rig = make_rig(overlay_alpha=0.3)
    found = {topic: rig.listen(topic) for topic in OUTPUTS}
    images = [picture(1), picture(2, (45, 61)), picture(3, (200, 160))]
    for count, image in enumerate(images, 1):
        message = rig.message(image)
        rig.send(message)
        for messages in found.values():
            rig.wait_messages(messages, count)
        (wanted,) = segmenter([image], confidence=True)
        assert len(np.unique(wanted.labels)) > 5
        values = {'label_image': wanted.labels, 'confidence': wanted.confidence,
                  'color': colorize(wanted.labels, CAMVID),
                  'overlay': overlay(image, wanted.labels, CAMVID, 0.3)}
        jpeg = cv2.imencode('.jpg', values['overlay'][..., ::-1])[1]
        values['overlay/compressed'] = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
        for topic, messages in found.items():
            assert messages[-1].header == message.header
            if topic != 'overlay/compressed':
                assert messages[-1].encoding == OUTPUTS[topic].encoding
            np.testing.assert_array_equal(pixels(messages[-1]), values[topic])
    rig.wait_counts(processed=3)


def test_compressed_transport(make_rig: MakeRig, segmenter: Segmenter) -> None:
    rig = make_rig(transport='compressed')
    found = rig.listen('label_image')
    image = picture(4)
    png = cv2.imencode('.png', image[..., ::-1])[1]
    message = rig.stamped(CompressedImage(format='png', data=png.tobytes()))
    rig.send(message)
    rig.wait_messages(found, 1)
    np.testing.assert_array_equal(pixels(found[0]), segmenter([image])[0].labels)
    assert found[0].header == message.header


def test_label_space_is_latched_and_complete(make_rig: MakeRig, model: Path) -> None:
    rig = make_rig()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    found = rig.listen('label_space', LabelSpace, latched)
    rig.wait_messages(found, 1)
    (message,) = found
    card = ModelCard.load(model)
    assert (message.name, message.model) == ('camvid', card.name)
    assert message.model_sha256 == card.files['model.onnx'] and len(message.model_sha256) == 64
    rows = zip(message.names, message.ids, message.categories,
               np.array(message.colors).reshape(-1, 3).tolist(), strict=True)
    assert list(rows) == [(one.name, one.id, one.category, list(one.color))
                          for one in CAMVID.classes]


def test_label_space_that_the_model_holds(make_rig: MakeRig, tmp_path: Path) -> None:
    from tiny_model import write_tiny_model  # needs onnx
    labels = write_robot(tmp_path / 'data')
    rig = make_rig(model=str(write_tiny_model(tmp_path / 'own', label_space=str(labels))))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    found = rig.listen('label_space', LabelSpace, latched)
    rig.wait_messages(found, 1)
    (message,) = found
    assert (message.name, message.names) == ('robot', ['floor', 'obstacle', 'person'])
    assert list(message.ids) == [1, 2, 7] and list(message.colors[:3]) == [120, 200, 120]


def test_statistics_of_a_frame(make_rig: MakeRig, segmenter: Segmenter) -> None:
    rig = make_rig()
    rig.listen('overlay')
    image = picture(5)
    message = rig.message(image)
    rig.send(message)
    rig.wait(lambda: any(one.has_frame for one in rig.stats), 'statistics of the frame')
    (stats,) = [one for one in rig.stats if one.has_frame]
    assert stats.header == message.header and stats.camera == ''
    labels = segmenter([image])[0].labels
    wanted = np.bincount(labels.ravel(), minlength=11)[:11] / labels.size
    np.testing.assert_allclose(stats.class_shares, wanted, atol=1e-6)
    assert stats.age_ms == pytest.approx(1e3 * (time.time() - message.header.stamp.sec), abs=1e5)
    for stage in ('wait', 'pre', 'inference', 'post', 'publish'):
        assert 0 < getattr(stats, f'{stage}_ms') < 60_000
    assert (stats.received, stats.processed, stats.pending) == (1, 1, 0)


def test_statistics_come_while_there_are_no_frames(make_rig: MakeRig) -> None:
    rig = make_rig(sender=None)
    rig.wait(lambda: len(rig.stats) > 1, 'two messages')
    assert not any(one.has_frame or one.received or len(one.class_shares) for one in rig.stats)


def test_periods_are_a_second_outside_of_tests() -> None:
    assert (camera.STATS_SECONDS, node.DIAGNOSTICS_SECONDS, subscription.LOOK_SECONDS) == (1, 1, 1)


def test_newest_frame_wins_and_the_rest_is_counted(make_rig: MakeRig, gate: Gate) -> None:
    rig = make_rig(**{'qos_overrides./image.subscription.depth': 100})   # DDS drops none itself
    found = rig.listen('label_image')
    gate.shut = True
    messages = [rig.message(picture(seed)) for seed in range(20)]
    rig.send(messages[0])
    rig.wait(gate.reached.is_set, 'the worker to hold a frame')
    rig.send(*messages[1:])
    rig.wait(lambda: rig.counts().get('received') == 20, 'all frames to arrive')
    assert rig.counts() == {'received': 20, 'processed': 0, 'pending': 2, 'overwritten': 18}
    gate.opened.set()
    rig.wait_counts(processed=2, overwritten=18)
    rig.wait_messages(found, 2)
    assert [one.header for one in found] == [messages[0].header, messages[-1].header]


def test_without_a_listener_there_is_no_inference(make_rig: MakeRig, gate: Gate) -> None:
    gate.opened.set()
    rig = make_rig()
    gate.shut = True
    rig.send(rig.message(picture()))
    rig.wait_counts(no_listener=1)
    assert gate.images == 0
    found = rig.listen('color')
    rig.send(rig.message(picture()))
    rig.wait_counts(no_listener=1, processed=1)
    rig.wait_messages(found, 1)
    assert gate.images == 1


@pytest.mark.parametrize('topic', OUTPUTS)
def test_only_what_is_listened_to_is_computed(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    made = []
    for name, output in list(OUTPUTS.items()):
        def make(frame: Any, name: str = name, real: Any = output.make) -> Any:
            made.append(name)
            assert (frame.confidence is not None) == (topic == 'confidence')
            return real(frame)
        monkeypatch.setitem(OUTPUTS, name, type(output)(output.encoding, make))
    rig = make_rig()
    rig.listen(topic)
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=1)
    assert made == [topic]


def test_enable_pauses_and_resumes(make_rig: MakeRig) -> None:
    rig = make_rig()
    found = rig.listen('label_image')
    answer = rig.call(SetBool, 'enable', SetBool.Request(data=False))
    assert (answer.success, answer.message) == (True, 'paused')
    assert rig.node.get_parameter('enabled').value is False
    rig.send(rig.message(picture()))
    rig.wait_counts(paused=1)
    assert rig.call(SetBool, 'enable', SetBool.Request(data=True)).success
    message = rig.message(picture())
    rig.send(message)
    rig.wait_counts(paused=1, processed=1)
    rig.wait_messages(found, 1)
    assert [one.header for one in found] == [message.header]


def test_a_frame_in_the_mailbox_is_paused_too(make_rig: MakeRig, gate: Gate) -> None:
    rig = make_rig()
    rig.listen('label_image')
    gate.shut = True
    rig.send(rig.message(picture()))
    rig.wait(gate.reached.is_set, 'the worker to hold a frame')
    rig.send(rig.message(picture()))
    rig.wait(lambda: rig.counts().get('pending') == 2, 'a frame to wait')
    assert rig.set('enabled', False)[0]
    gate.opened.set()
    rig.wait_counts(processed=1, paused=1)


def test_deactivating_finishes_the_frame_in_hand(make_rig: MakeRig, gate: Gate) -> None:
    rig = make_rig()
    found = rig.listen('label_image')
    gate.shut = True
    first = rig.message(picture())
    rig.send(first)
    rig.wait(gate.reached.is_set, 'the worker to hold a frame')
    rig.send(rig.message(picture()))
    rig.wait(lambda: rig.counts().get('pending') == 2, 'a frame to wait')
    timer = threading.Timer(0.3, gate.opened.set)
    timer.start()
    assert rig.change('deactivate')
    timer.join()
    rig.wait_counts(processed=1, inactive=1)
    rig.wait_messages(found, 1)
    assert [one.header for one in found] == [first.header]
    rig.wait(lambda: not rig.connected(), 'the subscription to end')
    assert rig.change('activate')
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=2, inactive=1)


def test_an_engine_that_raises_costs_its_frame_only(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    rig.listen('label_image')
    real = Segmenter.__call__

    def broken(*_: Any) -> Any:
        raise RuntimeError('out of memory')

    monkeypatch.setattr(Segmenter, '__call__', broken)
    rig.send(rig.message(picture()))
    rig.wait_counts(engine_error=1)
    monkeypatch.setattr(Segmenter, '__call__', real)
    rig.wait_engine()
    rig.send(rig.message(picture()))
    rig.wait_counts(engine_error=1, processed=1)


def test_a_slow_reliable_listener_does_not_delay_the_others(make_rig: MakeRig) -> None:
    rig = make_rig()
    slow = Rig(start=False, sender=None)   # its peer is the listener, in a thread of its own
    asleep, wake = threading.Event(), threading.Event()

    def sleep(_: Any) -> None:
        asleep.set()
        wake.wait(60)

    try:
        slow.listen('label_image', callback=sleep,
                    qos=QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
        rig.wait(lambda: rig.publisher('/frm_seg/label_image').get_subscription_count() == 1,
                 'the slow listener')
        found = rig.listen('color')
        for count in range(1, 31):
            rig.send(rig.message(picture(0, (480, 640))))
            rig.wait_messages(found, count)
        assert asleep.is_set()
        times = [one.publish_ms for one in rig.stats if one.has_frame]
        assert np.median(times) < 30
    finally:
        wake.set()
        slow.close()


def test_any_stamp_is_carried(make_rig: MakeRig) -> None:
    rig = make_rig()
    found = rig.listen('label_image')
    message = rig.message(picture())
    message.header.stamp.sec, message.header.stamp.nanosec = -5, 4_000_000_000
    message.header.frame_id = ''
    rig.send(message)
    rig.wait_messages(found, 1)
    assert found[0].header == message.header
