"""The replay on real DDS: with the real node, and with nodes that it knows nothing of."""
from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS 2 is sourced')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402

from frm_seg_ros.ros.replay_run import Outputs  # noqa: E402
from frm_seg_ros.segmenter import Segmenter  # noqa: E402
from frm_seg_ros.sources.base import open_source  # noqa: E402
from frm_seg_ros.tools.evaluate import run_evaluation  # noqa: E402
from frm_seg_ros.tools.label_hash import hash_hashes, hash_image  # noqa: E402
from frm_seg_ros.tools.make_bag import make_bag  # noqa: E402

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
ENV = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
COUNT = 6
NODE = 'from frm_seg_ros.ros.node import main; main()'


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('replay') / 'bag'
    make_bag(f'synthetic:5:{COUNT}', folder)
    return folder


def replay(bag: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, '-m', 'frm_seg_ros.ros.replay', str(bag), *arguments],
                          env=ENV, text=True, capture_output=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def real_node(model: Path, *parameters: str) -> str:
    pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')
    given = [word for parameter in (f'model:={model}', 'backend:=onnxruntime', *parameters)
             for word in ('-p', parameter)]
    return shlex.join([sys.executable, '-c', NODE, '--ros-args', '-r', 'image:=/camera/image',
                       *given])


def other_node(*arguments: str) -> str:
    return shlex.join([sys.executable, str(FOLDER / 'answering_node.py'), *arguments])


def replay_other(bag: Path, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    replay(bag, '--image', '/there/in', '--output', '/there/out', '--json',
           str(tmp_path / 'r.json'), *arguments)
    return json.loads((tmp_path / 'r.json').read_text())


@pytest.mark.parametrize('clock', [False, True])
def test_lockstep_gives_the_labels_of_offline_evaluation(bag: Path, model: Path, tmp_path: Path,
                                                         clock: bool) -> None:
    options = ['--clock'] if clock else []
    node = real_node(model, *(['use_sim_time:=true', 'max_age_ms:=500.0'] if clock else []))
    done = replay(bag, '--node', node, '--lockstep', '--json', str(tmp_path / 'r.json'), *options)
    found = json.loads((tmp_path / 'r.json').read_text())
    offline = run_evaluation(f'bag:{bag}', str(model), backend='onnxruntime')
    assert found['labels_sha256'] == offline['labels_sha256']
    segmenter = Segmenter.open(model, 'onnxruntime')
    hashes = [hash_image(segmenter([frame.image])[0].labels)
              for frame in open_source(f'bag:{bag}')]
    segmenter.close()
    assert found['labels_sha256'] == hash_hashes(hashes) and len(set(hashes)) == COUNT
    assert found['labels_frames'] == COUNT and found['labels_differing'] == 0
    for key in ('miou', 'iou', 'pixel_accuracy', 'frames', 'classes'):
        assert found['scores'][key] == offline[key]
    assert f'mIoU of {COUNT} frames: {offline["miou"]:.4f}' in done.stdout
    told = found['lockstep']['accounts'][0]
    assert told == {'sent': COUNT, 'came_back': COUNT, 'missed': 0, 'repeated': 0, 'node': {
        'received': COUNT, 'processed': COUNT, 'lost_in_transport': 0, 'dropped': {},
        'pending': 0, 'lost_before': 0, 'lost_after': 0}}


def test_rates_and_peak_with_the_real_node(bag: Path, model: Path, tmp_path: Path) -> None:
    done = replay(bag, '--node', real_node(model), '--rates', '10,25', '--seconds', '1',
                  '--repeats', '2', '--peak', '40', '--json', str(tmp_path / 'r.json'))
    found = json.loads((tmp_path / 'r.json').read_text())
    for rate, frames in (('10.0fps', 10), ('25.0fps', 25)):
        figures = found[rate]
        assert figures['BasicPerformanceMetrics.NUM_FRAMES_SENT'] == frames
        assert figures['repeats'] == 2 == len(figures['accounts']) == len(figures['processes'])
        for told in figures['accounts']:
            node = told['node']
            assert told['sent'] == frames == told['came_back'] + told['missed']
            assert node['received'] == node['processed'] + sum(node['dropped'].values())
            assert told['missed'] == (node['lost_before'] + sum(node['dropped'].values())
                                      + node['lost_after'])
            assert node['pending'] == 0 <= node['lost_before'] and node['lost_after'] >= 0
        for used in figures['processes']:
            assert 0 < used['node']['cpu_cores'] < 3 and used['node']['memory_mb'] > 50
            assert 0 < used['player']['cpu_cores'] and 0 <= used['monitor']['cpu_cores']
        # Publishing goes on while the monitor receives already.
        stages = figures['stages_ms']
        for rank in ('p50', 'p90', 'max'):
            for stage in ('pre', 'inference', 'post'):
                assert 0 < stages[stage][rank] < figures['in_node_ms'][rank]
            assert figures['latency_ms'][rank] > figures['in_node_ms'][rank] - max(
                stages['publish']['max'], stages['wait']['max'])
    tried = found['peak']['tried']
    assert tried[0]['rate_hz'] == 40 and 0 < found['peak']['rate_hz'] <= 40
    assert (found['BasicPerformanceMetrics.MEAN_LATENCY']
            == found['peak']['BasicPerformanceMetrics.MEAN_LATENCY'])
    assert found['labels_differing'] == 0 and found['scores']['frames'] == COUNT
    assert found['conditions']['cores'] and 'replay' in found['command']
    assert found['metadata']['BenchmarkMetadata.INPUT_DATA_SIZE'] > 1_000_000
    assert done.stdout.count('% lost') == 4 + len(tried) + 2


@pytest.mark.parametrize('arguments', [[], ['--best-effort']])
def test_a_foreign_node_that_answers_every_second_image(bag: Path, tmp_path: Path,
                                                        arguments: list[str]) -> None:
    node = other_node('--every', '2', '--sleep', '0.02', *arguments)
    found = replay_other(bag, tmp_path, '--node', node, '--rates', '20', '--seconds', '1',
                         '--repeats', '1', '--warm-up', '2')
    figures, told = found['20.0fps'], found['20.0fps']['accounts'][0]
    assert told['node'] is None and figures['stages_ms'] is None
    assert (told['sent'], told['came_back'], told['missed']) == (20, 10, 10)
    assert figures['loss'] == 0.5
    assert figures['BasicPerformanceMetrics.NUM_MISSED_FRAMES'] == 10
    assert figures['latency_ms']['p50'] >= 20
    assert figures['processes'][0]['node']['memory_mb'] > 10
    assert found['scores'] == {'none': 'the node does not tell its label space: name it with '
                                       '--predictions-space'}


def test_labels_of_a_foreign_node_are_scored_in_the_space_that_is_told(bag: Path,
                                                                        tmp_path: Path) -> None:
    found = replay_other(bag, tmp_path, '--node', other_node(), '--lockstep', '--reliability',
                         'best_effort', '--predictions-space', 'camvid')
    # It gives the red of the image, which is no train id.
    assert 'wanted ids of the label space or 255' in found['scores']['none']
    reds = [hash_image(frame.image[..., 0]) for frame in open_source(f'bag:{bag}')]
    assert found['labels_sha256'] == hash_hashes(reds) and found['labels_frames'] == COUNT


def test_the_process_of_a_running_node_is_named(bag: Path, tmp_path: Path) -> None:
    with subprocess.Popen(shlex.split(other_node()), env=ENV) as node:
        try:
            options = ('--lockstep', '--reliability', 'best_effort')
            found = replay_other(bag, tmp_path, '--pid', str(node.pid), *options)
            assert found['lockstep']['processes'][0]['node']['memory_mb'] > 10
            found = replay_other(bag, tmp_path, *options)
            assert 'node' not in found['lockstep']['processes'][0]
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(20)


@pytest.mark.parametrize('arguments, words', [
    (['--topic', '/none'], '/none in the bag BAG is no such topic'),
    (['--node', 'no_such_program_there'], 'no executable no_such_program_there'),
    (['--pid', '4194999'], 'there is no process 4194999'),
    (['--wait-timeout', '0.5', '--output', '/there/none'], 'nobody publishes /there/none: no'),
    (['--node', 'ANSWERING', '--wait-timeout', '5', '--output', '/there/none'],
     'nobody publishes /there/none: images are published on /there/out;'),
    (['--node', 'ANSWERING', '--wait-timeout', '5', '--output', '/there/out'],
     'nobody subscribes to /camera/image: images are wanted on /there/in;'),
    (['--node', 'ANSWERING --every 0', '--answer-timeout', '2', '--output', '/there/out',
      '--image', '/there/in'], 'no image came back within 2 s, though'),
    (['--node', 'ANSWERING --die-after 4', '--output', '/there/out', '--image', '/there/in'],
     'the node ended early with exit code 1: tired'),
])
def test_errors_are_one_sentence(bag: Path, tmp_path: Path, arguments: list[str],
                                 words: str) -> None:
    arguments = [word.replace('ANSWERING', other_node()) for word in arguments]
    done = replay(bag, *arguments, '--json', str(tmp_path / 'r.json'), code=2)
    assert done.stderr.startswith('replay: ') and done.stderr.count('\n') == 1
    assert words.replace('BAG', str(bag)) in done.stderr
    assert not list(tmp_path.iterdir())


def wait_publishers(*topics: str) -> None:
    """Wait until somebody publishes each of the topics."""
    context = Context()
    rclpy.init(context=context)
    looker = rclpy.create_node('looker', context=context)
    deadline = time.monotonic() + 60
    while not all(looker.count_publishers(topic) for topic in topics):
        assert time.monotonic() < deadline, f'nobody publishes {" and ".join(topics)}'
        time.sleep(0.05)
    looker.destroy_node()
    context.try_shutdown()


def test_two_nodes_or_two_players_cannot_be_told_apart(bag: Path) -> None:
    topics = ('--image', '/there/in', '--output', '/there/out', '--lockstep')
    with subprocess.Popen(shlex.split(other_node()), env=ENV) as node, subprocess.Popen(
            [sys.executable, '-m', 'frm_seg_ros.ros.play', str(bag), '--to', '/there/in',
             '--wait-subscribers', '9'], env=ENV, stderr=subprocess.DEVNULL) as player:
        try:
            wait_publishers('/there/in', '/there/out')
            done = replay(bag, *topics, code=2)
            assert '2 programs publish /there/in, so that' in done.stderr
            done = replay(bag, *topics, '--node', other_node(), code=2)
            assert ' programs publish /there/' in done.stderr and done.stderr.count('\n') == 1
        finally:
            for process in (node, player):
                process.send_signal(signal.SIGINT)
                process.wait(20)


@pytest.mark.parametrize('arguments, words', [
    (['--lockstep', '--rates', '10'], '--lockstep has no rate'),
    (['--node', 'a', '--pid', '1'], 'give one of them'),
    (['--rates', '10,0'], '0 is not above 0'),
    (['--repeats', '0'], '0 is less than 1')])
def test_options_that_make_no_sense(bag: Path, arguments: list[str], words: str) -> None:
    assert words in replay(bag, *arguments, code=2).stderr


def test_an_interrupted_replay_leaves_no_process_and_no_file(bag: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
            [sys.executable, '-m', 'frm_seg_ros.ros.replay', str(bag), '--node', other_node(),
             '--image', '/there/in', '--output', '/there/out', '--rates', '10', '--seconds', '60',
             '--json', str(tmp_path / 'r.json')], env=ENV, stderr=subprocess.PIPE) as process:
        time.sleep(6)
        children = (Path(f'/proc/{process.pid}/task/{process.pid}/children')
                    .read_text().split())
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr.read()) == (130, b'')
    assert len(children) == 2
    assert not [pid for pid in children if Path(f'/proc/{pid}').exists()]
    assert not list(tmp_path.iterdir())


def test_outputs_are_told_apart_by_stamp() -> None:
    outputs = Outputs()
    outputs.on_line('ready')
    for stamp, differs in ((1, False), (2, False), (1, True)):
        outputs.on_line(json.dumps({'output': {
            'stamp_ns': stamp, 'received_ns': 10 * stamp + differs, 'differs': differs}}))
    assert outputs.ready.is_set() and outputs.received == {1: 10, 2: 20}
    assert (outputs.repeated, outputs.differing) == ([1], 1)
