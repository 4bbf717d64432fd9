"""What happens to pixels on their way into a network."""
import numpy as np

from frm_seg_ros.core.normalise import normalise
from frm_seg_ros.core.resize import resize_image


def test_same_size_is_the_same_array():
    image = np.zeros((6, 8, 3), np.uint8)
    assert resize_image(image, (6, 8)) is image


def test_shrinking_averages_areas():
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    small = resize_image(image, (4, 5))
    mean = image.reshape(4, 3, 5, 4, 3).mean((1, 3))
    assert np.abs(small - mean).max() <= 0.5  # rounding


def test_growing_is_bilinear_with_half_pixel_centres():
    image = np.array([0, 80], np.uint8)[None, :, None].repeat(3, 2).repeat(2, 0)
    assert resize_image(image, (2, 4))[0, :, 0].tolist() == [0, 20, 60, 80]


def test_normalise_equals_the_formula():
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 3)).astype(np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = ((images / 255 - mean) / std).transpose(0, 3, 1, 2)
    result = normalise(images, mean, std)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-6)  # float32 at values up to 3
