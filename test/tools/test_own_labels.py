"""A label space of one's own on its way through the tools, with a model that holds it."""
import cv2
import numpy as np
import pytest
from data_trees import write_robot
from tiny_model import write_tiny_model

from frm_seg_ros import cli
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.base import open_source
from frm_seg_ros.tools.evaluate import run_evaluation

BLOCK = 32


@pytest.fixture(scope='module')
def robot(tmp_path_factory):
    """Give frames painted in colours, and a model that knows these: (source text, model)."""
    pytest.importorskip('onnx', reason='onnx is not installed')
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    folder = tmp_path_factory.mktemp('robot')
    labels = write_robot(folder / 'data', size=(128, 192), block=BLOCK)
    model = write_tiny_model(folder / 'model', (128, 192), str(labels))
    return f'labelled:{folder}/data:train', model


def inside(image):
    """Keep of each block what is not within 8 pixels of its border."""
    rows, columns = (np.arange(size) % BLOCK for size in image.shape)
    return image[(rows >= 8) & (rows < BLOCK - 8)][:, (columns >= 8) & (columns < BLOCK - 8)]


def test_ids_of_the_own_space_are_written(robot, tmp_path):
    source, model = robot
    assert cli.main(['predict', source, '--ids', '--out', str(tmp_path), '--model', str(model),
                     '--backend', 'onnxruntime']) == 0
    for file in open_source(source).truths:
        truth, found = (inside(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
                        for path in (file, tmp_path / 'labels' / file.name))
        labelled = np.isin(truth, (1, 2, 7))
        assert set(truth[labelled]) == {1, 2, 7}
        np.testing.assert_array_equal(found[labelled], truth[labelled])


def test_scores_are_of_the_own_classes(robot):
    source, model = robot
    result = run_evaluation(source, str(model), backend='onnxruntime')
    assert result['label_space'] == 'robot'
    assert list(result['iou']) == ['floor', 'obstacle', 'person']
    assert min(result['iou'].values()) > 0.7        # borders of the blocks are blurred
    segmenter = Segmenter.open(model, 'onnxruntime')
    np.testing.assert_array_equal(segmenter.label_space.palette[2], (220, 200, 0))
    segmenter.close()
