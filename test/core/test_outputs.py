"""Labels of a network are resized by the nearest centre; logits are decoded."""
import numpy as np

from frm_seg_ros.core.decode import decode
from frm_seg_ros.core.outputs import decode_output, resize_labels

LABELS = np.array([[0, 1, 2], [3, 255, 5]], np.uint8)


def test_each_pixel_takes_the_nearest_label():
    # Pixel i of 6 lies at (i + 0.5) / 2 of 3; of 4 at (i + 0.5) / 2 of 2.
    wanted = LABELS.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(resize_labels(LABELS, (4, 6)), wanted)
    np.testing.assert_array_equal(resize_labels(wanted, (4, 6)), wanted)


def test_smaller_pictures_take_the_label_at_the_centre_of_each_pixel():
    # Of five columns the one pixel of a single column has its centre in the third.
    row = np.arange(5, dtype=np.uint8)[None]
    assert resize_labels(row, (1, 1)).tolist() == [[2]]
    # Of nine to three: centres at 1.5, 4.5 and 7.5, in the columns 1, 4 and 7.
    assert resize_labels(np.arange(9, dtype=np.uint8)[None], (1, 3)).tolist() == [[1, 4, 7]]


def test_labels_have_no_confidence():
    labels, confidence = decode_output(LABELS, (4, 6), confidence=True)
    np.testing.assert_array_equal(labels, LABELS.repeat(2, 0).repeat(2, 1))
    assert confidence is None


def test_logits_are_decoded():
    logits = np.random.default_rng(0).normal(size=(4, 5, 7)).astype(np.float32)
    wanted = decode(logits, (20, 29), confidence=True)
    for found, right in zip(decode_output(logits, (20, 29), confidence=True), wanted):
        np.testing.assert_array_equal(found, right)
