"""BDD100K on small trees made here, by value."""
from __future__ import annotations

import numpy as np
import pytest
from data_trees import write_picture

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.bdd100k import open_bdd100k

NAMES = ['0a0a0b1a-7c39d841', '7d06fefd-f7be05a6']
MASK = np.array([[*range(10)], [*range(10, 19), 255]], np.uint8)


def make_tree(root, mask=MASK, split='val'):
    for number, name in enumerate(NAMES):
        write_picture(root / 'images' / '10k' / split / f'{name}.jpg',
                      np.full((2, 10, 3), (40 * number, 90, 200), np.uint8))
        if mask is not None:
            write_picture(root / 'labels' / 'sem_seg' / 'masks' / split / f'{name}.png', mask)


def test_frames(tmp_path):
    make_tree(tmp_path)
    write_picture(tmp_path / 'labels' / 'sem_seg' / 'colormaps' / 'val' / 'x.png', MASK)
    source = open_source(f'bdd100k:{tmp_path}:val')
    assert (len(source), source.rate_hz, source.label_space.name) == (2, 10, 'bdd100k')
    for number, frame in enumerate(source):
        assert frame.stamp_ns == number * 10**8
        assert np.abs(frame.image - np.array([40.0 * number, 90, 200])).max() <= 3      # JPEG
        np.testing.assert_array_equal(frame.truth, MASK)
    np.testing.assert_array_equal(source.check(), 2 * np.bincount(MASK.flat, minlength=256))


def test_the_test_split_has_no_truth(tmp_path):
    make_tree(tmp_path, mask=None, split='test')
    source = open_bdd100k(f'{tmp_path}:test')
    assert (len(source), source.label_space) == (2, None)
    assert [frame.truth for frame in source] == [None, None]


def test_ids_of_the_toolkit_are_no_train_ids(tmp_path):
    make_tree(tmp_path, mask=np.arange(20, 40, dtype=np.uint8).reshape(2, 10))
    with pytest.raises(ConfigError, match=r'^2 of 2 frames .*value 20, 21, 22, 23, 24 \.\.\.'):
        open_bdd100k(f'{tmp_path}:val').check()


def test_missing_and_unpaired(tmp_path):
    make_tree(tmp_path)
    with pytest.raises(ConfigError, match='images/10k/train is not there: .* holds val; wanted'):
        open_bdd100k(f'{tmp_path}:train')
    (tmp_path / 'labels' / 'sem_seg' / 'masks' / 'val' / f'{NAMES[1]}.png').unlink()
    with pytest.raises(ConfigError, match=f'^1 names .*: {NAMES[1]};'):
        open_bdd100k(f'{tmp_path}:val')
