"""Label spaces: their look-up tables by value, and what is refused."""
from __future__ import annotations

import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.label_space import Label, LabelSpace

SHIPPED = sorted(path.stem for path in (share_dir() / 'config' / 'labels').glob('*.yaml'))

GOOD = """\
name: tiny
labels:
  - {name: road, id: 7, train_id: 0, category: flat, color: [1, 2, 3]}
  - {name: dirt, id: 9, train_id: 255, category: void, color: [9, 9, 9]}
  - {name: car, id: 26, train_id: 1, category: vehicle, color: [4, 5, 6]}
  - {name: plate, id: -1, train_id: 255, category: vehicle, color: [7, 8, 9]}
"""


def load(tmp_path, text):
    path = tmp_path / 'tiny.yaml'
    path.write_text(text)
    return LabelSpace.load(path)


def test_tables(tmp_path):
    space = load(tmp_path, GOOD)
    assert (space.name, space.names) == ('tiny', ['road', 'car'])
    assert [label.id for label in space.classes] == [7, 26]
    to_train_id = np.full(256, 255)
    to_train_id[[7, 26]] = 0, 1
    np.testing.assert_array_equal(space.to_train_id, to_train_id)
    to_id = np.full(256, 255)
    to_id[[0, 1]] = 7, 26
    np.testing.assert_array_equal(space.to_id, to_id)
    palette = np.zeros((256, 3))
    palette[:2] = (1, 2, 3), (4, 5, 6)      # what is ignored is black, whatever its colour
    np.testing.assert_array_equal(space.palette, palette)
    assert {space.to_train_id.dtype, space.to_id.dtype, space.palette.dtype} == {np.dtype('u1')}


def test_a_file_may_end_on_yml_and_lie_at_home(tmp_path, monkeypatch):
    (tmp_path / 'tiny.yml').write_text(GOOD)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert LabelSpace.load('~/tiny.yml').name == 'tiny'


def test_what_is_written_is_read(tmp_path):
    spaces = [load(tmp_path, GOOD), *map(LabelSpace.load, SHIPPED)]
    assert [load(tmp_path, space.to_yaml()) for space in spaces] == spaces


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_spaces(name):
    space = LabelSpace.load(name)
    assert space.name == name and len(set(space.names)) == len(space.names)
    ids = np.arange(len(space.classes))
    np.testing.assert_array_equal(space.to_train_id[space.to_id[ids]], ids)
    colors = {tuple(color) for color in space.palette[ids].tolist()}
    assert len(colors) == len(ids)


@pytest.mark.parametrize('name, count, some', [
    ('camvid', 11, {'sky': (0, (128, 128, 128)), 'pavement': (4, (60, 40, 222)),
                    'bicyclist': (10, (0, 128, 192))}),
    ('bdd100k', 19, {'road': (0, (128, 64, 128)), 'train': (16, (0, 80, 100)),
                     'bicycle': (18, (119, 11, 32))}),
    ('cityscapes', 19, {'road': (7, (128, 64, 128)), 'train': (31, (0, 80, 100)),
                        'bicycle': (33, (119, 11, 32))}),
])
def test_facts_of_the_data_sets(name, count, some):
    space = LabelSpace.load(name)
    assert len(space.classes) == count
    for label in space.classes:
        if label.name in some:
            assert (label.id, label.color) == some.pop(label.name)
    assert not some


def test_cityscapes_is_that_of_cityscapesscripts():
    theirs = pytest.importorskip(
        'cityscapesscripts.helpers.labels',
        reason='cityscapesscripts is not installed: pip install cityscapesscripts').labels
    # Train id -1 (license plate, which is drawn nowhere) is as little a class as 255.
    assert LabelSpace.load('cityscapes').labels == tuple(
        Label(row.name.replace(' ', '_'), row.id, row.trainId % 256, row.category, row.color)
        for row in theirs)


def test_bdd100k_has_the_classes_of_cityscapes():
    """Its documentation says so: category ids 0 to 18 in the order of Cityscapes' train ids."""
    rows = [[(label.name, label.train_id, label.category, label.color) for label in space.classes]
            for space in map(LabelSpace.load, ('bdd100k', 'cityscapes'))]
    assert rows[0] == rows[1]
    assert LabelSpace.load('bdd100k').to_train_id[19:].tolist() == [255] * 237


@pytest.mark.parametrize('old, new, message', [
    ('train_id: 1,', 'train_id: 2,', r'train ids \[0, 2\]'),
    ('train_id: 1,', 'train_id: 0,', r'train ids \[0, 0\]'),
    ('name: car', 'name: road', 'the name road in more than one row'),
    ('id: 26', 'id: 7', 'the id 7 in more than one row'),
    ('id: 26', 'id: 256', 'an id outside 0..255 for car'),
    ('id: 26', 'id: -1', 'an id outside 0..255 for car'),
    ('[4, 5, 6]', '[4, 5, 256]', '0..255'),
    ('[4, 5, 6]', '[4, 5]', 'not a label space'),
    ('category: flat, ', '', "'category'"),
    ('id: 26', 'id: many', 'not a label space'),
    ('labels:', 'rows:', "'labels'"),
    ('name: tiny', '- [', 'not a label space'),
    (GOOD, '', 'not a label space'),
])
def test_what_is_refused(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, GOOD.replace(old, new))


def test_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match='no label space is called camvod: .*camvid'):
        LabelSpace.load('camvod')


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r'absent\.yaml cannot be read'):
        LabelSpace.load(tmp_path / 'absent.yaml')


@pytest.mark.parametrize('count', [0, 256])
def test_a_space_has_1_to_255_classes(count):
    labels = tuple(Label(f'c{i}', i, i, 'x', (0, 0, 0)) for i in range(count) if i != 255)
    labels += (Label('extra', -1, 255, 'x', (0, 0, 0)),) * (count == 0)
    if count:
        assert len(LabelSpace('all', labels).names) == 255
    else:
        with pytest.raises(ConfigError, match='wanted 0, 1, 2'):
            LabelSpace('none', labels)
