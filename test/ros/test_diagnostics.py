"""What /diagnostics says of cameras and engine: judged by itself, and from the running node."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rig import Rig, picture

from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros.accounting import Accounting
from frm_seg_ros.ros.diagnostics import ERROR, OK, STALE, WARN, Input, camera_status
from frm_seg_ros.ros.health import WINDOW, Health
from frm_seg_ros.ros.parameters import NodeParameters
from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]
SOURCE = Input('/front/image', 1, 'reliable')


class Story:
    """A camera to which things happen, looked at once a second."""

    def __init__(self, **parameters: Any) -> None:
        self.health, self.accounting = Health(), Accounting()
        self.parameters = NodeParameters(**parameters)
        self.now = 100.0
        self.health.start(self.accounting.snapshot(), self.now)

    def second(self, frames: int = 10, dropped: str = '', moving: bool = True,
               ticking: bool = True) -> DiagnosticStatus:
        """Let a second with frames pass; say how the camera is then."""
        for number in range(frames):
            self.now += 1 / frames
            self.health.arrive((1, round(1e3 * self.now) if ticking else 5), self.now)
            self.accounting.receive()
            if dropped and number % 2 == 0 or dropped.endswith('!'):
                reason = dropped.rstrip('!')
                self.health.error = (self.now, reason, 'a sentence')
                self.accounting.drop(reason)
                continue
            shade = round(7 * self.now) % 256 if moving else 9
            self.health.see(np.full((48, 64, 3), shade, np.uint8), self.now)
            self.health.times_ms = {'age': 500.0, 'wait': 1.0, 'pre': 2.0, 'inference': 30.0,
                                    'post': 3.0, 'publish': 4.0}
            self.accounting.process()
        self.now += 0.0 if frames else 1.0
        return self.look()

    def look(self) -> DiagnosticStatus:
        """Say how the camera is."""
        return camera_status('frm_seg: camera front', self.health, self.accounting.snapshot(),
                             SOURCE, self.parameters, self.now)


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def test_a_good_camera_is_ok_with_its_rates_and_times() -> None:
    story = Story(budget_ms=41)   # the age is none of ours
    for _ in range(WINDOW + 3):
        status = story.second(10, 'overwritten')
    assert (status.level, status.message) == (OK, '10.0 images a second, 5.0 labelled')
    found = values(status)
    assert (found['received Hz'], found['labelled Hz']) == ('10.0', '5.0')
    assert (found['received'], found['processed'], found['dropped overwritten']) == (
        '80', '40', '40')
    assert (found['total ms'], found['inference ms'], found['budget ms']) == ('40.0', '30.0',
                                                                             '41.0')
    assert (found['topic'], found['publishers'], found['reliability']) == (
        '/front/image', '1', 'reliable')


def test_a_camera_that_disappears_is_stale_and_comes_back() -> None:
    story = Story(stale_ms=1500)
    assert story.second(0).level == OK
    assert story.second(0).level == STALE   # it never came
    assert story.second().level == OK
    assert story.second(0).level == OK
    status = story.second(0)
    assert status.level == STALE
    assert status.message == 'no image for 2.0 s: /front/image has 1 publishers'
    assert values(status)['last image before s'] == '2.0'
    assert story.second().level == OK
    never = Story(stale_ms=0)
    assert [never.second(0).level for _ in range(9)] == [OK] * 9


@pytest.mark.parametrize('frozen, words', [
    ({'moving': False}, 'the picture has not changed for '),
    ({'ticking': False}, 'the stamp of the images has not changed for ')])
def test_a_frozen_camera_is_a_warning(frozen: dict[str, bool], words: str) -> None:
    story = Story()
    story.second()
    levels = [story.second(**frozen).level for _ in range(8)]
    assert levels == [OK] * 5 + [WARN] * 3
    assert words in story.look().message
    assert story.second().level == OK


def test_a_picture_that_nobody_looks_at_is_not_called_frozen() -> None:
    story = Story()
    for _ in range(8):
        status = story.second(moving=False)
    assert status.level == WARN
    levels = [story.second(10, 'no_listener!').level for _ in range(WINDOW + 1)]
    assert levels[-1] == OK


def test_failures_are_a_warning_and_an_error_when_nothing_else_comes() -> None:
    story = Story()
    story.second()
    status = story.second(10, 'bad_step')
    assert status.level == WARN
    assert status.message == 'some images could not be labelled (bad_step 5): a sentence'
    for _ in range(WINDOW + 1):
        status = story.second(4, 'engine_error!')
    assert status.level == ERROR
    assert status.message == 'no image could be labelled (engine_error 20): a sentence'
    assert values(status)['last error'] == 'engine_error: a sentence'
    levels = [story.second().level for _ in range(WINDOW + 1)]
    assert levels == [WARN] * (WINDOW - 1) + [OK] * 2   # the failures go out of sight


def test_old_frames_budget_and_losses_are_warnings() -> None:
    story = Story(max_age_ms=50)
    story.second()
    assert story.second(10, 'too_old').message == '5 of 20 images were older than max_age_ms, 50'
    slow = Story(budget_ms=39.5)
    slow.second()
    status = slow.second()
    assert (status.level, status.message) == (WARN, 'a frame took 40.0 ms, budget_ms is 39.5')
    lossy = Story()
    lossy.second()
    lossy.accounting.lose(3)
    status = lossy.second()
    assert (status.level, status.message) == (WARN, '3 images were lost on the way here')


def test_what_is_no_fault_is_ok() -> None:
    story = Story(enabled=False)
    story.second(10, 'paused!')
    assert (story.look().level, story.look().message) == (OK, 'paused')
    lonely = Story()
    lonely.second(10, 'no_listener!')
    assert lonely.second(10, 'no_listener!').message == (
        '10.0 images a second, and nobody listens')
    lonely.health.stop()
    assert (lonely.look().level, lonely.look().message) == (OK, 'inactive')


def watch(rig: Rig) -> Callable[[], dict[str, DiagnosticStatus]]:
    """Listen to /diagnostics; give the newest status of each name."""
    found: dict[str, DiagnosticStatus] = {}
    rig.peer.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda message: found.update({one.name: one for one in message.status}), 10)
    return lambda: found


def test_the_node_tells_of_its_engine_and_every_camera(make_rig: MakeRig, model: Any) -> None:
    rig = make_rig(cameras=['front', 'left'], stale_ms=300.0)
    statuses = watch(rig)
    rig.listen('front/label_image')
    seeds = iter(range(10_000))

    def front_is(level: bytes) -> bool:
        rig.send(rig.message(picture(next(seeds))), camera='front')
        status = statuses().get('frm_seg: camera front')
        return bool(status and status.level == level and 'labelled' in status.message
                    and int(values(status)['processed']) > 3)

    rig.wait(lambda: front_is(OK) and statuses()['frm_seg: camera left'].level == STALE,
             'front to be well and left to be missed')
    front = values(statuses()['frm_seg: camera front'])
    assert (front['topic'], front['publishers'], front['reliability']) == (
        '/front/image', '1', 'reliable')
    assert float(front['labelled Hz']) > 0 and float(front['total ms']) > 0
    assert '/left/image has 1 publishers' in statuses()['frm_seg: camera left'].message
    engine = statuses()['frm_seg: engine']
    card = ModelCard.load(model)
    assert engine.level == OK and 'onnxruntime on cpu' in engine.message
    assert values(engine) == {
        'model': card.name, 'model_sha256': card.sha256, 'label_space': 'camvid',
        'backend': 'onnxruntime', 'device': 'cpu', 'precision': 'float32',
        'network size (height x width)': '96x128', 'failures': '0', 'work in hand s': '0.0'}
    rig.wait(lambda: statuses()['frm_seg: camera front'].level == STALE, 'front to be missed too')
    assert rig.change('deactivate')
    rig.wait(lambda: statuses()['frm_seg: camera front'].message == 'inactive', 'inactive')
    assert statuses()['frm_seg: camera left'].level == OK


def test_the_node_tells_of_an_engine_that_fails_and_recovers(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    seen: list[tuple[str, bytes, str]] = []
    rig.peer.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda message: seen.extend((one.name, one.level, one.message) for one in message.status),
        10)
    rig.listen('label_image')
    real = Segmenter.__call__

    def broken(*_: Any) -> Any:
        raise RuntimeError('out of memory')

    monkeypatch.setattr(Segmenter, '__call__', broken)
    rig.send(rig.message(picture()))
    fault = 'RuntimeError: out of memory'
    rig.wait(lambda: any(name == 'frm_seg: engine' and level == ERROR
                         and f'{fault}; it is opened anew in 0 s' == text
                         for name, level, text in seen), 'the fault')
    no_image = f'no image could be labelled (engine_error 1): {fault}'
    rig.wait(lambda: ('frm_seg: camera', ERROR, no_image) in seen, 'the camera to suffer')
    monkeypatch.setattr(Segmenter, '__call__', real)
    rig.wait_engine()
    rig.send(rig.message(picture()))
    rig.wait_counts(engine_error=1, processed=1)
    rig.wait(lambda: [level for name, level, _ in seen if name == 'frm_seg: engine'][-1] == OK,
             'the end of the fault')
