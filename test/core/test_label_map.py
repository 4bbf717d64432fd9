"""Label maps: look-ups by value, the shipped files, and what a map may not be."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.label_map import LabelMap
from frm_seg_ros.core.label_space import Label, LabelSpace


def space(name: str, *names: str) -> LabelSpace:
    rows = [Label(text, index + 7, index, 'x', (0, 0, 0)) for index, text in enumerate(names)]
    return LabelSpace(name, (*rows, Label('nothing', 0, 255, 'x', (0, 0, 0))))


ROBOT = space('robot', 'floor', 'grass', 'wall', 'dog')
PARK = space('park', 'tree', 'ground', 'bench', 'house')
ROWS = (('floor', 'ground'), ('grass', 'ground'), ('wall', 'house'))
GOOD = """from: robot
to: park
classes:
  - {from: floor, to: ground}
  - {from: grass, to: ground}
  - {from: wall, to: house}
unmapped: [dog]
"""


def test_labels_and_truth_by_value() -> None:
    found = LabelMap('robot-park', ROBOT, PARK, ROWS, ('dog',))
    labels = np.array([[0, 1, 2, 3, 255]], np.uint8)
    assert found.map_labels(labels).tolist() == [[1, 1, 3, 255, 255]]
    assert found.restrict_truth(labels).tolist() == [[255, 1, 255, 3, 255]]
    assert found.classes == ('ground', 'house')
    assert (found.table.dtype, found.table.shape) == (np.uint8, (256,))
    assert set(found.table[4:].tolist()) == {255}


@pytest.mark.parametrize('rows, unmapped, words', [
    (ROWS, (), 'robot-park, dog is missing: give every class of robot a row'),
    (ROWS[1:], (), 'floor, dog is missing'),
    (ROWS, ('dog', 'wall'), 'wall is there more than once'),
    ((*ROWS, ('floor', 'house')), ('dog',), 'floor is there more than once'),
    (ROWS, ('dog', 'nothing'), 'nothing is no class of robot'),
    ((*ROWS, ('dog', 'cat')), (), 'cat is no class of park'),
])
def test_maps_that_do_not_fit_are_refused(rows: tuple[tuple[str, str], ...],
                                          unmapped: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelMap('robot-park', ROBOT, PARK, rows, unmapped)


def test_ones_own_file(tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(GOOD)
    assert LabelMap.load(ROBOT, PARK, path) == LabelMap(str(path), ROBOT, PARK, ROWS, ('dog',))


@pytest.mark.parametrize('old, new, words', [
    ('from: robot', 'from: moon', 'leads from moon to park, wanted from robot to park'),
    ('to: park', 'to: moon', 'leads from robot to moon, wanted'),
    ('unmapped: [dog]', '', "is not a label map .*'unmapped'.*it needs from, to, classes"),
    ('unmapped: [dog]', 'unmapped:', 'is not a label map .TypeError'),
    ('classes:', 'rows:', 'is not a label map'),
    ('{from: floor, to: ground}', 'floor', 'is not a label map'),
    ('from: robot', '[', 'is not a label map'),
])
def test_files_that_are_no_map(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=words) as error:
        LabelMap.load(ROBOT, PARK, path)
    assert str(path) in str(error.value)


def test_no_map() -> None:
    with pytest.raises(ConfigError, match='space robot, the truth is in park.*robot-park.yaml: '
                       'write it .*--map FILE, or choose a model trained for park'):
        LabelMap.load(ROBOT, PARK)


SHIPPED = sorted((share_dir() / 'config' / 'labels' / 'map').glob('*.yaml'))


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_maps_load_under_their_names(path: Path) -> None:
    origin, target = (LabelSpace.load(name) for name in path.stem.split('-'))
    found = LabelMap.load(origin, target)
    assert found.name == path.stem
    assert not found.unmapped       # all have a counterpart: the files say why


@pytest.mark.parametrize('name, pairs', [
    ('camvid-cityscapes', {'pavement': 'sidewalk', 'tree': 'vegetation', 'bicyclist': 'rider',
                           'sign_symbol': 'traffic_sign', 'sky': 'sky', 'pedestrian': 'person'}),
    ('cityscapes-camvid', {'wall': 'building', 'terrain': 'tree', 'train': 'car',
                           'motorcycle': 'bicyclist', 'traffic_light': 'sign_symbol',
                           'person': 'pedestrian'}),
    ('bdd100k-cityscapes', {'road': 'road', 'train': 'train', 'bicycle': 'bicycle'}),
    ('cityscapes-bdd100k', {'road': 'road', 'traffic_sign': 'traffic_sign'}),
])
def test_shipped_look_ups(name: str, pairs: dict[str, str]) -> None:
    origin, target = (LabelSpace.load(part) for part in name.split('-'))
    table = LabelMap.load(origin, target).table
    for source, wanted in pairs.items():
        assert target.names[table[origin.names.index(source)]] == wanted
    assert {path.stem for path in SHIPPED} >= {name}


def test_what_camvid_cannot_say_is_not_scored() -> None:
    camvid, cityscapes = LabelSpace.load('camvid'), LabelSpace.load('cityscapes')
    assert set(cityscapes.names) - set(LabelMap.load(camvid, cityscapes).classes) == {
        'wall', 'traffic_light', 'terrain', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'}
    assert LabelMap.load(cityscapes, camvid).classes == tuple(camvid.names)
