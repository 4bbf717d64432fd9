"""What the outputs hold when other sizes, ids and masks are asked for, and when they come."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from frm_seg_ros.msg import LabelSpace
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import Rig, picture, pixels

from frm_seg_ros.core.draw import colorize, overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace as Space
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.ros.label_topics import LabelTopics
from frm_seg_ros.ros.outputs import OUTPUTS, at_size, pixel_ids
from frm_seg_ros.segmenter import Segmenter

CAMVID = Space.load('camvid')
COUNT = len(CAMVID.classes)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MakeRig = Callable[..., Rig]


def nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take the pixel at floor((x + 0.5) * w / W), in fractions."""
    rows, columns = ([floor((Fraction(place) + Fraction(1, 2)) * found / wanted)
                      for place in range(wanted)] for wanted, found in zip(size, array.shape))
    return array[np.ix_(rows, columns)]


@pytest.mark.parametrize('size', [(48, 64), (24, 32), (96, 128), (37, 91), (1, 1), (200, 7)])
def test_nearest_pixel(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    np.testing.assert_array_equal(at_size(labels, size), nearest(labels, size))


@pytest.mark.parametrize('output_size, size', [('network', (96, 128)), ('30x50', (30, 50))])
def test_all_outputs_have_the_size_that_was_asked_for(
        make_rig: MakeRig, model: Any, output_size: str, size: tuple[int, int]) -> None:
    rig = make_rig(output_size=output_size, masks=['way: road, pavement'])
    topics = [*OUTPUTS, 'mask/way']
    found = {topic: rig.listen(topic) for topic in topics}
    image = picture(1)
    rig.send(rig.message(image))
    (seen,) = Segmenter.open(model, 'onnxruntime')([image], confidence=True)
    labels = nearest(seen.labels, size)
    over = overlay(resize_image(image, size), labels, CAMVID, 0.5)
    jpeg = cv2.imencode('.jpg', over[..., ::-1])[1]
    wanted = {'label_image': labels, 'confidence': nearest(seen.confidence, size),
              'color': colorize(labels, CAMVID), 'overlay': over,
              'overlay/compressed': cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1],
              'mask/way': 255 * np.isin(labels, [CAMVID.names.index(name)
                                                 for name in ('road', 'pavement')])}
    for topic in topics:
        rig.wait_messages(found[topic], 1)
        np.testing.assert_array_equal(pixels(found[topic][0]), wanted[topic], err_msg=topic)
    assert 0 < wanted['mask/way'].mean() < 255


def test_pixel_ids() -> None:
    plain = pixel_ids(CAMVID, 0, [''])
    assert plain.tolist() == [*range(COUNT), *[255] * (256 - COUNT)]
    moved = pixel_ids(CAMVID, 244, [''])
    assert moved.tolist() == [*range(244, 255), *[255] * (256 - COUNT)]
    chosen = pixel_ids(CAMVID, 0, ['road: 1', 'car:254'])
    assert {number: value for number, value in enumerate(chosen.tolist()) if value != 255} == {
        CAMVID.names.index('road'): 1, CAMVID.names.index('car'): 254}


@pytest.mark.parametrize('offset, ids, words', [
    (245, [''], 'at most 244'), (1, ['road: 1'], 'set only one of them'),
    (0, ['road: 1', 'car: 1'], 'each once'), (0, ['road: 255'], '0 to 254'),
    (0, ['street: 1'], "names the class 'street'")])
def test_ids_that_cannot_be(offset: int, ids: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        pixel_ids(CAMVID, offset, ids)


@pytest.mark.parametrize('asked, table', [
    ({'id_offset': 1}, list(range(1, COUNT + 1))),
    ({'label_ids': ['road: 7', 'sky: 0']},
     [7 if name == 'road' else 0 if name == 'sky' else 255 for name in CAMVID.names])])
def test_other_ids_are_in_the_label_image_and_told(
        make_rig: MakeRig, model: Any, asked: dict[str, Any], table: list[int]) -> None:
    rig = make_rig(**asked)
    spaces = rig.listen('label_space', LabelSpace, LATCHED)
    found, colors = rig.listen('label_image'), rig.listen('color')
    image = picture(2)
    rig.send(rig.message(image))
    rig.wait_messages(found, 1)
    rig.wait_messages(colors, 1)
    labels = Segmenter.open(model, 'onnxruntime')([image])[0].labels
    np.testing.assert_array_equal(pixels(found[0]), np.array(table, np.uint8)[labels])
    np.testing.assert_array_equal(pixels(colors[0]), colorize(labels, CAMVID))
    rig.wait_messages(spaces, 1)
    assert list(spaces[0].pixels) == table and spaces[0].names == CAMVID.names


@pytest.mark.parametrize('masks, words', [
    (['way: street'], "parameter masks names the class 'street', but camvid has only"),
    (['way: road', 'way: car'], 'two that are called way'),
    (['way'], "parameter masks is ['way']: wanted list of texts")])
def test_masks_that_cannot_be(make_rig: MakeRig, capfd: pytest.CaptureFixture[str],
                              masks: list[str], words: str) -> None:
    assert make_rig(masks=masks).state() == 'unconfigured'
    assert words in capfd.readouterr().err


def test_overlay_max_rate_bounds_both_overlays(make_rig: MakeRig) -> None:
    rig = make_rig(overlay_max_rate=0.001)
    plain, compressed = rig.listen('overlay'), rig.listen('overlay/compressed')
    labels = rig.listen('label_image')
    for count in (1, 2):
        rig.send(rig.message(picture()))
        rig.wait_messages(labels, count)
    rig.wait_counts(processed=2)
    assert (len(plain), len(compressed)) == (1, 1)


def test_stamps_and_frame_ids_are_equal_over_thousands_of_frames(make_rig: MakeRig) -> None:
    # In lockstep with one message in flight, so that none is overwritten.
    rig = make_rig(output_size='8x8')
    done = threading.Semaphore(0)
    found: dict[str, list[Any]] = {'label_image': [], 'confidence': []}
    for topic, messages in found.items():
        rig.listen(topic, callback=lambda message, messages=messages: (
            messages.append((message.header.stamp.sec, message.header.stamp.nanosec,
                             message.header.frame_id)), done.release()))
    image, sent = picture(0, (16, 16)), []
    for _ in range(2000):
        message = rig.message(image)
        sent.append((message.header.stamp.sec, message.header.stamp.nanosec,
                     message.header.frame_id))
        rig.send(message)
        for _ in found:
            assert done.acquire(timeout=20)
    assert found == {'label_image': sent, 'confidence': sent}
    assert len(set(sent)) == 2000


def test_no_new_reader_gets_labels_before_it_has_what_they_mean(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    holds = []
    real = LabelTopics.hold

    def hold(topics: LabelTopics) -> None:
        started = time.monotonic()
        real(topics)
        holds.append(time.monotonic() - started)

    monkeypatch.setattr(LabelTopics, 'hold', hold)
    rig = make_rig()
    order: list[str] = []
    rig.listen('label_image', callback=lambda _: order.append('labels'))
    rig.listen('label_space', LabelSpace, LATCHED, callback=lambda _: order.append('meaning'))
    for count in (1, 2, 3):
        rig.send(rig.message(picture()))
        rig.wait(lambda: order.count('labels') == count, 'labels')   # noqa: B023
    assert sorted(order) == ['labels'] * 3 + ['meaning'] and len(holds) == 1
    rig.listen('color')
    rig.send(rig.message(picture()))
    rig.wait(lambda: order.count('labels') == 4, 'labels')
    assert len(holds) == 2


def test_readers_that_are_known_but_not_matched_are_waited_for(make_rig: MakeRig) -> None:
    rig = make_rig()
    labels = rig.node._labels
    (publisher,) = [one for one in rig.node.publishers if one.topic_name.endswith('label_space')]
    started = time.monotonic()
    labels.hold()   # nobody is there
    assert time.monotonic() - started < 0.4
    matched: list[int] = [0, 0, 1]

    class Late:
        topic_name = publisher.topic_name

        def get_subscription_count(self) -> int:
            return matched.pop(0) if len(matched) > 1 else matched[0]

        def wait_for_all_acked(self, timeout: Any) -> bool:
            assert matched == [1]   # not before
            return publisher.wait_for_all_acked(timeout)

    rig.listen('label_space', LabelSpace, LATCHED)
    rig.wait(lambda: rig.node.count_subscribers(publisher.topic_name) == 1, 'the graph')
    labels._publishers = [Late()]
    labels.hold()
    assert matched == [1]
    matched[:] = [0]
    started = time.monotonic()
    Late.wait_for_all_acked = lambda self, timeout: True
    labels.hold()   # it never matches: the wait has an end
    assert 0.4 < time.monotonic() - started < 20
    labels._publishers = [publisher]
