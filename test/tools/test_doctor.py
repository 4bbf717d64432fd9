"""What the doctor says, by facts gathered here and by facts made up."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model

from frm_seg_ros import cli
from frm_seg_ros.core.model_card import ONNX
from frm_seg_ros.tools import doctor, doctor_facts
from frm_seg_ros.tools.doctor import ERROR, OK, WARNING, findings

ROOT = Path(__file__).resolve().parents[2]
MB = 1 << 20


def camera(**changes: Any) -> dict[str, Any]:
    return {'topic': '/cam/image_raw', 'type': 'sensor_msgs/msg/Image',
            'node_takes': 'BEST_EFFORT', 'received': 30, 'lost': 0, 'rate_hz': 10.0,
            'publishers': [{'node': '/cam', 'reliability': 'BEST_EFFORT',
                            'durability': 'VOLATILE'}],
            'largest_bytes': 1280 * 720 * 3, 'delay_s': 0.02, 'stamped': True,
            'frame_id': 'front', 'format': 'rgb8', 'height': 720, 'width': 1280, **changes}


def sound(**changes: Any) -> dict[str, Any]:
    """Make facts with which nothing is wrong."""
    backend = {'problem': '', 'device': 'cpu', 'precision': 'float32', 'chosen': 'backend x'}
    return {'python': {'version': '3.11.7', 'machine': 'x86_64'}, 'cv2': '4.14.0',
            'packages': {'numpy': '2.4.6', 'opencv-python-headless': '4.14.0'},
            'models': {'/m/frm': ''}, 'backends': {'openvino': backend},
            'gpu': {'devices': [], 'jetson': '', 'power_mode': ''},
            'shared_memory': {'total': 1024 * MB, 'free': 512 * MB, 'fastdds_segments': 2},
            'profile': {'variable': 'FASTRTPS_DEFAULT_PROFILES_FILE', 'file': '/p.xml',
                        'problem': '', 'segment_bytes': 32 * MB},
            'environment': {}, 'ros': ros(), **changes}


def ros(**changes: Any) -> dict[str, Any]:
    return {'problem': '', 'distro': 'jazzy', 'rmw': 'rmw_fastrtps_cpp', 'messages_problem': '',
            'cv_bridge': False, 'cameras': [camera()], 'mismatches': [], 'our_nodes': [],
            'nobody_publishes': [], **changes}


def wrong(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [one for one in findings(facts) if one[0] != OK]


def test_nothing_is_wrong_with_sound_facts() -> None:
    assert wrong(sound()) == []
    (told,) = (text for _, about, text in findings(sound()) if about == 'camera')
    assert told == ('/cam/image_raw offers best_effort; qos: auto takes best_effort; 30 arrived, '
                    '10.0 Hz, 720x1280 rgb8, 2700 KB')


profile = sound()['profile']
BROKEN = {'problem': 'x', 'device': None}
CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({'python': {'version': '3.9.1', 'machine': 'x'}}, WARNING, 'Python', 'take 3.10 to 3.13'),
    ({'cv2': '5.0.0'}, ERROR, 'OpenCV', 'opencv-python-headless<5'),
    ({'cv2': ''}, ERROR, 'OpenCV', 'import cv2 fails'),
    ({'packages': {'opencv-python': '4', 'opencv-python-headless': '4'}}, WARNING, 'OpenCV',
     'own the same folder'),
    ({'models': {'/m/x': 'hash differs: restore it'}}, ERROR, 'model', 'restore it'),
    ({'backends': {'a': sound()['backends']['openvino'], 'b': BROKEN}}, WARNING, 'backend',
     'b does not run: x'),
    ({'backends': {'a': BROKEN | {'problem': 'a is not installed'}}}, ERROR, 'backend',
     'none runs'),
    ({'gpu': {'devices': ['H'], 'jetson': '', 'power_mode': ''}}, WARNING, 'GPU',
     'no backend uses it'),
    ({'ros': {'problem': 'no ROS 2 is here'}}, WARNING, 'ROS', 'frm-seg works without'),
    ({'ros': {'problem': 'it crashed (SIGSEGV)'}}, WARNING, 'ROS', 'rclpy does not work here'),
    ({'environment': {'ROS_LOCALHOST_ONLY': '1'}}, WARNING, 'ROS', 'unset it'),
    ({'ros': ros(messages_problem='are not built: run colcon build')}, ERROR, 'messages',
     'colcon build'),
    ({'profile': {**profile, 'segment_bytes': 0}}, WARNING, 'transport',
     'FASTRTPS_DEFAULT_PROFILES_FILE='),
    ({'profile': {**profile, 'problem': '/p.xml cannot be read'}}, ERROR, 'transport',
     'cannot be read'),
    ({'profile': {**profile, 'segment_bytes': 3 * MB}}, WARNING, 'transport',
     'has 3072 KB, images have 2700 KB'),
    ({'shared_memory': {'total': 64 * MB, 'free': 60 * MB, 'fastdds_segments': 0}}, WARNING,
     '/dev/shm', '--shm-size'),
    ({'shared_memory': None}, WARNING, '/dev/shm', 'is not there'),
    ({'ros': ros(cameras=[])}, WARNING, 'camera', 'no image topic is seen'),
    ({'ros': ros(cameras=[camera(received=0, rate_hz=0.0)])}, WARNING, 'camera',
     'nothing arrived'),
    ({'ros': ros(cameras=[camera(lost=7)])}, WARNING, 'camera', '7 more were lost'),
    ({'ros': ros(cameras=[camera(format='32FC1')])}, ERROR, 'camera', "'32FC1'"),
    ({'ros': ros(cameras=[camera(stamped=False)])}, WARNING, 'clock', 'has no stamps'),
    ({'ros': ros(cameras=[camera(delay_s=90.0)])}, WARNING, 'clock', '90.0 s behind'),
    ({'ros': ros(cameras=[camera(delay_s=-90.0)])}, WARNING, 'clock', '90.0 s ahead'),
    ({'ros': ros(mismatches=['/x: nothing goes'])}, WARNING, 'QoS', '/x: nothing goes'),
    ({'ros': ros(our_nodes=['/frm_seg'], nobody_publishes=['/image'])}, WARNING, 'camera',
     '/frm_seg listens to /image, which nobody publishes'),
]


@pytest.mark.parametrize('change, level, about, text', CASES)
def test_each_thing_that_is_wrong_gets_its_line(change: dict[str, Any], level: str, about: str,
                                                text: str) -> None:
    found = wrong(sound(**change))
    assert any(one[:2] == (level, about) and text in one[2] for one in found), found
    assert all('\n' not in one[2] for one in found)


def test_cv_bridge_serves_rare_encodings_and_other_middlewares_need_no_profile() -> None:
    assert not wrong(sound(ros=ros(cameras=[camera(format='32FC1')], cv_bridge=True)))
    assert not wrong(sound(ros=ros(rmw='rmw_cyclonedds_cpp'),
                           profile={**profile, 'segment_bytes': 0}))


@pytest.mark.parametrize('change, code', [({}, 0), (CASES[0][0], 1), (CASES[1][0], 2)])
def test_exit_code_and_json(change: dict[str, Any], code: int, capsys: pytest.CaptureFixture,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, 'collect', lambda model, seconds: sound(**change))
    assert cli.main(['doctor', '--json']) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed['facts']['cv2'] == sound(**change)['cv2']
    levels = {one['level'] for one in printed['findings']} - {OK}
    assert levels == ({WARNING} if code == 1 else {ERROR} if code == 2 else set())
    assert cli.main(['doctor']) == code
    assert 'numpy 2.4.6' in capsys.readouterr().out or 'packages' in change


def test_a_model_with_a_broken_hash(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / 'tiny')
    assert doctor_facts.models(str(model))[str(model)] == ''
    (model / ONNX).write_bytes((model / ONNX).read_bytes()[:-1])
    found = doctor_facts.models(str(model))
    assert 'SHA-256' in found[str(model)] and len(found) == 2   # the shipped one too
    assert 'there is no model' in doctor_facts.models('nonsense')['nonsense']


def test_a_backend_is_tried_with_the_model(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    model = write_tiny_model(tmp_path / 'tiny')
    arguments = ['frm_seg_ros.tools.doctor_backend', 'onnxruntime', str(model)]
    found = doctor_facts._child(arguments, 60)
    assert (found['problem'], found['device'], found['precision']) == ('', 'cpu', 'float32')
    (model / ONNX).write_bytes(b'')
    assert 'SHA-256' in doctor_facts._child(arguments, 60)['problem']


@pytest.mark.parametrize('code, problem', [
    (f'import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})', r'it crashed (SIGSEGV)'),
    ('import time; time.sleep(60)', 'it hung for 5 s'),
    ('raise ImportError("undefined symbol: x")', 'ImportError: undefined symbol: x'),
    ('raise ModuleNotFoundError("no", name="rclpy")', 'no ROS 2 is here'),
    ('import os; print("{"); os._exit(0)', 'it printed no facts'),
])
def test_a_broken_rclpy_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str,
                                     problem: str) -> None:
    (tmp_path / 'rclpy.py').write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = doctor_facts._child(['frm_seg_ros.ros.doctor'], 5)
    assert found.keys() == {'problem'} and problem in found['problem']


def test_the_profile_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in doctor_facts.PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert doctor_facts.profile()['variable'] is None
    name = 'FASTRTPS_DEFAULT_PROFILES_FILE'
    monkeypatch.setenv(name, str(ROOT / 'config' / 'fastdds_shm.xml'))
    assert doctor_facts.profile()['segment_bytes'] == 32 * MB
    other = tmp_path / 'other.xml'
    other.write_text('<dds><transport_descriptor><type>UDPv4</type></transport_descriptor></dds>')
    monkeypatch.setenv(name, str(other))
    assert (doctor_facts.profile()['segment_bytes'], doctor_facts.profile()['problem']) == (0, '')
    other.write_text('<dds')
    assert 'cannot be read' in doctor_facts.profile()['problem']
    monkeypatch.setenv(name, str(tmp_path / 'none.xml'))
    assert 'No such file' in doctor_facts.profile()['problem']


def test_the_whole_command(tmp_path: Path) -> None:
    """The tiny model in its backends; whatever ROS is here or not."""
    pytest.importorskip('onnxruntime')
    model = write_tiny_model(tmp_path / 'tiny')
    done = subprocess.run(
        [sys.executable, '-m', 'frm_seg_ros.cli', 'doctor', '--model', str(model), '--seconds',
         '0.5', '--json'], capture_output=True, text=True, timeout=300, cwd=ROOT,
        env={'ROS_DOMAIN_ID': str(1 + os.getpid() % 100), **os.environ})
    printed = json.loads(done.stdout)
    assert printed['facts']['backends']['onnxruntime']['problem'] == ''
    assert printed['facts']['models'][str(model)] == ''
    assert done.returncode in (0, 1), done.stderr
