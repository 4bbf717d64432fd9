"""Sizes of the command line."""
from argparse import ArgumentTypeError

import pytest

from frm_seg_ros.core.size import parse_size


def test_height_comes_first():
    assert parse_size('384x480') == parse_size('384X480') == (384, 480)


@pytest.mark.parametrize('text', ['', '384', '384x', 'x480', '-1x2', '384x480x3',
                                  '3.5x4', '²x3', '384 x 480'])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ArgumentTypeError, match='is no HEIGHTxWIDTH, such as 384x480'):
        parse_size(text)
