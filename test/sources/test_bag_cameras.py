"""Several cameras of one bag: every frame with its own truth, prediction and name."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag_messages import image, string, write
from tiny_model import write_tiny_model

from frm_seg_ros.cli import main
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.bag import BagSource
from frm_seg_ros.sources.bag_cameras import open_bags
from frm_seg_ros.sources.bag_options import BagOptions

SIDES = ('left', 'right')
TOLD = BagOptions(topic='/left/image,/right/image', truth_topic='/left/labels,/right/labels')


def arrays(side: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([SIDES.index(side), index])
    return rng.integers(0, 256, (64, 64, 3), np.uint8), rng.integers(0, 11, (64, 64), np.uint8)


@pytest.fixture
def bag(tmp_path: Path) -> str:
    """Write four frames of both cameras at the same stamps, with recorded predictions."""
    messages = [('/label_space', 0, string('camvid'))]
    for index in range(4):
        for side in SIDES:
            picture, labels = arrays(side, index)
            messages += [(f'/{side}/image', index, image(index, picture)),
                         (f'/{side}/labels', index, image(index, labels, 'mono8'))]
            if (side, index) != ('left', 2):
                wrong = labels.copy()
                rows = SIDES.index(side) + 1
                wrong[:rows] = (wrong[:rows] + 1) % 11
                messages.append((f'/{side}/out', index, image(index, wrong, 'mono8')))
    return str(write(tmp_path / 'bag', messages))


def test_the_cameras_come_one_after_the_other(bag: str) -> None:
    source = open_bags(bag, TOLD)
    assert (len(source), source.label_space.name, source.predictions_space) == (8, 'camvid', None)
    for _ in range(2):
        frames = list(source)
        assert [(frame.frame_id, frame.stamp_ns) for frame in frames] == [
            (f'/{side}/image', index) for side in SIDES for index in range(4)]
        for place, frame in enumerate(frames):
            picture, labels = arrays(SIDES[place // 4], place % 4)
            np.testing.assert_array_equal(frame.image, picture)
            np.testing.assert_array_equal(frame.truth, labels)
    in_text = open_bags(f'{bag}#/left/image,/right/image#/left/labels,/right/labels')
    assert [frame.truth.sum() for frame in in_text] == [frame.truth.sum() for frame in frames]


def test_predictions_are_those_of_the_camera(bag: str) -> None:
    source = open_bags(bag, replace(TOLD, predictions='/left/out,/right/out'))
    find = source.recorded()
    found = [find(frame) for frame in source]
    assert [labels is None for labels in found] == [False, False, True, *[False] * 5]
    assert [np.count_nonzero(labels != frame.truth) for labels, frame in zip(found, source)
            if labels is not None] == [64] * 3 + [128] * 4


def test_recorded_labels_of_several_cameras_are_scored(bag: str, tmp_path: Path) -> None:
    path = tmp_path / 'a.json'
    assert main(['eval', f'bag:{bag}', *(word for name in ('topic', 'truth-topic', 'predictions')
                                         for side in SIDES for word in (
        f'--{name}', f'/{side}/{dict(topic="image", predictions="out").get(name, "labels")}')),
        '--json', str(path)]) == 0
    found = json.loads(path.read_text())
    assert found['unmatched'] == {'truth': 0, 'prediction': 1} and found['frames'] == 7
    assert found['pixel_accuracy'] == 1 - (3 * 64 + 4 * 128) / (7 * 64 * 64)
    assert found['predictions'] == '/left/out,/right/out' and found['timing'] is None


def test_one_camera_is_a_plain_bag(bag: str) -> None:
    assert isinstance(open_bags(f'{bag}#/left/image#/left/labels'), BagSource)


@pytest.mark.parametrize('changes, words', [
    ({'truth_topic': ''}, '2 cameras have 0 topics of their truth: name one for each, in the or'),
    ({'truth_topic': '/left/labels'}, '2 cameras have 1 topics of their truth'),
    ({'predictions': '/left/out'}, '2 cameras have 1 topics of their predictions'),
    ({'topic': '/left/image,/left/image'}, 'names a camera twice or none'),
    ({'topic': '/left/image,'}, 'names a camera twice or none'),
    ({'topic': '/left/image,/nope'}, '/nope in the bag .* is no such topic'),
    ({'truth_topic': '', 'truth_dir': 'x'}, 'folder x cannot hold the truth of several cameras'),
])
def test_cameras_that_do_not_fit(bag: str, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_bags(bag, replace(TOLD, **changes))


def test_every_camera_is_scored_by_itself(bag: str, tmp_path: Path) -> None:
    model = str(write_tiny_model(tmp_path / 'tiny', (64, 64)))
    both, right = tmp_path / 'both.json', tmp_path / 'right.json'
    options = ['--model', model, '--backend', 'onnxruntime', '--json']
    assert main(['eval', f'bag:{bag}', '--topic', '/left/image', '--topic', '/right/image',
                 '--truth-topic', '/left/labels', '--truth-topic', '/right/labels', *options,
                 str(both)]) == 0
    assert main(['eval', f'bag:{bag}#/right/image#/right/labels', *options, str(right)]) == 0
    found, alone = (json.loads(path.read_text()) for path in (both, right))
    assert found['frames'] == 8 and found['cameras'].keys() == {'/left/image', '/right/image'}
    assert found['cameras']['/right/image'] == {'frames': 4, 'miou': pytest.approx(alone['miou'])}
    assert found['cameras']['/left/image']['miou'] != found['cameras']['/right/image']['miou']
    assert list(alone['cameras']) == ['front']
    parts = [str(tmp_path / f'{index}.json') for index in range(3)]
    for index, part in enumerate(parts):
        assert main(['eval', f'bag:{bag}#/left/image,/right/image#/left/labels,/right/labels',
                     '--shard', f'{index}/3', *options, part]) == 0
    merged = tmp_path / 'merged.json'
    assert main(['eval', '--merge', *parts, '--json', str(merged)]) == 0
    sums = json.loads(merged.read_text())
    assert all(sums[key] == found[key] for key in ('miou', 'cameras', 'per_frame', 'flicker'))
