"""The launch file on the real launch, and the files that it hands to RViz and Fast DDS."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'
SECONDS = 20.0
# What `ros2 launch` does with a file, without needing ros2cli.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
file, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file),
    launch_arguments=[tuple(item.split(':=')) for item in arguments])]))
sys.exit(service.run())
"""


def test_rviz_subscribes_as_the_node_and_cameras_publish() -> None:
    config = yaml.safe_load((ROOT / 'rviz/segment.rviz').read_text())
    topics = {item['Topic']['Value']: item['Topic']
              for item in config['Visualization Manager']['Displays']}
    outputs = {f'/frm_seg/{name}' for name in ('overlay', 'color', 'label_image', 'confidence')}
    assert set(topics) == outputs | {'/image'}
    for name, topic in topics.items():
        # A reliable subscriber would not connect to a best-effort camera.
        assert topic['Reliability Policy'] == ('Reliable' if name in outputs else 'Best Effort')
        assert topic['Durability Policy'] == 'Volatile'
        assert (topic['History Policy'], topic['Depth']) == ('Keep Last', 2)


def test_shared_memory_profile_is_used_by_every_participant_and_holds_large_images() -> None:
    space = {'d': 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'}
    root = ElementTree.parse(ROOT / 'config/fastdds_shm.xml').getroot()
    profiles = root.find('d:profiles', space)
    transports = {item.findtext('d:transport_id', None, space): item for item in
                  profiles.find('d:transport_descriptors', space)}
    kinds = {name: item.findtext('d:type', None, space) for name, item in transports.items()}
    assert sorted(kinds.values()) == ['SHM', 'UDPv4']
    memory = next(transports[name] for name, kind in kinds.items() if kind == 'SHM')
    assert memory.findtext('d:segment_size', None, space) == str(32 << 20)
    participant = profiles.find('d:participant', space)
    assert participant.get('is_default_profile') == 'true'
    used = participant.findall('d:rtps/d:userTransports/d:transport_id', space)
    assert {item.text for item in used} == set(transports)
    assert participant.findtext('d:rtps/d:useBuiltinTransports', None, space) == 'false'


def running(marker: str) -> Path | None:
    """Find the node among the processes by a word of its command line."""
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            words = (folder / 'cmdline').read_text().split('\0')
        except OSError:
            continue
        if any(word.endswith('/segmentation_node') for word in words) and \
                any(marker in word for word in words):
            return folder
    return None


@contextmanager
def launched(*arguments: str, file: str = 'segment',
             **env: str) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Launch the node in a namespace of its own; yield its command line and environment."""
    namespace = f'launched_{uuid.uuid4().hex}'
    with subprocess.Popen(
            [sys.executable, '-c', LAUNCH, str(ROOT / f'launch/{file}.launch.py'),
             f'namespace:={namespace}', *arguments],
            env={**os.environ, **env}, text=True, cwd='/', stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while not (found := running(namespace)) and process.poll() is None:
                assert time.monotonic() < deadline, 'no node was started'
                time.sleep(0.05)
            assert found, process.stdout.read()
            words = (found / 'cmdline').read_text().split('\0')
            pairs = (found / 'environ').read_text().split('\0')
            yield words, dict(pair.split('=', 1) for pair in pairs if '=' in pair)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture
def launch() -> None:
    """Skip where launch is missing: pip's ROS lacks it."""
    # Not `launch`: our folder of that name would do.
    pytest.importorskip('launch.actions', reason='launch is not installed')
    pytest.importorskip('launch_ros.actions', reason='launch_ros is not installed')
    if 'frm_seg_ros' not in os.environ.get('AMENT_PREFIX_PATH', ''):
        pytest.skip('the package is not built and sourced')


def read_parameters(words: list[str]) -> dict[str, object]:
    """Merge the parameters of all files on a command line."""
    merged: dict[str, object] = {}
    for option, file in zip(words, words[1:]):
        if option == '--params-file':
            # launch writes lists as tuples, a tag that ROS's own reader passes over.
            text = Path(file).read_text().replace('!!python/tuple', '')
            for node in yaml.safe_load(text).values():
                merged |= node['ros__parameters']
    return merged


@pytest.mark.usefixtures('launch')
def test_the_node_gets_what_was_given(tmp_path: Path) -> None:
    params = tmp_path / 'mine.yaml'
    params.write_text('/**: {ros__parameters: {autostart: false, max_rate: 5.0, model: unused}}')
    with launched('image:=/front/image', 'model:=2024', 'backend:=openvino', 'device:=cpu',
                  f'params_file:={params}', 'use_sim_time:=true') as (words, env):
        remaps = {word for option, word in zip(words, words[1:]) if option == '-r'}
        assert {'image:=/front/image', 'image/compressed:=/front/image/compressed',
                'camera_info:=/front/camera_info', '__node:=frm_seg'} <= remaps
        assert read_parameters(words) == {
            'autostart': False, 'max_rate': 5.0, 'model': '2024', 'backend': 'openvino',
            'device': 'cpu', 'use_sim_time': True}
        assert Path(env[PROFILES]) == ROOT / 'config/fastdds_shm.xml'


@pytest.mark.usefixtures('launch')
def test_many_cameras_are_named_and_remapped() -> None:
    with launched('cameras:=front,left', 'image:=/{camera}/image_raw', 'model:=tiny',
                  'depth:=/{camera}/depth/image',
                  file='multi_camera') as (words, _):
        remaps = {word for option, word in zip(words, words[1:]) if option == '-r'}
        assert {f'{camera}/image{end}:=/{camera}/image_raw{end}' for camera in ('front', 'left')
                for end in ('', '/compressed')} <= remaps
        assert {f'{camera}/{name}' for camera in ('front', 'left') for name in (
            f'camera_info:=/{camera}/camera_info', f'depth:=/{camera}/depth/image')} <= remaps
        assert read_parameters(words) == {'cameras': ['front', 'left'], 'model': 'tiny'}


@pytest.mark.usefixtures('launch')
def test_what_was_not_given_is_left_to_the_node_and_the_profile_to_the_user() -> None:
    with launched(**{PROFILES: '/mine.xml'}) as (words, env):
        assert '--params-file' not in words
        assert not any('image' in word for word in words[2:])
        assert env[PROFILES] == '/mine.xml'


@pytest.mark.usefixtures('launch')
def test_the_replay_measures_the_node_and_ends_all(tmp_path: Path) -> None:
    pytest.importorskip('onnx', reason='onnx is not installed: no model can be made')
    from tiny_model import write_tiny_model

    from frm_seg_ros.tools.make_bag import make_bag
    make_bag('synthetic:5:4', tmp_path / 'bag')
    model = write_tiny_model(tmp_path / 'tiny')
    space = f'launched_{uuid.uuid4().hex}'
    done = subprocess.run(
        [sys.executable, '-c', LAUNCH, str(ROOT / 'launch/replay_benchmark.launch.py'),
         f'bag:={tmp_path / "bag"}', f'model:={model}', f'namespace:={space}',
         'use_sim_time:=true', f'options:=--lockstep --json {tmp_path / "r.json"}'],
        text=True, capture_output=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / 'r.json').read_text())
    assert found['lockstep']['accounts'][0]['node']['processed'] == 4
    assert found['lockstep']['processes'][0]['node']['memory_mb'] > 50
    assert found['frames']['output'] == f'/{space}/frm_seg/label_image'
    assert found['frames']['clock'] and '--clock' in found['command']
    assert running(space) is None


@pytest.mark.usefixtures('launch')
@pytest.mark.parametrize('respawn', [True, False])
def test_a_node_that_ended_is_started_again_when_that_was_asked_for(respawn: bool) -> None:
    arguments = ['respawn:=true'] if respawn else []
    with launched('model:=/no/such/model', *arguments) as (words, _):
        namespace = next(word for word in words if word.startswith('__ns:=')).rpartition('/')[2]
        first = running(namespace)
        os.kill(int(first.name), signal.SIGKILL)
        deadline = time.monotonic() + (SECONDS if respawn else 3.0)
        while (found := running(namespace)) in (None, first) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (found not in (None, first)) == respawn
