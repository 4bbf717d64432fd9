"""Graphs from elsewhere give labels that are classes or 255."""
import numpy as np
import pytest

pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from onnx import TensorProto, helper  # noqa: E402

from frm_seg_ros.tools.onnx_graph import give_labels  # noqa: E402


def test_labels_that_are_no_class_become_unlabelled():
    values = [-3, -1, 0, 10, 11, 254, 255, 256, 300, 2**31 - 1]
    shape = [1, 1, 1, len(values)]
    graph = helper.make_graph(
        [helper.make_node('Identity', ['x'], ['y'])], 'labels',
        [helper.make_tensor_value_info('x', TensorProto.INT64, shape)],
        [helper.make_tensor_value_info('y', TensorProto.INT64, shape)])
    give_labels(graph, 'y', 11, channel=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 9)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found, = session.run(None, {'x': np.array(values, np.int64).reshape(shape)})
    assert found.dtype == np.uint8
    assert found.tolist() == [[[255, 255, 0, 10, 255, 255, 255, 255, 255, 255]]]
