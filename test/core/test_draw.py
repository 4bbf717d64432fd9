"""Colours and overlays against formulas written out pixel by pixel."""
from __future__ import annotations

import numpy as np
import pytest

from frm_seg_ros.core.draw import colorize, overlay
from frm_seg_ros.core.label_space import LabelSpace

CAMVID = LabelSpace.load('camvid')


@pytest.fixture
def labels() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(0, len(CAMVID.classes), (9, 7), np.uint8)
    drawn[2:4, 1:5] = 255
    return drawn


def test_every_label_gets_its_colour_and_unlabelled_is_black(labels: np.ndarray) -> None:
    found = colorize(labels, CAMVID)
    assert found.dtype == np.uint8 and found.shape == (9, 7, 3)
    for (row, column), label in np.ndenumerate(labels):
        wanted = (0, 0, 0) if label == 255 else CAMVID.classes[label].color
        assert tuple(found[row, column]) == wanted


@pytest.mark.parametrize('alpha', [0.0, 0.3, 0.5, 1.0])
def test_overlay_blends_labelled_pixels_only(labels: np.ndarray, alpha: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
    found = overlay(image, labels, CAMVID, alpha)
    assert found.dtype == np.uint8
    for (row, column), label in np.ndenumerate(labels):
        wanted = image[row, column].astype(float)
        if label != 255:
            wanted = (1 - alpha) * wanted + alpha * np.array(CAMVID.classes[label].color)
        # Half a grey level of rounding, and ties that float32 puts on the other side.
        assert np.abs(found[row, column] - wanted).max() <= 0.501


def test_overlay_leaves_its_inputs_alone(labels: np.ndarray) -> None:
    image = np.full((9, 7, 3), 200, np.uint8)
    before = labels.copy()
    overlay(image, labels, CAMVID, 0.5)
    assert (image == 200).all() and (labels == before).all()
