"""The node with an imported network that gives labels alone, of one image of one size."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')
pytest.importorskip('onnx', reason='onnx is not installed')

from foreign_onnx import SIZE, import_options, write_foreign
from rig import Rig, picture, pixels

from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.tools.import_model import import_model

MakeRig = Callable[..., Rig]


@pytest.fixture(scope='module')
def labels_only(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp('imported')
    file = write_foreign(folder / 'network.onnx', 'channel', 8, (1, 3, *SIZE))
    card, _ = import_model(import_options(folder, file, name='labels_only'))
    return str(card.folder)


def truth_of(image: np.ndarray) -> np.ndarray:
    """Look the classes up in the colours of a painted picture."""
    palette = LabelSpace.load('camvid').palette[:11].astype(int)
    return np.abs(image[:, :, None] - palette).sum(3).argmin(2)


def test_labels_of_two_cameras_come_out(make_rig: MakeRig, labels_only: str,
                                        capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(model=labels_only, cameras=['left', 'right'])
    warnings = [line for line in capfd.readouterr().err.splitlines() if 'confidence' in line]
    assert len(warnings) == 1 and 'there is no topic ~/confidence' in warnings[0]
    assert rig.publisher('/frm_seg/left/confidence') is None
    found = {camera: rig.listen(f'{camera}/label_image') for camera in ('left', 'right')}
    for seed, camera in enumerate(found):
        image = picture(seed, SIZE)
        rig.send(rig.message(image), camera=camera)
        rig.wait_messages(found[camera], 1)
        np.testing.assert_array_equal(pixels(found[camera][0]), truth_of(image))
    for camera in found:
        rig.wait_counts(camera, processed=1)


REFUSED = ('parameter min_confidence is 0.5, but model labels_only gives labels without '
           'confidence: set it to 0')


def test_min_confidence_is_refused_at_the_start(make_rig: MakeRig, labels_only: str,
                                                capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(model=labels_only, min_confidence=0.5)
    assert rig.state() == 'unconfigured'
    assert REFUSED in capfd.readouterr().err
    assert rig.set('min_confidence', 0.0)[0]
    assert rig.change('configure')


@pytest.mark.parametrize('value', [0.5, 0])
def test_min_confidence_is_refused_while_it_runs(make_rig: MakeRig, labels_only: str,
                                                 value: Any) -> None:
    rig = make_rig(model=labels_only)
    success, reason = rig.set('min_confidence', value)
    assert success == (value == 0)
    assert success or reason.startswith(REFUSED)


def test_another_size_is_refused(make_rig: MakeRig, labels_only: str,
                                 capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(model=labels_only, network_size='192x256')
    assert rig.state() == 'unconfigured'
    assert 'model labels_only runs at 96x128 only' in capfd.readouterr().err


def test_a_model_with_logits_has_its_confidence(make_rig: MakeRig, model: Path) -> None:
    rig = make_rig(min_confidence=0.5)
    assert rig.publisher('/frm_seg/confidence') is not None
    assert rig.set('min_confidence', 0.25)[0]
