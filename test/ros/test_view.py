"""Region, rotation and mask of a camera, against plain NumPy."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture, pixels

from frm_seg_ros.core.draw import overlay
from frm_seg_ros.core.errors import ConfigError, FrameError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.ros.view import View
from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]
SIZE = (48, 64)


@pytest.fixture
def mask(tmp_path: Path) -> tuple[str, np.ndarray]:
    """Write a mask, grey and of an odd shape; give its path and where nothing is labelled."""
    values = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
    cv2.imwrite(str(tmp_path / 'mask.png'), values)
    return str(tmp_path / 'mask.png'), values >= 128


@pytest.mark.parametrize('rotate', [0, 90, 180, 270])
@pytest.mark.parametrize('roi', ['full', '20x30+5+7', '48x64+0+0', '1x1+47+63'])
def test_what_the_network_sees_and_the_way_back(rotate: int, roi: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    rows, columns, top, left = {'full': (48, 64, 0, 0), '20x30+5+7': (20, 30, 5, 7),
                                '48x64+0+0': (48, 64, 0, 0), '1x1+47+63': (1, 1, 47, 63)}[roi]
    view = View(roi, rotate)
    seen = view.look(image)
    part = image[top:top + rows, left:left + columns]
    np.testing.assert_array_equal(seen, np.rot90(part, -rotate // 90))
    for outside in (0, 255):
        found = view.restore(np.ascontiguousarray(seen[..., 1]), SIZE, outside)
        wanted = np.full(SIZE, outside, np.uint8)
        wanted[top:top + rows, left:left + columns] = part[..., 1]
        np.testing.assert_array_equal(found, wanted)


def test_the_mask_is_in_the_pixels_of_the_camera(mask: tuple[str, np.ndarray]) -> None:
    path, ignored = mask
    view = View('40x50+0+0', 90, path)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    labels = view.look(image)[..., 0].copy()
    whole = np.full(SIZE, 255, np.uint8)
    whole[:40, :50] = image[:40, :50, 0]
    np.testing.assert_array_equal(view.restore(labels, SIZE, 255), np.where(ignored, 255, whole))
    whole[40:], whole[:, 50:] = 0, 0
    np.testing.assert_array_equal(view.restore(labels, SIZE, 0), np.where(ignored, 0, whole))


def test_what_does_not_fit_the_image_drops_the_frame(mask: tuple[str, np.ndarray]) -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    for view, words in ((View('48x64+1+0'), 'roi is 48x64'), (View('1x1+0+64'), 'roi is 1x1'),
                        (View(ignore_mask=mask[0]), 'ignore_mask is 48x64')):
        with pytest.raises(FrameError, match=words) as caught:
            view.look(image[:, :63] if 'mask' in words else image)
        assert caught.value.reason == 'bad_view'


def test_a_mask_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'text.png').write_text('no picture')
    for name in ('none.png', 'text.png', '.'):
        with pytest.raises(ConfigError, match='parameter ignore_mask cannot be read'):
            View(ignore_mask=str(tmp_path / name))


def test_each_camera_has_its_own_view(make_rig: MakeRig, model: Any,
                                      mask: tuple[str, np.ndarray]) -> None:
    rig = make_rig(cameras=['front', 'left'], rotate=180, **{
        'left.rotate': 90, 'left.roi': '32x40+8+16', 'front.ignore_mask': mask[0]})
    topics = ('label_image', 'confidence', 'overlay')
    found = {camera: {topic: rig.listen(f'{camera}/{topic}') for topic in topics}
             for camera in ('front', 'left')}
    image = picture(3)
    for camera in ('front', 'left'):
        rig.send(rig.message(image), camera=camera)
        rig.wait_counts(camera, processed=1)
    segmenter = Segmenter.open(model, 'onnxruntime')

    def labelled(view: np.ndarray, turns: int) -> tuple[np.ndarray, np.ndarray]:
        (seen,) = segmenter([np.ascontiguousarray(np.rot90(view, -turns))], confidence=True)
        return np.rot90(seen.labels, turns), np.rot90(seen.confidence, turns)

    labels, confidence = labelled(image, 2)
    wanted = {'front': (np.where(mask[1], 255, labels), np.where(mask[1], 0, confidence))}
    labels, confidence = labelled(image[8:40, 16:56], 1)
    wanted['left'] = (np.full(SIZE, 255, np.uint8), np.zeros(SIZE, np.uint8))
    wanted['left'][0][8:40, 16:56], wanted['left'][1][8:40, 16:56] = labels, confidence
    for camera, (labels, confidence) in wanted.items():
        for topic in topics:
            rig.wait_messages(found[camera][topic], 1)
        np.testing.assert_array_equal(pixels(found[camera]['label_image'][0]), labels)
        np.testing.assert_array_equal(pixels(found[camera]['confidence'][0]), confidence)
        np.testing.assert_array_equal(
            pixels(found[camera]['overlay'][0]),
            overlay(image, labels.astype(np.uint8), LabelSpace.load('camvid'), 0.5))
        shares = next(one for one in rig.stats if one.camera == camera and one.has_frame)
        assert sum(shares.class_shares) == pytest.approx((labels != 255).mean(), abs=1e-5)


def test_a_region_outside_costs_the_frame(make_rig: MakeRig) -> None:
    rig = make_rig(roi='48x64+0+0')
    rig.listen('label_image')
    rig.send(rig.message(picture(0, (40, 64))))
    rig.wait_counts(bad_view=1)
    rig.send(rig.message(picture()))
    rig.wait_counts(bad_view=1, processed=1)


def test_own_parameters_are_checked_and_fixed(make_rig: MakeRig,
                                              capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(cameras=['front'], **{'front.rotate': 90})
    success, reason = rig.set('front.rotate', 180)
    assert not success and 'front.rotate can be set only while' in reason
    assert rig.set('front.rotate', 90)[0]
    for name, value, words in (
            ('front.rotate', 45, 'parameter rotate is 45: wanted whole number, one of 0, 90'),
            ('rear.rotate', 90, 'there is no parameter rear.rotate'),
            ('front.model', 'x', 'there is no parameter front.model'),
            ('ignore_mask', '/none.png', 'parameter ignore_mask cannot be read')):
        capfd.readouterr()
        assert make_rig(cameras=['front'], **{name: value}).state() == 'unconfigured'
        assert words in capfd.readouterr().err
