"""Label spaces as the fields of a message and back."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_message import label_space_fields, read_label_space
from frm_seg_ros.core.label_space import LabelSpace

CARD = SimpleNamespace(name='tiny', sha256='ab' * 32)


def test_fields_by_value() -> None:
    fields = label_space_fields(CARD, LabelSpace.load('cityscapes'))
    assert (fields['name'], fields['model']) == ('cityscapes', 'tiny')
    assert fields['model_sha256'] == 'ab' * 32
    # The table of Cityscapes: road is id 7, 128 64 128; bicycle is id 33, 119 11 32.
    assert (fields['names'][0], fields['ids'][0]) == ('road', 7)
    assert (fields['names'][18], fields['ids'][18]) == ('bicycle', 33)
    assert fields['categories'][18] == 'vehicle'
    assert fields['colors'][:3] == [128, 64, 128] and fields['colors'][-3:] == [119, 11, 32]
    assert [len(fields[key]) for key in ('names', 'ids', 'categories', 'colors')] == [
        19, 19, 19, 57]


@pytest.mark.parametrize('name', ['camvid', 'cityscapes', 'bdd100k'])
def test_there_and_back(name: str) -> None:
    space = LabelSpace.load(name)
    fields = label_space_fields(CARD, space)
    fields['colors'] = np.array(fields['colors'], np.uint8)     # as rosbags gives them
    again = read_label_space(SimpleNamespace(**fields), 'it')
    assert (again.name, again.classes) == (space.name, space.classes)
    assert {type(part) for label in again.classes for part in label.color} == {int}


@pytest.mark.parametrize('changes, words', [
    ({'colors': [1, 2]}, r'it is no label space: it has 11 names, 11 ids, 11 categories and 2 '),
    ({'ids': [1]}, 'has 11 names, 1 ids'),
    ({'names': []}, 'has 0 names'),
    ({'names': ['sky'] * 11}, 'name sky in more than one row'),
])
def test_fields_that_are_no_label_space(changes: dict, words: str) -> None:
    fields = {**label_space_fields(CARD, LabelSpace.load('camvid')), **changes}
    with pytest.raises(ConfigError, match=words):
        read_label_space(SimpleNamespace(**fields), 'it')
