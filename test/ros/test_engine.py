"""An engine that fails is opened anew; one that hangs or is lost ends the process."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray
from rig import SECONDS, Rig, picture, pixels

from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros import engine as engine_module
from frm_seg_ros.ros import node as node_module
from frm_seg_ros.ros.camera import Camera
from frm_seg_ros.ros.engine import Engine, is_lost
from frm_seg_ros.ros.parameters import NodeParameters
from frm_seg_ros.ros.watchdog import TICK_SECONDS, Watchdog
from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.error = self.warning = self.info = self.lines.append


class Opened:
    """An engine with a clock of its own, whose runs fail as told.

    Attributes:
        trouble: raised by every run while it is set.
        closed: how often a segmenter was closed.
    """

    def __init__(self, model: Path, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> None:
        self.now = 100.0
        self.trouble: Exception | None = None
        self.closed = 0
        self.gave_up: list[str] = []
        self.log = Log()
        run, close = Segmenter.__call__, Segmenter.close

        def call(segmenter: Segmenter, *arguments: Any) -> Any:
            if self.trouble:
                raise self.trouble
            return run(segmenter, *arguments)

        def count(segmenter: Segmenter) -> None:
            self.closed += 1
            close(segmenter)

        monkeypatch.setattr(Segmenter, '__call__', call)
        monkeypatch.setattr(Segmenter, 'close', count)
        monkeypatch.setattr(engine_module.time, 'monotonic', lambda: self.now)
        self.engine = Engine(ModelCard.load(model), NodeParameters(
            backend='onnxruntime', **parameters), 2, self.gave_up.append, self.log)

    def run(self) -> np.ndarray:
        """Label one picture."""
        return self.engine([picture()], False)[0].labels


@pytest.fixture
def opened(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    one = Opened(model, monkeypatch)
    yield one
    one.engine.close()


def test_it_is_opened_anew_after_1_2_4_and_at_most_30_s(opened: Opened) -> None:
    wanted = opened.run()
    assert opened.engine.wait_s is None
    first = opened.engine.segmenter
    opened.trouble = RuntimeError('out of\nmemory')
    with pytest.raises(RuntimeError, match='out of'):
        opened.run()
    waits = []
    for failures in range(1, 8):
        assert opened.engine.failures == opened.closed == failures
        waits.append(opened.engine.wait_s)
        opened.now += waits[-1] - 0.01
        opened.engine.mend()
        assert opened.engine.failures == failures   # not yet
        with pytest.raises(FrameError, match='opened anew: RuntimeError: out of memory') as caught:
            opened.run()
        assert caught.value.reason == 'engine_error'
        opened.now += 0.011
        opened.engine.mend()
    assert waits == pytest.approx([1, 2, 4, 8, 16, 30, 30])
    opened.trouble = None
    opened.now += 31
    opened.engine.mend()
    assert opened.engine.fault == '' and opened.engine.segmenter is not first
    np.testing.assert_array_equal(opened.run(), wanted)
    opened.trouble = RuntimeError('again')
    with pytest.raises(RuntimeError, match='again'):
        opened.run()
    assert opened.engine.wait_s == pytest.approx(1)   # a good batch lets it begin anew
    assert opened.log.lines[0] == ('the engine failed and is opened anew in 1 s: '
                                   'RuntimeError: out of memory')
    assert 'the engine is open again' in opened.log.lines and not opened.gave_up


def test_opening_without_a_good_batch_does_not_shorten_the_wait(opened: Opened) -> None:
    for wanted in (1, 2, 4):
        opened.trouble = RuntimeError('this batch')
        with pytest.raises(RuntimeError, match='this batch'):
            opened.run()
        assert opened.engine.wait_s == pytest.approx(wanted)
        opened.trouble = None
        opened.now += wanted + 0.01
        opened.engine.mend()
        assert not opened.engine.fault


def test_what_auto_chose_is_kept(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(model, monkeypatch)
    chosen, backend = opened.engine.chosen, opened.engine.segmenter.backend
    calls = []
    real = Segmenter.__init__
    monkeypatch.setattr(Segmenter, '__init__', lambda *arguments, **named: (
        calls.append((arguments[2:], named)), real(*arguments, **named))[1])
    opened.trouble = RuntimeError('once')
    with pytest.raises(RuntimeError, match='once'):
        opened.run()
    opened.trouble = None
    opened.now += 2
    opened.engine.mend()
    assert calls == [(('onnxruntime', 'cpu', None), {'precision': backend.precision,
                                                     'build_engine': None})]
    assert opened.engine.chosen == chosen
    opened.engine.close()


def test_a_broken_engine_that_cannot_be_closed_is_opened_anew_all_the_same(
        opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Segmenter.close

    def broken(_: Segmenter) -> None:
        raise RuntimeError('gone')

    monkeypatch.setattr(Segmenter, 'close', broken)
    opened.trouble = RuntimeError('out of memory')
    with pytest.raises(RuntimeError, match='out of memory'):
        opened.run()
    monkeypatch.setattr(Segmenter, 'close', real)
    assert 'RuntimeError: gone' in opened.log.lines[-1]
    opened.trouble = None
    opened.now += 2
    opened.engine.mend()
    assert opened.run().shape == (48, 64)


def test_files_that_changed_meanwhile_are_refused(
        opened: Opened, model: Path, tmp_path: Path) -> None:
    content = (model / 'model.onnx').read_bytes()
    opened.trouble = RuntimeError('out of memory')
    with pytest.raises(RuntimeError, match='out of memory'):
        opened.run()
    opened.trouble = None
    try:
        (model / 'model.onnx').write_bytes(content + b' ')
        opened.now += 2
        opened.engine.mend()
        assert 'SHA-256' in opened.engine.fault
    finally:
        (model / 'model.onnx').write_bytes(content)
    opened.now += 3
    opened.engine.mend()
    assert not opened.engine.fault


# Of torch, ONNX Runtime and the CUDA bindings; the last three leave the context as it is.
CUDA_ERRORS = [
    ('CUDA error: an illegal memory access was encountered', True),
    ('CUDA failure 700: an illegal memory access was encountered ; GPU=0', True),
    ('CUDA error: device-side assert triggered', True),
    ('CUDA error: unspecified launch failure', True),
    ('CUDA error: the launch timed out and was terminated', True),
    ('CUDA says cudaErrorIllegalAddress', True),
    ('CUDA_ERROR_LAUNCH_FAILED', True),
    ('CUDA error: uncorrectable ECC error encountered', True),
    ('CUDA out of memory. Tried to allocate 2.00 GiB', False),
    ('CUDNN_STATUS_NOT_SUPPORTED', False),
    ('CUDA says cudaErrorInvalidValue', False)]


@pytest.mark.parametrize('text, lost', CUDA_ERRORS)
def test_errors_that_end_a_cuda_context_are_known(text: str, lost: bool) -> None:
    assert is_lost('cuda', RuntimeError(text)) == lost
    assert not is_lost('cpu', RuntimeError(text))


def test_a_lost_context_is_given_up(opened: Opened) -> None:
    opened.engine.segmenter.backend.device = 'cuda'
    opened.trouble = RuntimeError(CUDA_ERRORS[0][0])
    with pytest.raises(RuntimeError):
        opened.run()
    assert opened.gave_up == ['the engine has lost its CUDA context (RuntimeError: '
                              f'{CUDA_ERRORS[0][0]})']


def test_the_watchdog_barks_once_at_what_takes_too_long_and_at_nothing_else() -> None:
    heard: list[str] = []
    barked = threading.Event()
    dog = Watchdog(lambda text: (heard.append(text), barked.set()))
    try:
        with dog.step('waiting', 0.0):   # no bound
            time.sleep(3 * TICK_SECONDS)
        with dog.step('a quick one', 1000 * TICK_SECONDS):
            time.sleep(3 * TICK_SECONDS)
            assert dog.busy_s > 0
        assert dog.busy_s == 0 and not heard
        with dog.step('sleeping', 2 * TICK_SECONDS):
            assert barked.wait(SECONDS)
            time.sleep(3 * TICK_SECONDS)
        assert heard == ['sleeping has taken more than 0.2 s: it hangs']
    finally:
        dog.close()
    assert 'watchdog' not in {thread.name for thread in threading.enumerate()}


def test_time_in_which_the_whole_process_was_stopped_does_not_count(
        monkeypatch: pytest.MonkeyPatch) -> None:
    real, stopped_s = time.monotonic, [0.0]
    monkeypatch.setattr('frm_seg_ros.ros.watchdog.time.monotonic', lambda: real() + stopped_s[0])
    heard: list[str] = []
    dog = Watchdog(heard.append)
    try:
        with dog.step('working', 100 * TICK_SECONDS):
            time.sleep(2 * TICK_SECONDS)
            stopped_s[0] = 3600.0
            time.sleep(4 * TICK_SECONDS)
            assert dog.busy_s < 50 * TICK_SECONDS
        assert not heard
    finally:
        dog.close()


def test_frames_in_between_are_engine_errors_and_the_labels_come_back(
        make_rig: MakeRig, model: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(engine_module, 'FIRST_DELAY_S', 1000.0)
    monkeypatch.setattr(engine_module, 'LONGEST_DELAY_S', 1000.0)
    rig = make_rig()
    labels = rig.listen('label_image')
    real = Segmenter.__call__

    def broken(*_: Any) -> Any:
        raise RuntimeError('the runtime says no')

    monkeypatch.setattr(Segmenter, '__call__', broken)
    for count in (1, 2, 3):
        rig.send(rig.message(picture(count)))
        rig.wait_counts(engine_error=count)
    monkeypatch.setattr(Segmenter, '__call__', real)
    rig.send(rig.message(picture(4)))
    rig.wait_counts(engine_error=4)   # it is not yet time
    rig.node._engine._due = time.monotonic()
    rig.send(rig.message(picture(5)))
    rig.wait_counts(engine_error=4, processed=1)
    (wanted,) = Segmenter.open(model, 'onnxruntime')([picture(5)])
    np.testing.assert_array_equal(pixels(labels[0]), wanted.labels)
    text = capfd.readouterr().err
    assert 'opened anew in 1000 s: RuntimeError: the runtime says no' in text
    assert 'the engine is open again' in text


def test_it_comes_back_though_no_frame_comes(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    rig.listen('label_image')
    real, calls = Segmenter.__call__, []

    def once(segmenter: Segmenter, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError('once')
        return real(segmenter, *arguments)

    monkeypatch.setattr(Segmenter, '__call__', once)
    rig.send(rig.message(picture()))
    rig.wait_counts(engine_error=1)
    rig.wait_engine()


def test_a_worker_that_ends_by_a_fault_of_ours_ends_the_process(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    ended = threading.Event()
    monkeypatch.setattr(node_module, 'end', ended.set)
    rig = make_rig()
    rig.listen('label_image')

    def broken(*_: Any) -> None:
        raise KeyError('nobody thought of this')

    monkeypatch.setattr(Camera, 'finish', broken)
    rig.send(rig.message(picture()))
    assert ended.wait(SECONDS)
    assert "the thread that labels has ended (KeyError: 'nobody thought" in capfd.readouterr().err


@pytest.mark.parametrize('transition', ['deactivate', 'cleanup'])
def test_transitions_while_the_engine_is_down(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, transition: str) -> None:
    monkeypatch.setattr(engine_module, 'FIRST_DELAY_S', 1000.0)
    rig = make_rig()
    rig.listen('label_image')
    real = Segmenter.__call__

    def broken(*_: Any) -> Any:
        raise RuntimeError('the runtime says no')

    monkeypatch.setattr(Segmenter, '__call__', broken)
    rig.send(rig.message(picture()))
    rig.wait_counts(engine_error=1)
    monkeypatch.setattr(Segmenter, '__call__', real)
    assert rig.change('deactivate')
    if transition == 'cleanup':   # a new engine does not wait for what the old one did
        rig.stats.clear()
        assert rig.change('cleanup') and rig.change('configure') and rig.change('activate')
        rig.wait(lambda: rig.publisher('/frm_seg/label_image').get_subscription_count(),
                 'the listener to be seen')
        rig.send(rig.message(picture()))
        rig.wait_counts(processed=1)


def test_a_hanging_engine_is_told_of_and_given_up(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    ended = threading.Event()
    monkeypatch.setattr(node_module, 'end', ended.set)   # the process of the tests lives on
    rig = make_rig(engine_timeout_ms=0.0)
    rig.listen('label_image')
    seen: list[tuple[str, bytes, str]] = []
    rig.peer.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda message: seen.extend((one.name, one.level, one.message) for one in message.status),
        10)
    release = threading.Event()
    real = Segmenter.__call__

    def hang(segmenter: Segmenter, *arguments: Any) -> Any:
        assert release.wait(10 * SECONDS)
        return real(segmenter, *arguments)

    monkeypatch.setattr(Segmenter, '__call__', hang)
    try:
        rig.send(rig.message(picture()))
        rig.wait_pending(1)
        assert not ended.wait(0.5)   # 0 sets no bound
        assert rig.set('engine_timeout_ms', 1000.0)[0]   # from the next batch on
        release.set()
        rig.wait_counts(processed=1)
        release.clear()
        rig.send(rig.message(picture()))
        rig.wait(lambda: any('after 1 s the engine is taken to hang' in text
                             for name, _, text in seen if name == 'frm_seg: engine'), 'a warning')
        assert ended.wait(SECONDS)
        words = ('labelling a batch has taken more than 1 s: it hangs; the process ends with exit '
                 'code 3')
        rig.wait(lambda: ('frm_seg: start', b'\x02', words) in seen, 'the last words')
        assert words in capfd.readouterr().err
    finally:
        release.set()
    rig.wait_counts(processed=2)


def test_a_build_is_logged_now_and_then_and_ends_with_the_node(
        opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('frm_seg_ros.ros.engine.rclpy.ok', lambda: True)
    before = len(opened.log.lines)
    for text in ('building for 1 s', 'building for 2 s', 'engine kept: there'):
        opened.engine._tell_building(text)
    assert opened.log.lines[before:] == ['building for 1 s', 'engine kept: there']
    monkeypatch.setattr('frm_seg_ros.ros.engine.rclpy.ok', lambda: False)
    with pytest.raises(ConfigError, match='the node is ending: no engine was built'):
        opened.engine._tell_building('building for 3 s')
