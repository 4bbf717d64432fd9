"""The node as a process of its own: its end, its exit codes, its first words."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState
from rclpy.task import Future
from rig import Rig, picture, pixels

from frm_seg_ros.segmenter import Segmenter

ROOT = Path(__file__).resolve().parents[2]
MAIN = 'import sys; from frm_seg_ros.ros.node import main; sys.exit(main())'
SECONDS = 60.0


@contextmanager
def running(*arguments: str, code: str = MAIN) -> Iterator[subprocess.Popen[str]]:
    """Run the node with ROS arguments."""
    paths = [str(ROOT), *filter(None, sys.path)]
    process = subprocess.Popen(
        [sys.executable, '-c', code, '--ros-args', *arguments], text=True, cwd='/',
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(paths)})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def options(model: Path, **values: Any) -> list[str]:
    """Write parameters as command-line arguments."""
    values = {'model': model, 'backend': 'onnxruntime', **values}
    return [word for name, value in values.items() for word in ('-p', f'{name}:={value}')]


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read the output up to a line that holds a text; a process that never says it is killed."""
    lines = []
    limit = threading.Timer(SECONDS, process.kill)
    limit.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return
    finally:
        limit.cancel()
    raise AssertionError(f'the node did not say {text!r}, but:\n{"".join(lines)}')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_while_frames_come(model: Path, number: signal.Signals) -> None:
    peer = Rig(start=False)
    try:
        with running(*options(model, qos='reliable')) as process:
            read_until(process, 'model tiny')
            found = peer.listen('label_image')
            image = picture(0, (480, 640))
            message = peer.message(image)
            peer.wait(lambda: peer.send(message) or found, 'label images', SECONDS)
            assert found[0].header == message.header
            (wanted,) = Segmenter.open(model, 'onnxruntime')([image])
            np.testing.assert_array_equal(pixels(found[0]), wanted.labels)
            sent = time.monotonic()
            process.send_signal(number)
            time.sleep(0.05)
            process.send_signal(number)   # as launch does
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, output
            assert 'Traceback' not in output and 'Error' not in output
            assert time.monotonic() - sent < 20   # 2 s and one frame, on an idle machine
    finally:
        peer.close()


BROKEN = """
import ctypes, sys
from frm_seg_ros.segmenter import Segmenter
real, calls = Segmenter.__call__, []
def call(segmenter, *arguments):
    calls.append(1)
    if len(calls) > 1:    # the first is the warm-up
        TROUBLE
    return real(segmenter, *arguments)
Segmenter.__call__ = call
"""
SLOW = ('import time\nfrom frm_seg_ros.segmenter import Segmenter\nreal = Segmenter.__init__\n'
        'def late(*arguments, **named):\n    print("loading", flush=True)\n'
        '    time.sleep(0.5)\n    real(*arguments, **named)\n'
        f'Segmenter.__init__ = late\n{MAIN}')
STEPS = {'inactive': ['configure'], 'active': ['configure', 'activate'],
         'finalized': ['configure', 'shutdown']}
HANG = "print('hanging', flush=True); ctypes.CDLL(None).pause()"   # lets go of Python's lock
LOSE = ("segmenter.backend.device = 'cuda'; "
        "raise RuntimeError('CUDA error: an illegal memory access was encountered')")


@pytest.mark.parametrize('trouble, words', [
    (HANG, 'labelling a batch has taken more than 1 s: it hangs'),
    (LOSE, 'the engine has lost its CUDA context')])
def test_an_engine_that_only_a_new_process_gets_back_ends_it_with_code_3(
        model: Path, trouble: str, words: str) -> None:
    code = BROKEN.replace('TROUBLE', trouble) + MAIN
    peer = Rig(start=False)
    statuses: list[tuple[str, bytes, str]] = []
    try:
        with running(*options(model, qos='reliable', engine_timeout_ms=1000),
                     code=code) as process:
            peer.peer.create_subscription(
                DiagnosticArray, '/diagnostics',
                lambda message: statuses.extend(
                    (one.name, one.level, one.message) for one in message.status), 10)
            read_until(process, 'model tiny')
            peer.listen('label_image')
            message = peer.message(picture())
            while process.poll() is None:
                peer.send(message)
                time.sleep(0.1)
            output = process.stdout.read()
            assert process.returncode == 3, output
            assert words in output and 'ends with exit code 3' in output
            assert 'Traceback' not in output
            peer.wait(lambda: any(name == 'frm_seg: start' and level == DiagnosticStatus.ERROR
                                  and words in text for name, level, text in statuses),
                      'the last words on /diagnostics')
    finally:
        peer.close()


def test_a_node_that_was_told_to_end_while_its_engine_hangs_ends_by_its_timeout(
        model: Path) -> None:
    code = BROKEN.replace('TROUBLE', HANG) + MAIN
    peer = Rig(start=False)
    try:
        with running(*options(model, qos='reliable', engine_timeout_ms=2000),
                     code=code) as process:
            read_until(process, 'model tiny')
            peer.listen('label_image')
            peer.send(peer.message(picture()))
            read_until(process, 'hanging')
            for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
                process.send_signal(number)
                time.sleep(0.05)
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 3 and 'Traceback' not in output, output
    finally:
        peer.close()


def test_a_destroyed_entity_that_an_executor_meets_is_no_reason_to_end(model: Path) -> None:
    # What Humble's executors do (rclpy 1206); here from a callback, since ours do it no more.
    code = ('from rclpy.exceptions import InvalidHandle\n'
            'from frm_seg_ros.ros.camera import Camera\n'
            'real, calls = Camera._on_message, []\n'
            'def call(*arguments):\n    calls.append(1)\n    if len(calls) == 1:\n'
            '        print("raised", flush=True)\n        raise InvalidHandle("destroyed")\n'
            f'    real(*arguments)\nCamera._on_message = call\n{MAIN}')
    peer = Rig(start=False)
    try:
        with running(*options(model, qos='reliable'), code=code) as process:
            read_until(process, 'model tiny')
            found = peer.listen('label_image')
            message = peer.message(picture())
            peer.send(message)
            read_until(process, 'raised')
            peer.wait(lambda: peer.send(message) or found, 'label images', SECONDS)
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
    finally:
        peer.close()


@pytest.mark.parametrize('state', ['unconfigured', 'configuring', 'inactive', 'active',
                                   'finalized'])
def test_two_signals_end_it_cleanly_in_every_state_of_its_manager(
        model: Path, state: str) -> None:
    code = SLOW if state == 'configuring' else MAIN
    peer = Rig(start=False)
    client = peer.peer.create_client(ChangeState, '/managed/change_state')

    def ask(label: str) -> Future:
        request = ChangeState.Request()
        request.transition.label = label
        return client.call_async(request)

    try:
        with running(*options(model, autostart='false'), '-r', '__node:=managed',
                     code=code) as process:
            assert client.wait_for_service(SECONDS)
            if state == 'configuring':
                ask('configure')
                read_until(process, 'loading')
            for label in STEPS.get(state, ()):
                done = ask(label)
                peer.wait(done.done, label, SECONDS)
                assert done.result().success
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, output
            assert 'Traceback' not in output and 'rror' not in output
    finally:
        peer.close()


def test_a_signal_ends_it_cleanly_while_the_model_loads(model: Path) -> None:
    with running(*options(model), code=SLOW) as process:
        read_until(process, 'loading')
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0 and 'Traceback' not in output, output


@pytest.mark.parametrize('moment, number', [('before', signal.SIGINT), ('after', signal.SIGTERM)])
def test_signals_around_the_start_of_ros_end_it(
        model: Path, moment: str, number: signal.Signals) -> None:
    steps = ['    os.kill(os.getpid(), NUMBER)', '    time.sleep(0.3)', '    real(**arguments)']
    steps = steps if moment == 'before' else [steps[2], *steps[:2]]
    code = '\n'.join(['import os, time, rclpy', 'real = rclpy.init', 'def init(**arguments):',
                      *steps, 'rclpy.init = init', MAIN]).replace('NUMBER', str(int(number)))
    with running(*options(model), code=code) as process:
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0 and 'Traceback' not in output, output


def test_exit_on_failure_gives_exit_code_1_and_one_sentence() -> None:
    with running(*options(Path('/no/such/model'), exit_on_failure='true')) as process:
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert len(output.splitlines()) == 1 and "no model '/no/such/model'" in output


def test_a_failed_start_stays_and_ends_with_exit_code_0() -> None:
    with running(*options(Path('/no/such/model'))) as process:
        read_until(process, "no model '/no/such/model'")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0 and 'Traceback' not in output, output


def test_arguments_that_ros_cannot_parse_give_exit_code_2() -> None:
    with running('--params-file', '/no/such/file') as process:
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 2 and 'Traceback' not in output
        assert '/no/such/file' in output


def test_the_shipped_parameters_start_it(model: Path) -> None:
    with running('--params-file', str(ROOT / 'config/segment.yaml'),
                 *options(model, overlay_alpha=1)) as process:
        read_until(process, 'model tiny')


def without_messages(missing: str) -> str:
    """Give a program whose import of the messages fails for want of the module `missing`."""
    return ('import sys\n'
            'class Hide:\n'
            '    def find_spec(self, name, *_):\n'
            '        if name == "frm_seg_ros.msg":\n'
            f'            raise ModuleNotFoundError("hidden", name="{missing}")\n'
            f'sys.meta_path.insert(0, Hide())\n{MAIN}')


def test_without_the_messages_one_sentence_tells_how_to_build_them() -> None:
    with running(code=without_messages('frm_seg_ros.msg')) as process:
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert len(output.splitlines()) == 1 and '`colcon build`' in output


def test_other_missing_modules_are_not_blamed_on_the_build() -> None:
    with running(code=without_messages('frm_seg_ros_c')) as process:
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 1 and 'colcon' not in output and 'hidden' in output
