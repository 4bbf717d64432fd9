"""Cityscapes on small trees made here: what is read, and ids never taken for train ids."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from data_trees import write_city, write_picture

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.cityscapes import open_cityscapes

NAMES = ['aachen_000000_000019', 'bochum_000000_000313', 'bochum_000000_000600']
# Every id, and its train id as cityscapesscripts (helpers/labels.py) has it.
IDS = np.arange(34, dtype=np.uint8).reshape(2, 17)
TRAIN_IDS = np.array([[255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255],
                      [5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 255, 16, 17, 18]],
                     np.uint8)


def picture(number=0):
    return np.full((2, 17, 3), (number, 2 * number, 100), np.uint8)


def make_tree(root, **labels):
    """Write the frames of NAMES, all with the same label images."""
    for number, name in enumerate(NAMES):
        write_city(root, name, picture(number), **labels)


@pytest.mark.parametrize('kinds', [
    {'labelIds': IDS},
    {'labelTrainIds': TRAIN_IDS},
    {'labelIds': IDS, 'labelTrainIds': np.full_like(IDS, 200)},     # ids are preferred
    {'labelIds': IDS, 'color': np.full_like(IDS, 200), 'instanceIds': np.full_like(IDS, 200)},
])
def test_both_kinds_give_the_same_truth(tmp_path, kinds):
    make_tree(tmp_path, **kinds)
    source = open_source(f'cityscapes:{tmp_path}:val')
    assert (len(source), source.rate_hz, source.label_space.name) == (3, 10, 'cityscapes')
    assert [file.name for file in source.files] == [f'{name}_leftImg8bit.png' for name in NAMES]
    for number, frame in enumerate(source):
        assert frame.stamp_ns == number * 10**8
        np.testing.assert_array_equal(frame.image, picture(number))
        np.testing.assert_array_equal(frame.truth, TRAIN_IDS)
    np.testing.assert_array_equal(source.check(), 3 * np.bincount(TRAIN_IDS.flat, minlength=256))


def changed(values, *new):
    values = values.copy()
    values[0, :len(new)] = new
    return values


LOW = np.arange(17, dtype=np.uint8).repeat(2).reshape(2, 17)    # 0 to 16: fits both kinds


@pytest.mark.parametrize('kind, values, message', [
    ('labelIds', changed(LOW, 255), 'is named labelIds, but holds 255, which only labelTrainIds'),
    ('labelIds', TRAIN_IDS, 'is named labelIds, but holds 255'),
    ('labelTrainIds', IDS, 'is named labelTrainIds, but holds 19, which only labelIds'),
    ('labelTrainIds', changed(LOW, 33), 'is named labelTrainIds, but holds 33'),
    ('labelTrainIds', changed(TRAIN_IDS, 33), 'is named labelTrainIds, but holds 33'),
    ('labelIds', changed(IDS, 34), '1 pixels of value 34'),
    ('labelTrainIds', changed(TRAIN_IDS, 34, 254), '2 pixels of value 34, 254'),
])
def test_values_that_do_not_fit_the_name(tmp_path, kind, values, message):
    make_tree(tmp_path, **{kind: IDS if kind == 'labelIds' else TRAIN_IDS})
    write_city(tmp_path, NAMES[1], picture(), **{kind: values})
    source = open_cityscapes(f'{tmp_path}:val')
    with pytest.raises(ConfigError, match=f'{NAMES[1]}_gtFine_{kind}.png .*{message}'):
        source.frame(1)
    with pytest.raises(ConfigError, match=f'^1 of 3 frames .*{NAMES[1]}.*{message}'):
        source.check()


def test_what_one_image_cannot_tell_the_whole_split_can(tmp_path):
    make_tree(tmp_path, labelIds=LOW)
    source = open_cityscapes(f'{tmp_path}:val')
    assert source.frame(0).truth[0, 14] == 0        # id 7: taken as it is named
    with pytest.raises(ConfigError, match='no label image beside .* has an id above 18'):
        source.check()
    write_city(tmp_path, NAMES[2], picture(), labelIds=changed(LOW, 23))    # the sky
    source.check()


@pytest.mark.parametrize('values', [LOW, LOW % 6, TRAIN_IDS, np.full_like(LOW, 255)])
def test_train_ids_need_no_proof(tmp_path, values):
    make_tree(tmp_path, labelTrainIds=values)
    source = open_cityscapes(f'{tmp_path}:val')
    assert source.check()[:19].sum() == 3 * (values < 19).sum()


def test_a_split_without_truth(tmp_path):
    make_tree(tmp_path, labelIds=IDS)
    write_city(tmp_path, 'berlin_000000_000019', picture(7), 'test')
    source = open_cityscapes(f'{tmp_path}:test')
    assert (len(source), source.label_space) == (1, None)
    frame, = source
    np.testing.assert_array_equal(frame.image, picture(7))
    assert frame.truth is None


def test_dummy_truth_of_the_test_split_is_all_ignored(tmp_path):
    dummy = (np.arange(34) % 4).astype(np.uint8).reshape(2, 17)
    write_city(tmp_path, 'berlin_000000_000019', picture(), 'test', labelIds=dummy)
    source = open_cityscapes(f'{tmp_path}:test')
    assert source.check()[255] == 34
    assert (source.frame(0).truth == 255).all()


def test_a_kind_that_is_not_complete_is_not_filled_up_from_the_other(tmp_path):
    make_tree(tmp_path, labelTrainIds=TRAIN_IDS)
    write_city(tmp_path, NAMES[0], picture(), labelIds=IDS)
    with pytest.raises(ConfigError, match='^2 names .*: bochum/bochum_000000_000313, '):
        open_cityscapes(f'{tmp_path}:val')


def test_missing_split(tmp_path):
    make_tree(tmp_path, labelIds=IDS)
    with pytest.raises(ConfigError, match='leftImg8bit/train is not there: .* holds val; wanted'):
        open_cityscapes(f'{tmp_path}:train')


def test_opening_reads_no_file(tmp_path):
    make_tree(tmp_path, labelIds=IDS)
    for file in tmp_path.rglob('*.png'):
        file.write_bytes(b'')
    source = open_cityscapes(f'{tmp_path}:val')
    with pytest.raises(ConfigError, match='^3 of 3 frames cannot be used'):
        source.check()


def test_label_image_of_three_channels(tmp_path):
    make_tree(tmp_path, labelIds=IDS)
    write_picture(tmp_path / 'gtFine' / 'val' / 'aachen' / f'{NAMES[0]}_gtFine_labelIds.png',
                  cv2.merge([IDS] * 3))
    with pytest.raises(ConfigError, match='wanted one channel of 8 bits'):
        open_cityscapes(f'{tmp_path}:val').frame(0)
