"""Player and recorder as real processes on real DDS: bytes, stamps, times and errors."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS 2 is sourced')
pytest.importorskip('rosbags', reason='rosbags is not installed: pip install frm-seg[bag]')

from rosbags.highlevel import AnyReader  # noqa: E402

from frm_seg_ros.tools.make_bag import make_bag  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, 'PYTHONUNBUFFERED': '1',
       'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
COUNT = 12


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a bag of 640x480 images: above 480 KB, where best effort needs the profile."""
    folder = tmp_path_factory.mktemp('play')
    (folder / 'in').mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / 'in' / f'{index}.png'), np.full((480, 640, 3), index, np.uint8))
    make_bag(f'images:{folder / "in"}', folder / 'bag')
    return folder / 'bag'


def start(program: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, '-m', f'frm_seg_ros.ros.{program}', *arguments],
                            env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def messages(path: Path, topic: str) -> list[tuple[int, bytes]]:
    with AnyReader([path]) as reader:
        chosen = [one for one in reader.connections if one.topic == topic]
        return [(time_ns, bytes(data)) for _, time_ns, data in reader.messages(chosen)]


@pytest.mark.parametrize('reliability', ['best_effort', 'reliable'])
def test_what_is_played_is_recorded_byte_for_byte(bag: Path, tmp_path: Path,
                                                  reliability: str) -> None:
    topic, out, log = f'/{reliability}/there', tmp_path / 'out', tmp_path / 'log.jsonl'
    recorder = start('record', str(out), '--topic', topic, '--echo', topic)
    before = time.time_ns()
    player = start('play', str(bag), '--to', topic, '--rate', '40', '--log', str(log),
                   '--reliability', reliability)
    said, errors = player.communicate(timeout=40)
    assert (player.returncode, errors) == (0, '')
    assert said == f'{COUNT} of {COUNT} messages sent to {topic}\n'
    assert not out.exists()
    recorder.send_signal(signal.SIGINT)
    lines, errors = recorder.communicate(timeout=20)
    after = time.time_ns()
    assert recorder.returncode == 0, errors
    assert errors == f'recorded to {out}: {topic} {COUNT}\n'

    sent, received = messages(bag, '/camera/image'), messages(out, topic)
    assert [data for _, data in received] == [data for _, data in sent]
    log_lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line['stamp_ns'] for line in log_lines] == [
        1_000_000_000 + index * 100_000_000 for index in range(COUNT)]
    times = [line['sent_ns'] for line in log_lines]
    assert np.diff(times).mean() == pytest.approx(25e6, rel=0.2)
    for sent_ns, (received_ns, _) in zip(times, received):
        assert before < sent_ns < received_ns < after
    first, *echoed = lines.splitlines()
    assert first == 'ready'
    stamps = [json.loads(line)['header']['stamp'] for line in echoed]
    assert stamps[1] == {'sec': 1, 'nanosec': 100_000_000}
    assert len(stamps) == COUNT
    assert sorted(path.name for path in tmp_path.iterdir()) == ['log.jsonl', 'out']


def test_the_pace_is_that_of_the_bag(bag: Path, tmp_path: Path) -> None:
    log = tmp_path / 'log.jsonl'
    player = start('play', str(bag), '--to', '/pace', '--wait-subscribers', '0',
                   '--log', str(log))
    player.communicate(timeout=40)
    times = [json.loads(line)['sent_ns'] for line in log.read_text().splitlines()]
    assert np.diff(times).mean() == pytest.approx(100e6, rel=0.05)


@pytest.mark.parametrize('line, words', [
    (['play', 'BAG', '--topic', '/none'], 'has no topic /none: it has /camera/camera_info'),
    (['play', 'BAG', '--limit-mb', '2'], 'more than 2 MB'),
    (['play', 'no/bag'], 'no/bag'),
    (['play', 'BAG', '--wait-timeout', '0.2', '--to', '/nobody/listens'],
     '/nobody/listens has 0 of 1 subscribers after 0.2 s'),
    (['record', 'OUT', '--topic', '/nobody/speaks', '--wait-timeout', '0.2'],
     'nobody publishes /nobody/speaks after 0.2 s'),
    (['record', 'BAG', '--topic', '/any'], 'is there already'),
])
def test_errors_are_one_sentence(bag: Path, tmp_path: Path, line: list[str], words: str) -> None:
    places = {'BAG': str(bag), 'OUT': str(tmp_path / 'out')}
    process = start(*(places.get(part, part) for part in line))
    _, errors = process.communicate(timeout=40)
    assert process.returncode == 2
    assert errors.startswith(f'{line[0]}: ') and words in errors and errors.count('\n') == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_player_that_is_stopped_says_what_it_sent(bag: Path, tmp_path: Path,
                                                    number: signal.Signals) -> None:
    log = tmp_path / 'log.jsonl'
    player = start('play', str(bag), '--to', '/stopped', '--rate', '0.5', '--log', str(log),
                   '--wait-subscribers', '0')
    time.sleep(2.0)
    player.send_signal(number)
    said, errors = player.communicate(timeout=20)
    assert (player.returncode, errors) == (130, '')
    sent = len(log.read_text().splitlines())
    assert 1 <= sent < COUNT and said.startswith(f'{sent} of {COUNT} messages')


def test_player_and_recorder_import_nothing_of_the_node() -> None:
    code = ('import sys, frm_seg_ros.ros.play, frm_seg_ros.ros.record; '
            'print(sorted(name for name in sys.modules if name.startswith("frm_seg_ros.")))')
    found = subprocess.run([sys.executable, '-c', code], env=ENV, capture_output=True, text=True,
                           check=True, timeout=60)
    assert found.stdout.strip() == str([
        'frm_seg_ros.core', 'frm_seg_ros.core.errors', 'frm_seg_ros.core.files',
        'frm_seg_ros.ros', 'frm_seg_ros.ros.command', 'frm_seg_ros.ros.play',
        'frm_seg_ros.ros.record'])
