"""Image and truth move together, and colours stay colours."""
import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')

from training_config import config_with  # noqa: E402

from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.training.augmentation import augment, jitter_color

PALETTE = LabelSpace.load('camvid').palette


def painted_frame():
    """Make a frame whose image is its truth painted, in blocks of 24 pixels."""
    blocks = np.random.default_rng(3).integers(0, 11, (10, 12)).astype(np.uint8)
    truth = blocks.repeat(24, 0).repeat(24, 1)
    return Frame(PALETTE[truth], 0, truth=truth)


@pytest.mark.parametrize('seed', range(12))
def test_image_and_truth_stay_aligned(seed):
    config = config_with(crop=(96, 128), scale=(0.4, 2.5), color=0.0)
    image, truth = augment(painted_frame(), config, np.random.default_rng(seed))
    assert image.shape == (96, 128, 3)
    assert truth.shape == (96, 128)
    counted = truth != IGNORE
    distance = np.abs(image.astype(int) - PALETTE[truth]).sum(2)
    # Only pixels on a border between blocks are mixed; at the smallest scale blocks are 10 wide.
    assert (distance[counted] < 60).mean() > 0.6
    shifted = np.abs(np.roll(image, 5, 1).astype(int) - PALETTE[truth]).sum(2)
    assert distance[counted].mean() < 0.5 * shifted[counted].mean()


def test_what_lies_outside_the_frame_is_ignored():
    config = config_with(crop=(240, 288), scale=(0.5, 0.5), color=0.0)
    _, truth = augment(painted_frame(), config, np.random.default_rng(0))
    assert (truth[60:180, 72:216] != IGNORE).all()
    assert (truth[:58] == IGNORE).all() and (truth[:, :70] == IGNORE).all()


def test_half_of_the_crops_are_flipped():
    config = config_with(crop=(240, 288), scale=(1.0, 1.0), color=0.0)
    frame = painted_frame()
    flipped = 0
    for seed in range(60):
        _, truth = augment(frame, config, np.random.default_rng(seed))
        assert np.array_equal(truth, frame.truth) or np.array_equal(truth, frame.truth[:, ::-1])
        flipped += not np.array_equal(truth, frame.truth)
    assert 15 < flipped < 45  # 4 standard deviations of 60 coins


def test_colour_jitter_is_bounded_and_off_at_zero():
    image = np.random.default_rng(0).integers(60, 120, (20, 30, 3)).astype(np.uint8)
    assert np.array_equal(jitter_color(image, 0.0, np.random.default_rng(0)), image)
    means = [jitter_color(image, 0.3, np.random.default_rng(seed)).mean() for seed in range(30)]
    assert max(means) / image.mean() < 1.3 * 1.1
    assert min(means) / image.mean() > 0.7 * 0.9
    assert np.std(means) > 5


def test_balanced_crops_show_a_class_drawn_equally():
    truth = np.zeros((80, 400), np.uint8)   # one pixel of class 7 far from most windows
    truth[5, 395] = 7
    frame = Frame(np.zeros((80, 400, 3), np.uint8), 0, truth=truth)

    def share(balance):
        config = config_with(crop=(64, 64), scale=(1.0, 1.0), balance=balance)
        return np.mean([7 in augment(frame, config, np.random.default_rng(seed))[1]
                        for seed in range(200)])

    # Both classes are as likely, so half of the balanced crops show the pixel; of the others a
    # window of 64 columns in 400 seldom does. 0.14 is 4 standard deviations of 200 coins.
    assert share(0.0) < 0.06
    assert share(1.0) == pytest.approx(0.5, abs=0.14)
    assert share(0.4) == pytest.approx(0.2, abs=0.12)


def test_a_frame_without_any_class_can_be_cropped():
    frame = Frame(np.zeros((80, 80, 3), np.uint8), 0, truth=np.full((80, 80), IGNORE, np.uint8))
    _, truth = augment(frame, config_with(crop=(64, 64), balance=1.0), np.random.default_rng(0))
    assert (truth == IGNORE).all()


def test_crops_are_blurred_as_often_as_told():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    frame = Frame(image, 0, truth=np.zeros((64, 64), np.uint8))

    def blurred(share):
        config = config_with(crop=(64, 64), scale=(1.0, 1.0), color=0.0, blur=share)
        return np.mean([not np.isin(crop.astype(int).sum(), image.astype(int).sum()) for crop, _ in
                        (augment(frame, config, np.random.default_rng(s)) for s in range(100))])

    assert blurred(0.0) == 0
    assert blurred(1.0) == 1


@pytest.mark.parametrize('seed', range(6))
def test_colour_jitter_is_what_it_says_pixel_by_pixel(seed):
    image = np.random.default_rng(seed).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    found = jitter_color(image, 0.4, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    brightness, contrast, saturation = 1 + 0.4 * rng.uniform(-1, 1, 3)
    tint = 1 + 0.1 * rng.uniform(-1, 1, 3)
    grey = (image * [0.299, 0.587, 0.114]).sum(2)
    for row, column in np.ndindex(5, 7):
        x = saturation * image[row, column] + (1 - saturation) * grey[row, column]
        wanted = brightness * (contrast * tint * (x - grey.mean()) + grey.mean())
        # Rounding to whole numbers, and OpenCV's fixed point of 10 bits for 8-bit images.
        np.testing.assert_allclose(found[row, column], wanted.clip(0, 255), atol=1.01)
