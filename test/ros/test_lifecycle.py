"""States of the node, and what keeps it from starting."""
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from frm_seg_ros.msg import LabelSpace
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import Rig, picture

from frm_seg_ros.ros.worker import Worker
from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]


def damaged(model: Path, folder: Path) -> str:
    """Copy a model and spoil a byte of its network."""
    copy = Path(shutil.copytree(model, folder / 'damaged'))
    content = bytearray((copy / 'model.onnx').read_bytes())
    content[len(content) // 2] ^= 1
    (copy / 'model.onnx').write_bytes(content)
    return str(copy)


def cardless(model: Path, folder: Path) -> str:
    copy = Path(shutil.copytree(model, folder / 'cardless'))
    (copy / 'card.yaml').write_text('name: half a card\n')
    return str(copy)


BAD: list[tuple[dict[str, Any], str]] = [
    ({'model': '/no/such/model'}, "there is no model '/no/such/model'"),
    ({'model': damaged}, 'SHA-256'),
    ({'model': cardless}, 'every field is needed'),
    ({'network_size': '10x10'}, 'take one from 64x64'),
    ({'overlay_alpha': 7}, 'parameter overlay_alpha is 7.0: wanted number, 0 to 1'),
    ({'device': 'cuda'}, 'cuda'),
    ({'modle': 'x'}, 'there is no parameter modle: did you mean model?'),
    ({'qos_overrides./frm_seg/color.publisher.reliability': 'perhaps'}, 'perhaps'),
]


@pytest.mark.parametrize('parameters, sentence', BAD, ids=lambda value: str(value)[:40])
def test_a_bad_start_stays_unconfigured_and_says_why(
        make_rig: MakeRig, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str],
        parameters: dict[str, Any], sentence: str) -> None:
    parameters = {name: value(model, tmp_path) if callable(value) else value
                  for name, value in parameters.items()}
    rig = make_rig(**parameters)
    assert rig.state() == 'unconfigured'
    errors = [line for line in capfd.readouterr().err.splitlines() if 'ERROR' in line]
    assert len(errors) == 1 and sentence in errors[0]
    found: list[DiagnosticArray] = []
    rig.peer.create_subscription(DiagnosticArray, '/diagnostics', found.append, 10)
    rig.wait(lambda: len(found) >= 2, 'diagnostics, again and again')
    for message in found:
        (status,) = message.status
        assert status.level == DiagnosticStatus.ERROR and sentence in status.message
        assert status.name == 'frm_seg: start' and message.header.stamp.sec > 0
    assert not rig.node.finished.done()


def test_a_mended_parameter_lets_it_start(make_rig: MakeRig, model: Path) -> None:
    rig = make_rig(model='/no/such/model')
    assert not rig.change('configure')
    assert rig.set('model', str(model))[0]
    assert rig.change('configure') and rig.change('activate')
    rig.listen('label_image')
    rig.send(rig.message(picture()))
    rig.wait_counts(processed=1)
    found: list[DiagnosticArray] = []
    rig.peer.create_subscription(DiagnosticArray, '/diagnostics', found.append, 10)
    rig.wait(lambda: len(found) >= 10, 'ten periods')
    assert all({one.name for one in message.status} - {'frm_seg: machine'}
               == {'frm_seg: engine', 'frm_seg: camera'}
               for message in found)   # and no fault of the start


def test_exit_on_failure(make_rig: MakeRig) -> None:
    rig = make_rig(model='/no/such/model', exit_on_failure=True)
    assert rig.node.finished.result() == 1


def test_an_engine_that_fails_to_warm_up_is_freed(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    closed = []
    real = Segmenter.close

    def broken(*_: Any) -> Any:
        raise RuntimeError('no memory\non the device')

    def close(segmenter: Segmenter) -> None:
        closed.append(segmenter)
        real(segmenter)

    monkeypatch.setattr(Segmenter, '__call__', broken)
    monkeypatch.setattr(Segmenter, 'close', close)
    rig = make_rig()
    assert rig.state() == 'unconfigured' and len(closed) == 1
    assert 'RuntimeError: no memory on the device' in capfd.readouterr().err


def test_without_autostart_it_waits_to_be_told(make_rig: MakeRig) -> None:
    rig = make_rig(autostart=False)
    assert rig.state() == 'unconfigured'
    assert not rig.publisher('/frm_seg/label_image')
    assert rig.change('configure') and rig.state() == 'inactive'
    rig.wait(lambda: rig.stats, 'statistics while inactive')
    assert not rig.connected()
    assert rig.change('activate') and rig.state() == 'active'
    rig.wait(rig.connected, 'the subscription')


def test_two_whole_lives(make_rig: MakeRig) -> None:
    rig = make_rig()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    spaces = rig.listen('label_space', LabelSpace, latched)
    labels = rig.listen('label_image')
    for count in (1, 2):
        rig.wait(lambda: rig.publisher('/frm_seg/label_image').get_subscription_count(),
                 'the listener to be seen')
        rig.send(rig.message(picture()))
        rig.wait_messages(labels, count)
        rig.wait_messages(spaces, count)
        rig.wait(lambda: rig.counts().get('processed') == 1, 'statistics')
        if count == 1:
            for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
                rig.stats.clear()   # the counts begin anew
                assert rig.change(transition)


def test_cleaning_up_removes_the_topics_and_frees_the_device(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(Segmenter, 'close', lambda segmenter: closed.append(segmenter))
    rig = make_rig()
    assert rig.change('deactivate') and not closed
    assert rig.change('cleanup') and len(closed) == 1
    topics = {one.topic_name for one in rig.node.publishers}
    assert not {name for name in topics if name.startswith('/frm_seg/')} - {
        '/frm_seg/transition_event'}


def test_a_transition_that_fails_is_logged_and_leaves_the_node_unconfigured(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    real = Worker.stop
    rig = make_rig()

    def broken(worker: Worker) -> None:
        monkeypatch.setattr(Worker, 'stop', real)
        raise RuntimeError('no thread')

    monkeypatch.setattr(Worker, 'stop', broken)
    assert not rig.change('deactivate')
    assert rig.state() == 'unconfigured'
    assert 'on_deactivate failed: RuntimeError: no thread' in capfd.readouterr().err
    assert rig.change('configure') and rig.change('activate')


def test_an_engine_that_cannot_be_closed_leaves_the_node_unconfigured(
        make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    real = Segmenter.close

    def broken(_: Segmenter) -> None:
        raise RuntimeError('the device is gone')

    monkeypatch.setattr(Segmenter, 'close', broken)
    rig = make_rig()
    assert rig.change('deactivate') and rig.change('cleanup')
    assert rig.state() == 'unconfigured'
    assert 'RuntimeError: the device is gone' in capfd.readouterr().err
    monkeypatch.setattr(Segmenter, 'close', real)
    assert rig.change('configure') and rig.change('activate')
