"""Parameters that change while frames come; bad values, which change nothing."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture, pixels

from frm_seg_ros.core.draw import colorize
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]
BAD: list[tuple[str, Any]] = [
    ('model', 5), ('model', ''), ('backend', 'caffe'), ('device', 'tpu'), ('precision', 'half'),
    ('network_size', '512x'), ('cameras', 'front'), ('cameras', ['front', 'front']),
    ('cameras', ['a/b']), ('roi', '0x10+0+0'), ('rotate', 45), ('ignore_mask', 5),
    ('transport', 'jpeg'), ('qos', 'best'), ('output_size', '0x5'), ('masks', ['road']),
    ('id_offset', 255), ('label_ids', ['road: x']), ('overlay_alpha', 1.01),
    ('overlay_alpha', True), ('overlay_max_rate', -1.0), ('min_confidence', float('nan')),
    ('max_rate', float('inf')), ('max_age_ms', None), ('max_age_ms', '5'), ('stale_ms', -0.5),
    ('budget_ms', [1.0]), ('engine_timeout_ms', -1.0), ('enabled', 1), ('autostart', 'yes'),
    ('exit_on_failure', 0)]


def test_bad_values_are_refused_with_their_reason_while_active(make_rig: MakeRig) -> None:
    rig = make_rig()
    for name, value in BAD:
        before = rig.node.get_parameter(name).value
        success, reason = rig.set(name, value)
        assert not success, (name, value)
        assert reason.startswith(f'parameter {name} is ') and ': wanted ' in reason
        assert rig.node.get_parameter(name).value == before
    assert {name for name, _ in BAD} | {'build_engine'} >= {
        name for name in rig.node._parameters if '.' not in name} - {
        'use_sim_time', 'start_type_description_service'}
    labels = rig.listen('label_image')
    rig.send(rig.message(picture()))
    rig.wait_messages(labels, 1)


@contextmanager
def flooded(rig: Rig, image: np.ndarray) -> Iterator[list[int]]:
    """Send an image over and over, faster than the node labels; yield the stamps sent."""
    stamps: list[int] = []
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.002):
            message = rig.message(image)
            stamps.append(message.header.stamp.sec)
            rig.send(message)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield stamps
    finally:
        ended.set()
        thread.join()


def test_changes_under_load_take_hold_for_whole_frames(make_rig: MakeRig, model: Path) -> None:
    rig = make_rig()
    image = picture(3) // 2
    (sure,) = Segmenter.open(model, 'onnxruntime')([image], confidence=True)
    unsure = np.where(sure.confidence < 255, 255, sure.labels)
    assert (unsure != sure.labels).any()
    colors = colorize(sure.labels, LabelSpace.load('camvid'))
    overlays, labels = rig.listen('overlay'), rig.listen('label_image')
    with flooded(rig, image) as stamps:
        for number in range(60):
            value = float(number % 2)
            assert rig.set('overlay_alpha', value) == (True, '')
            assert rig.set('min_confidence', 1.0 - value) == (True, '')
            assert not rig.set('overlay_alpha', 2.0)[0] and not rig.set('max_rate', -1.0)[0]
            assert rig.set('budget_ms', number)[0] and rig.set('stale_ms', 1000.0 + number)[0]
        after = stamps[-1]   # the last values: colours, and every pixel sure
        rig.wait(lambda: sum(one.header.stamp.sec > after for one in overlays[:]) > 3,
                 'frames after the last change')
        assert rig.set('max_rate', 1e-6)[0]   # the flood goes on and is dropped
        time.sleep(0.2)
        done = len(labels)
    assert rig.change('deactivate')
    rig.wait(lambda: rig.counts()['pending'] == 0, 'all frames to be counted')
    assert 0 < rig.counts()['received'] <= len(stamps)   # a queue of DDS may overflow on the way
    assert len(labels) <= done + 1   # one may have been in hand
    found = [pixels(one) for one in labels]
    kinds = [[np.array_equal(one, wanted) for wanted in (sure.labels, unsure)] for one in found]
    assert all(map(any, kinds)) and all(map(any, zip(*kinds)))
    last = [pixels(one) for one in overlays if one.header.stamp.sec > after]
    for one in last:
        np.testing.assert_array_equal(one, colors)


def test_pausing_under_load_keeps_every_frame_counted(make_rig: MakeRig) -> None:
    rig = make_rig()
    labels = rig.listen('label_image')
    with flooded(rig, picture()) as stamps:
        for _ in range(20):
            assert rig.set('enabled', False)[0]
            time.sleep(0.01)
            assert rig.set('enabled', True)[0]
            count = len(labels)
            rig.wait(lambda: len(labels) > count, 'labels again')   # noqa: B023
    assert rig.change('deactivate')
    rig.wait(lambda: rig.counts()['pending'] == 0, 'all frames to be counted')
    assert 0 < rig.counts()['received'] <= len(stamps)   # a queue of DDS may overflow on the way
    counts = rig.counts()
    assert counts['paused'] > 0 and counts['processed'] >= len(labels) >= 20
    assert set(counts) <= {'received', 'processed', 'pending', 'paused', 'overwritten',
                           'no_listener', 'inactive'}
