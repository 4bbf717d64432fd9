"""The demo: its accounts by hand-made counts, its processes, and one real run end to end."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rosbags', reason='rosbags is not installed: pip install frm-seg[bag]')

from rosbags.highlevel import AnyReader  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from tiny_model import write_tiny_model  # noqa: E402

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.label_space import LabelSpace  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402
from frm_seg_ros.segmenter import Segmenter  # noqa: E402
from frm_seg_ros.sources.bag_file import typestore  # noqa: E402
from frm_seg_ros.sources.base import open_source  # noqa: E402
from frm_seg_ros.tools.demo import last_stats  # noqa: E402
from frm_seg_ros.tools.demo_results import (  # noqa: E402
    LABELS,
    STATS,
    Replay,
    accounts,
    problems_of,
    recorded_images,
    score,
)
from frm_seg_ros.tools.make_bag import make_bag  # noqa: E402
from frm_seg_ros.tools.processes import (  # noqa: E402
    Child,
    ChildError,
    find_executable,
    wait_until,
)
from frm_seg_ros.tools.video import count_frames  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 40


def make_replay(sent: int = 100, **stats: Any) -> Replay:
    values = {'received': 98, 'processed': 97, 'pending': 0, 'lost_in_transport': 0,
              'drop_reasons': ['overwritten', 'too_old'], 'dropped': [1, 0], **stats}
    return Replay(Path(), Path(), {}, sent, values)


def test_accounts_add_up() -> None:
    found = accounts(make_replay())
    assert found == {'frames_sent': 100, 'frames_processed': 97,
                     'frames_dropped': {'overwritten': 1}, 'lost_in_transport': 2}
    assert problems_of(make_replay(), 97, 97) == []
    assert problems_of(make_replay(lost_in_transport=2), 97, 97) == []


@pytest.mark.parametrize('stats, label_images, overlays, words', [
    ({'sent': 97}, 97, 97, ['received 98 frames, though only 97']),
    ({'lost_in_transport': 3}, 97, 97, ['3 frames as lost in transport, but only 2']),
    ({'processed': 98}, 98, 98, ['received 98 frames, but processed 98, dropped 1']),
    ({'pending': 1, 'received': 99}, 97, 97, ['still holds 1']),
    ({'pending': 1}, 97, 97, ['still holds 1']),
    ({}, 96, 96, ['processed 97 frames, but 96 label images']),
    ({}, 97, 96, ['97 label images, but 96 overlays']),
    ({'processed': 96, 'dropped': [2, 0]}, 96, 96, ['only 96 of 100 frames came out']),
])
def test_accounts_that_do_not_add_up_are_told(stats: dict[str, Any], label_images: int,
                                              overlays: int, words: list[str]) -> None:
    problems = problems_of(make_replay(**stats), label_images, overlays)
    assert len(problems) == len(words)
    for problem, part in zip(problems, words):
        assert part in problem


def test_the_last_statistics_count() -> None:
    lines = ['ready', '{"received": 1}', '{"received": 2}', 'noise']
    assert last_stats(lines) == {'received': 2}
    assert last_stats(['ready'])['received'] == 0


def shell(tmp_path: Path, script: str) -> Child:
    return Child('helper', ['sh', '-c', script], os.environ, tmp_path)


def test_a_child_that_dies_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    child = shell(tmp_path, 'echo first; echo "no such model" >&2; exit 7')
    with pytest.raises(ChildError, match='(?s)helper ended early with exit code 7.*no such model'):
        wait_until(lambda: False, 10.0, [child])
    child.kill()


def test_children_end_on_sigint_or_are_killed(tmp_path: Path) -> None:
    polite = shell(tmp_path, 'trap "exit 0" INT; echo ready; while :; do sleep 0.05; done')
    assert wait_until(lambda: polite.lines == ['ready'], 10.0, [polite])
    polite.finish()
    assert polite.exit_code == 0
    stubborn = shell(tmp_path, 'trap "" INT; while :; do sleep 0.05; done')
    assert not wait_until(lambda: False, 0.1, [stubborn])
    stubborn.kill()
    assert stubborn.exit_code == -9


def test_a_child_that_ends_badly_is_told(tmp_path: Path) -> None:
    child = shell(tmp_path, 'trap "echo oh >&2; exit 3" INT; echo ready; '
                            'while :; do sleep 0.05; done')
    assert wait_until(lambda: child.lines == ['ready'], 10.0, [child])
    with pytest.raises(ChildError, match='(?s)exit code 3.*oh'):
        child.finish()


def write_drive(root: Path) -> None:
    """Write a CamVid split of 60x80 pictures in the palette's colours, 40 frames of one drive."""
    space = LabelSpace.load('camvid')
    for kind in ('images', 'labels'):
        (root / 'val' / kind).mkdir(parents=True)
    for index in range(FRAMES):
        truth = np.full((60, 80), 3, np.uint8)
        truth[:30] = 0
        truth[20:45, index:index + 24] = index % 11
        truth[50:, :10] = 255
        image = space.palette[np.where(truth == 255, 3, truth)]
        name = f'0016E5_{8000 + 2 * index:05d}.png'
        cv2.imwrite(str(root / 'val' / 'images' / name), image[:, :, ::-1])
        cv2.imwrite(str(root / 'val' / 'labels' / name), truth)


def record_labels(out: Path, labels: dict[int, np.ndarray]) -> None:
    """Write label images by stamp as the recorder would, each received 5 ms after its stamp."""
    store = typestore()
    header, stamp = store.types['std_msgs/msg/Header'], store.types['builtin_interfaces/msg/Time']
    image = store.types['sensor_msgs/msg/Image']
    with Writer(out, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection(LABELS, image.__msgtype__, typestore=store)
        for ns, pixels in labels.items():
            height, width = pixels.shape
            message = image(header(stamp(*divmod(ns, 10**9)), 'camera'), height, width, 'mono8', 0,
                            width, pixels.ravel())
            writer.write(topic, ns + 5_000_000,
                         store.serialize_cdr(message, image.__msgtype__))


@pytest.mark.parametrize('shift_ns', [0, 1])
def test_labels_are_scored_against_the_frame_of_their_stamp(tmp_path: Path, shift_ns: int) -> None:
    write_drive(tmp_path / 'drive')
    make_bag(f'camvid:{tmp_path / "drive"}:val', tmp_path / 'bag')
    frames = list(open_source(f'bag:{tmp_path / "bag"}'))
    labels = {frame.stamp_ns + shift_ns: frame.truth for frame in frames[1:30:3]}
    record_labels(tmp_path / 'recording', labels)
    replay = Replay(tmp_path / 'bag', tmp_path / 'recording',
                    {frame.stamp_ns: frame.stamp_ns + 2_000_000 for frame in frames}, FRAMES,
                    {'processed': len(labels)})
    if shift_ns:
        with pytest.raises(ChildError, match='which was not sent'):
            score(replay, LabelSpace.load('camvid'))
        return
    evaluation, latency_ms = score(replay, LabelSpace.load('camvid'))
    assert evaluation.confusion.scores().miou == 1.0
    assert [one.stamp_ns for one in evaluation.counts] == list(labels)
    assert latency_ms == pytest.approx([3.0] * len(labels))


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    return subprocess.run([sys.executable, '-m', 'frm_seg_ros.tools.demo', *arguments],
                          cwd=folder, env={**os.environ, 'PYTHONPATH': path}, text=True,
                          capture_output=True, timeout=150)


def require_node() -> None:
    """Skip where ROS, the built messages or the node are missing."""
    for name in ('rclpy', 'frm_seg_ros.msg'):
        if find_spec(name) is None:
            pytest.skip(f'{name} is not there: run colcon build and source install/setup.bash')
    try:
        find_executable('segmentation_node')
    except ConfigError as error:
        pytest.skip(str(error))


def test_the_whole_demo(tmp_path: Path) -> None:
    require_node()
    model = write_tiny_model(tmp_path / 'tiny', (64, 80))
    write_drive(tmp_path / 'drive')
    done = run_demo(tmp_path, '--source', 'camvid:drive:val', '--model', str(model))
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / 'demo'
    summary = json.loads((out / 'summary.json').read_text())
    assert set(summary) == {'source', 'model', 'miou', 'iou', 'frames_sent', 'frames_processed',
                            'frames_dropped', 'lost_in_transport', 'latency_ms', 'report'}
    processed = summary['frames_processed']
    assert summary['frames_sent'] == FRAMES
    assert FRAMES == (processed + sum(summary['frames_dropped'].values())
                      + summary['lost_in_transport'])
    assert processed >= 0.97 * FRAMES
    assert 0 < summary['latency_ms']['p50'] <= summary['latency_ms']['p99'] < 5000
    assert summary['miou'] > 0.8
    assert count_frames(out / 'overlay.webm') == processed
    assert summary['report'] == 'demo/report.html'
    assert (out / 'report.html').stat().st_size > 20_000
    compare_with_offline(out, model, processed)
    compare_stats(out / 'recording', processed)


def compare_with_offline(out: Path, model: Path, processed: int) -> None:
    """Hold the recorded labels equal to what the segmenter gives for the same frames."""
    bag, = (out / 'bags').iterdir()
    frames = {frame.stamp_ns: frame for frame in open_source(f'bag:{bag}')}
    segmenter = Segmenter.open(model)
    recorded = list(recorded_images(out / 'recording', LABELS))
    assert len({stamp for stamp, _, _ in recorded}) == processed
    for stamp, _, labels in recorded:
        np.testing.assert_array_equal(labels, segmenter([frames[stamp].image])[0].labels)
    segmenter.close()


def compare_stats(recording: Path, processed: int) -> None:
    """Read the statistics with the definitions in the bag; the sums hold in each of them."""
    with AnyReader([recording]) as reader:
        chosen = [one for one in reader.connections if one.topic == STATS]
        found = [reader.deserialize(data, one.msgtype) for one, _, data in reader.messages(chosen)]
        space, = (reader.deserialize(data, one.msgtype) for one, _, data in reader.messages(
            [one for one in reader.connections if one.topic == '/frm_seg/label_space']))
    assert sum(message.has_frame for message in found) == processed
    for message in found:
        assert message.received == message.processed + sum(message.dropped) + message.pending
    assert space.names == LabelSpace.load('camvid').names


@pytest.mark.parametrize('arguments, words', [
    (['--model', 'none_such'], "no model 'none_such'"),
    (['--source', 'camvid:nowhere:val', '--model', 'MODEL'], 'nowhere'),
])
def test_a_demo_that_cannot_start_says_why(tmp_path: Path, arguments: list[str],
                                           words: str) -> None:
    model = str(write_tiny_model(tmp_path / 'tiny'))
    done = run_demo(tmp_path, *(model if part == 'MODEL' else part for part in arguments))
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count('\n') == 1


def test_a_node_that_cannot_start_fails_the_demo_with_its_words(tmp_path: Path) -> None:
    require_node()
    model = write_tiny_model(tmp_path / 'tiny', (64, 80))
    (model / 'model.onnx').write_bytes(b'damaged')
    write_drive(tmp_path / 'drive')
    done = run_demo(tmp_path, '--source', 'camvid:drive:val', '--model', str(model))
    assert done.returncode == 1
    assert 'the node ended early' in done.stderr and 'SHA-256' in done.stderr
    assert not (tmp_path / 'demo' / 'summary.json').exists()


@pytest.mark.long
def test_the_demo_with_the_shipped_model(tmp_path: Path) -> None:
    require_node()
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / 'demo' / 'summary.json').read_text())
    assert summary['frames_sent'] == 200
    assert summary['frames_processed'] >= 0.97 * 200
    # The card tells what the model reaches on this drive offline; a few frames may be missing.
    card = ModelCard.load('frm_b0_fast')
    wanted = card.measured['synthetic:42:200']['miou']
    assert summary['miou'] == pytest.approx(wanted, abs=0.02)
