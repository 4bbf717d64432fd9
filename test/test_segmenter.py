"""The single door: sizes, batches, refusals."""
import numpy as np
import pytest
from tiny_model import write_tiny_model

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.segmenter import Segmenter

PALETTE = LabelSpace.load('camvid').palette
BACKENDS = ('openvino', 'onnxruntime')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    pytest.importorskip('onnx', reason='onnx is not installed')
    return write_tiny_model(tmp_path_factory.mktemp('model') / 'tiny')  # runs at 96x128


def painted(height, width):
    """Paint four quarters in the colours of sky, building, road and car; give image and truth."""
    truth = np.full((height, width), 3, np.uint8)
    truth[:height // 2, :width // 2] = 0
    truth[:height // 2, width // 2:] = 1
    truth[height // 2:, width // 2:] = 8
    return PALETTE[truth], truth


def assert_equal_inside(labels, truth, margin):
    """Compare all pixels but those within `margin` of the borders between the quarters."""
    assert labels.shape == truth.shape
    inside = np.ones(truth.shape, bool)
    for axis, size in enumerate(truth.shape):
        np.moveaxis(inside, axis, 0)[size // 2 - margin:size // 2 + margin] = False
    np.testing.assert_array_equal(labels[inside], truth[inside])


@pytest.mark.parametrize('backend', BACKENDS)
def test_labels_come_back_in_camera_pixels(model, backend):
    pytest.importorskip(backend)
    segmenter = Segmenter.open(model, backend)
    for size in ((96, 128), (240, 320), (51, 77)):
        image, truth = painted(*size)
        prediction = segmenter([image])[0]
        # Two pixels of the coarse grid, which has 24 rows.
        assert_equal_inside(prediction.labels, truth, -(-2 * size[0] // 24))
        assert prediction.confidence is None
        assert set(prediction.times_ms) == {'pre', 'inference', 'decode'}
        assert 0 < prediction.times_ms['decode'] < prediction.times_ms['inference']
    segmenter.close()


@pytest.mark.parametrize('backend', BACKENDS)
def test_images_of_several_sizes_make_one_batch(model, backend):
    pytest.importorskip(backend)
    segmenter = Segmenter.open(model, backend)
    sizes = [(96, 128), (200, 100), (96, 128)]
    images, truths = zip(*(painted(*size) for size in sizes))
    predictions = segmenter(images, confidence=True)
    for prediction, truth in zip(predictions, truths):
        assert_equal_inside(prediction.labels, truth, 20)
        assert prediction.confidence.shape == truth.shape
        assert 0 < prediction.confidence.min() <= prediction.confidence.max() <= 255
    assert segmenter([]) == []
    segmenter.close()


def test_the_network_runs_at_the_size_that_is_asked_for(model):
    pytest.importorskip('onnxruntime')
    coarse, fine = (Segmenter.open(model, 'onnxruntime', size=size) for size in (None, (192, 256)))
    assert (coarse.size, fine.size) == ((96, 128), (192, 256))
    image = PALETTE[np.zeros((192, 256), np.uint8)]
    image[60:66, 100:106] = PALETTE[8]  # a spot of 6 pixels: lost when the picture is halved
    assert 8 in fine([image])[0].labels
    assert 8 not in coarse([image])[0].labels


def test_what_is_refused(model):
    with pytest.raises(ConfigError, match='the network size is 32x128: take one from 64x64'):
        Segmenter.open(model, size=(32, 128))
    with pytest.raises(ConfigError, match='the network size is 99999x64'):
        Segmenter.open(model, size=(99999, 64))
    with pytest.raises(ConfigError, match='no model'):
        Segmenter.open('nonesuch')


@pytest.mark.parametrize(('image', 'words'), [
    (np.zeros((64, 64), np.uint8), 'wanted .H, W, 3.'),
    (np.zeros((64, 64, 4), np.uint8), 'wanted uint8 .64, 64, 3.'),
    (np.zeros((0, 64, 3), np.uint8), 'wanted .H, W, 3.'),
    (np.zeros((64, 64, 3), np.float32), 'image is float32'),
    ('picture.png', 'image is a str'),
])
def test_what_is_no_image_is_refused(model, image, words):
    segmenter = Segmenter.open(model, 'onnxruntime')
    with pytest.raises(ValueError, match=words):
        segmenter([image])


def test_a_card_of_another_number_of_classes_is_refused(model, tmp_path):
    from dataclasses import replace

    from frm_seg_ros.core.model_card import ModelCard
    card = ModelCard.load(model)
    with pytest.raises(ConfigError, match='an architecture of 12 classes, but camvid has 11'):
        Segmenter(replace(card, architecture={'classes': 12}))
