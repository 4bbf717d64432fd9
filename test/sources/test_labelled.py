"""Labelled images of one's own, on small trees made here, by value."""
from __future__ import annotations

import numpy as np
import pytest
from data_trees import ROBOT_LABELS, write_picture, write_robot

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.sources.labelled import open_labelled

IDS = np.array([[0, 1, 2], [7, 255, 1]], np.uint8)
TRAIN_IDS = np.array([[255, 0, 1], [2, 255, 0]], np.uint8)


def write_frame(root, name, ids=IDS):
    write_picture(root / 'train' / 'images' / name, np.full((2, 3, 3), (10, 90, 200), np.uint8))
    write_picture(root / 'train' / 'labels' / f'{name.partition(".")[0]}.png', ids)
    (root / 'labels.yaml').write_text(ROBOT_LABELS)


def test_ids_become_train_ids_in_the_order_of_the_names(tmp_path):
    write_frame(tmp_path, 'b10.png', np.full_like(IDS, 7))
    write_frame(tmp_path, 'b9.JPG')
    source = open_source(f'labelled:{tmp_path}:train')
    assert (len(source), source.rate_hz, source.label_space.name) == (2, 10, 'robot')
    assert source.label_space.names == ['floor', 'obstacle', 'person']
    first, second = source
    np.testing.assert_array_equal(first.truth, TRAIN_IDS)
    np.testing.assert_array_equal(second.truth, np.full_like(IDS, 2))
    np.testing.assert_array_equal(second.image[0, 0], (10, 90, 200))
    assert second.stamp_ns == 10**8
    counts = source.check()
    assert (counts[0], counts[1], counts[2], counts[255]) == (2, 1, 7, 2)


def test_a_value_that_is_no_id_is_told_by_check(tmp_path):
    write_robot(tmp_path)
    write_frame(tmp_path, 'x.png', np.full_like(IDS, 3))
    with pytest.raises(ConfigError, match=r'^1 of 3 frames .*x\.png has 6 pixels of value 3,'):
        open_labelled(f'{tmp_path}:train').check()


def test_what_is_missing_is_told(tmp_path):
    write_frame(tmp_path, 'x.png')
    with pytest.raises(ConfigError, match=r'val/images is not there: .* holds labels.yaml, train;'
                                          r' wanted labels.yaml, and SPLIT/images'):
        open_labelled(f'{tmp_path}:val')
    with pytest.raises(ConfigError, match='write labelled:ROOT:SPLIT'):
        open_labelled(str(tmp_path))
    (tmp_path / 'train' / 'images' / 'y.png').write_bytes(b'')
    with pytest.raises(ConfigError, match='^1 names .*train have an image without .*: y;'):
        open_labelled(f'{tmp_path}:train')
    (tmp_path / 'labels.yaml').write_text('name: robot')
    with pytest.raises(ConfigError, match='labels.yaml is not a label space'):
        open_labelled(f'{tmp_path}:train')
    (tmp_path / 'labels.yaml').unlink()
    with pytest.raises(ConfigError, match=f'^{tmp_path} holds train; wanted labels.yaml,'):
        open_labelled(f'{tmp_path}:train')
