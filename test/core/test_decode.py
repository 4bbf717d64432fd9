"""Decoding against a slow float64 twin."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frm_seg_ros.core.decode import decode
from frm_seg_ros.core.model_card import ONNX, ModelCard
from frm_seg_ros.core.normalise import normalise
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.sources.base import open_source


def upsampled(logits, size):
    """Up-sample (classes, h, w) to (classes, *size) in float64, straight from the definition."""
    result = logits.astype(np.float64)
    for axis, wanted in ((1, size[0]), (2, size[1])):
        coarse = result.shape[axis]
        place = (np.arange(wanted) + 0.5) * coarse / wanted - 0.5
        place = np.clip(place, 0, coarse - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, coarse - 1)
        weight = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
        result = (1 - weight) * result.take(low, axis) + weight * result.take(high, axis)
    return result


def smooth_logits(rng, classes, height, width):
    """Make logits with regions, as a network gives them: noise blurred, plus fine noise."""
    import cv2
    noise = rng.normal(size=(classes, height, width)).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in noise])
    return 40 * blurred + 0.5 * rng.normal(size=noise.shape).astype(np.float32)


SIZES = [((24, 40), (96, 160)), ((23, 31), (375, 500)), ((16, 16), (16, 16)),
         ((16, 20), (7, 9)), ((2, 3), (61, 5)), ((1, 1), (4, 4))]
CASES = [(classes, *sizes) for classes in (1, 2, 11) for sizes in SIZES]


@pytest.mark.parametrize(('classes', 'coarse', 'size'), [*CASES, (255, (24, 40), (96, 160))])
def test_labels_equal_float64_within_four_ulp(classes, coarse, size):
    rng = np.random.default_rng(classes)
    for logits in (smooth_logits(rng, classes, *coarse),
                   rng.normal(size=(classes, *coarse)).astype(np.float32)):
        labels, confidence = decode(logits, size)
        exact = upsampled(logits, size)
        assert confidence is None
        assert labels.shape == size
        lead = exact.max(0) - np.take_along_axis(exact, labels[None].astype(int), 0)[0]
        # float32 logits carry half an ulp each; four of them are summed.
        assert lead.max() <= 4 * np.spacing(np.abs(logits).max())


def test_labels_are_exact_on_what_the_shipped_model_gives():
    onnxruntime = pytest.importorskip('onnxruntime')
    card = ModelCard.load('frm_b0_fast')
    session = onnxruntime.InferenceSession(str(card.file(ONNX).resolve()),
                                           providers=['CPUExecutionProvider'])
    for frame in open_source('synthetic:3:2'):
        image = resize_image(frame.image, card.input_size)
        inputs = normalise(image[None], card.mean, card.std)
        logits = session.run(None, {session.get_inputs()[0].name: inputs})[0][0]
        labels, _ = decode(logits, (720, 1280))
        exact = upsampled(logits, (720, 1280))
        lead = exact.max(0) - np.take_along_axis(exact, labels[None].astype(int), 0)[0]
        assert lead.max() <= 4 * np.spacing(np.abs(logits).max())
        assert len(np.unique(labels)) >= 5   # there are borders to be wrong at


def test_lowest_id_wins_a_tie():
    logits = np.zeros((3, 4, 4), np.float32)
    logits[0, :, :2] = -1
    labels, _ = decode(logits, (16, 16))
    assert (labels[:, 10:] == 0).all()
    assert (labels[:, :9] == 1).all()


def test_a_class_that_wins_no_corner_can_win_inside():
    logits = np.array([[[1, -1]], [[-1, 1]], [[0.9, 0.9]]], np.float32)
    labels, _ = decode(logits, (1, 8))
    assert 2 in labels
    exact = upsampled(logits, (1, 8)).argmax(0)
    assert np.array_equal(labels, exact)


def test_confidence_is_the_upsampled_softmax_maximum():
    logits = smooth_logits(np.random.default_rng(0), 5, 12, 15) / 3
    _, confidence = decode(logits, (47, 61), confidence=True)
    exponent = np.exp(logits.astype(np.float64))
    expected = 255 * upsampled((exponent / exponent.sum(0)).max(0, keepdims=True), (47, 61))[0]
    # Half a step of rounding, and float32 on the way.
    assert np.abs(confidence - expected).max() <= 0.51
    assert confidence.min() < 120 < 200 < confidence.max()


def test_it_works_where_compiled_code_cannot_be_kept():
    program = ('from numba.core import caching\n'
               'caching.CacheImpl._locator_classes = []\n'  # no folder can be written
               'import numpy as np\n'
               'from frm_seg_ros.core.decode import decode\n'
               'print(decode(np.eye(2, dtype=np.float32)[:, None], (1, 4))[0].tolist())')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == '[[0, 0, 1, 1]]\n', done.stderr


DECODE = ('import numpy as np\n'
          'from frm_seg_ros.core.decode import decode\n'
          'print(decode(np.eye(2, dtype=np.float32)[:, None], (1, 4))[0].tolist())\n')
FULL = """
import errno, os
from numba.core import caching
def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
caching.IndexDataCacheFile._open_for_write = full
"""


def decoded(program: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          env=os.environ | {'NUMBA_CACHE_DIR': str(folder)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_works_where_the_disk_is_full(tmp_path):
    assert decoded(FULL + DECODE, tmp_path) == '[[0, 0, 1, 1]]\n'
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]


def test_it_works_where_what_was_kept_is_damaged(tmp_path):
    decoded(DECODE, tmp_path)
    kept = sorted(path for path in tmp_path.rglob('*') if path.is_file())
    assert {path.suffix for path in kept} == {'.nbi', '.nbc'}
    for number, path in enumerate(kept):   # an index that is cut off, or data, or an empty file
        path.write_bytes(path.read_bytes()[:(0, 100)[number % 2]])
    assert decoded(DECODE, tmp_path) == '[[0, 0, 1, 1]]\n'
