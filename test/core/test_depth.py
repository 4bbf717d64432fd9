"""Depth images in every form that they come in."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from frm_seg_ros.core.depth import to_metres
from frm_seg_ros.core.errors import FrameError


def message(values: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> object:
    rows = values.view(np.uint8).reshape(len(values), -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    return SimpleNamespace(height=values.shape[0], width=values.shape[1], encoding=encoding,
                           is_bigendian=int(big), step=data.shape[1], data=data.tobytes())


@pytest.mark.parametrize('order, padding', [('<', 0), ('>', 0), ('<', 5), ('>', 3)])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_millimetres(order: str, padding: int, encoding: str) -> None:
    values = np.array([[0, 1, 1500], [65535, 20, 0]], f'{order}u2')
    found = to_metres(message(values, encoding, padding, order == '>'))
    np.testing.assert_allclose(found, [[np.nan, 0.001, 1.5], [65.535, 0.02, np.nan]], rtol=1e-6)
    assert found.dtype == np.float32


def test_metres_and_what_is_none() -> None:
    values = np.array([[1.25, np.nan, np.inf], [-np.inf, -1, 0]], '<f4')
    wanted = [[1.25, np.nan, np.nan], [np.nan] * 3]
    np.testing.assert_array_equal(to_metres(message(values, '32FC1', 2)), wanted)


@pytest.mark.parametrize('changes, reason', [
    ({'encoding': 'rgb8'}, 'bad_encoding'), ({'height': 0}, 'bad_size'),
    ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'bad_size'), ({'step': 5}, 'bad_data'),
    ({'data': b''}, 'bad_data'), ({'width': 4}, 'bad_data')])
def test_what_is_no_depth_image(changes: dict, reason: str) -> None:
    bad = message(np.ones((2, 3), '<u2'), '16UC1')
    vars(bad).update(changes)
    with pytest.raises(FrameError) as caught:
        to_metres(bad)
    assert caught.value.reason == reason
