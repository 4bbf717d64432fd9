"""JSON that people can read."""
from __future__ import annotations

import json

import pytest

from frm_seg_ros.tools.json_text import json_text


def test_a_list_of_numbers_stands_on_one_line() -> None:
    text = json_text({'a': [[1, -2, 3.5e-07], [4, 5, 6]], 'b': ['x', 'y'], 'c': []})
    assert text == ('{\n "a": [\n  [1, -2, 3.5e-07],\n  [4, 5, 6]\n ],\n'
                    ' "b": [\n  "x",\n  "y"\n ],\n "c": []\n}\n')


@pytest.mark.parametrize('value', [
    '[\n1, 2\n]', ['[\n 1', 2, '3 ]'], {'[': [1], ']': [None, 1, True]}, [[], [1], [[2], {}]],
    [1e-300, 123456789012345678901234567890, -0.1]])
def test_what_is_read_back_is_what_was_written(value: object) -> None:
    assert json.loads(json_text({'value': value})) == {'value': value}


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match='JSON'):
        json_text({'value': float('nan')})
