"""The networks that engines are built from, run by ONNX Runtime on the CPU."""
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tiny_model import write_tiny_model  # noqa: E402

from frm_seg_ros.backends import tensorrt_network  # noqa: E402
from frm_seg_ros.backends.tensorrt_network import PIXELS, load_network  # noqa: E402
from frm_seg_ros.core.decode import decode  # noqa: E402
from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import sha256, share_dir  # noqa: E402
from frm_seg_ros.core.model_card import INT8, ModelCard  # noqa: E402
from frm_seg_ros.core.normalise import normalise  # noqa: E402
from frm_seg_ros.core.resize import resize_image  # noqa: E402
from frm_seg_ros.sources.synthetic import render_scene  # noqa: E402

CARD = ModelCard.load(share_dir() / 'models' / 'frm_b0_fast')
SIZE = (192, 256)


def run(model, inputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=['CPUExecutionProvider'])
    return session.run(None, inputs)[0]


@pytest.fixture(scope='module')
def images():
    return np.stack([resize_image(render_scene(seed).image, SIZE) for seed in (1, 2, 3)])


@pytest.fixture(scope='module')
def wanted(images):
    """The logits of the shipped file, from images normalised on the CPU."""
    session = onnxruntime.InferenceSession(str(CARD.file('model.onnx').resolve()),
                                           providers=['CPUExecutionProvider'])
    return session.run(None, {'images': normalise(images, CARD.mean, CARD.std)})[0]


def labels(logits):
    return np.stack([decode(each, (300, 412))[0] for each in logits])


@pytest.mark.parametrize('precision', ['float32', 'float16'])
@pytest.mark.parametrize('typed', [True, False])
def test_networks_take_pixels_and_give_the_logits_of_the_file(precision, typed, images, wanted):
    model = load_network(CARD, SIZE, precision, typed)
    onnx.checker.check_model(model, full_check=True)
    found = run(model, {PIXELS: images})
    assert found.dtype == np.float32
    # Rounding to 11 bits at every step, in a network of 132 convolutions; sums in another order.
    allowed = 5e-3 if precision == 'float16' and typed else 1e-5
    assert np.linalg.norm(found - wanted) <= allowed * np.linalg.norm(wanted)
    agreement = (labels(found) == labels(wanted)).mean()
    assert agreement >= (0.9995 if precision == 'float16' and typed else 0.99999)


def types_of(model):
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {value.name: value.type.tensor_type.elem_type
            for value in [*graph.value_info, *graph.input, *graph.output]}


def test_float16_stands_in_the_network_but_for_the_attention():
    model = load_network(CARD, SIZE, 'float16', True)
    types = types_of(model)
    for node in model.graph.node:
        kind = types[node.output[0]]
        if node.op_type == 'Softmax':
            assert kind == TensorProto.FLOAT
        elif node.op_type in ('MatMul', 'ReduceMean', 'Sub'):
            assert kind == TensorProto.FLOAT, node.name
        elif node.op_type == 'Conv':
            unary = node.name.endswith('unary/Conv')
            assert kind == (TensorProto.FLOAT if unary else TensorProto.FLOAT16), node.name
        elif node.op_type in ('Erf', 'LayerNormalization', 'Resize', 'AveragePool', 'Relu'):
            assert kind == TensorProto.FLOAT16, node.name
    sizes = {TensorProto.FLOAT: 0, TensorProto.FLOAT16: 0}
    for tensor in model.graph.initializer:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += numpy_helper.to_array(tensor).size
    assert sizes[TensorProto.FLOAT] < 0.001 * sizes[TensorProto.FLOAT16]
    assert 'BatchNormalization' not in {node.op_type for node in model.graph.node}


def test_the_attention_is_found_from_its_product_to_its_sum():
    model = load_network(CARD, SIZE, 'float32', True)
    nodes = tensorrt_network.attention_nodes(model)
    names = {node.name.removeprefix('/refinement/attention/') for node in nodes}
    assert {'MatMul', 'Mul', 'Sub', 'Sub_1', 'Softmax', 'Softmax_1', 'unary/Conv', 'Add',
            'MatMul_1'} <= names
    assert not {'query/Conv', 'key/Conv', 'value/Conv', 'out/Conv'} & names
    assert all(name.startswith('/refinement/attention/') for name in
               (node.name for node in nodes))


def save_with(model, folder, name='model.onnx'):
    onnx.save(model, folder / name)
    card = ModelCard.load(folder)
    return replace(card, files={**card.files, name: sha256(folder / name)})


def test_a_weight_that_float16_does_not_hold_is_refused(tmp_path):
    folder = write_tiny_model(tmp_path / 'tiny')
    model = onnx.load(folder / 'model.onnx')
    kernel = numpy_helper.to_array(model.graph.initializer[0]).copy()
    kernel[0, 0] = 7e4
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(kernel, 'kernel'))
    card = save_with(model, folder)
    with pytest.raises(ConfigError, match='reaches 70000, which float16 does not hold'):
        load_network(card, (96, 128), 'float16', True)
    load_network(card, (96, 128), 'float32', True)


def test_norms_without_a_convolution_before_them(images):
    """A norm of an input and one of a convolution whose result is used twice."""
    rng = np.random.default_rng(0)
    weights = {f'{name}{place}': rng.uniform(0.5, 2, 3).astype(np.float32)
               for place in (1, 2) for name in ('gain', 'bias', 'mean', 'variance')}
    weights['variance2'] *= 1e5
    weights['kernel'] = rng.normal(size=(3, 3, 1, 1)).astype(np.float32)
    node = helper.make_node
    nodes = [node('BatchNormalization', ['images', *list(weights)[:4]], ['a']),
             node('Conv', ['a', 'kernel'], ['b']),
             node('BatchNormalization', ['b', *list(weights)[4:8]], ['c']),
             node('Add', ['b', 'c'], ['logits'])]
    shape = ['N', 3, 'H', 'W']
    graph = helper.make_graph(
        nodes, 'norms', [helper.make_tensor_value_info('images', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    inputs = {'images': rng.normal(size=(2, 3, 8, 12)).astype(np.float32)}
    right = run(model, inputs)
    tensorrt_network.to_half(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model, inputs), right, rtol=5e-3, atol=5e-3)


@pytest.mark.skipif(INT8 not in CARD.files, reason='the card lists no int8 file')
def test_int8_is_symmetric_and_gives_nearly_the_same_labels(images, wanted):
    model = load_network(CARD, SIZE, 'int8', True)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    quantised = [node for node in model.graph.node
                 if node.op_type in ('QuantizeLinear', 'DequantizeLinear')]
    assert len(quantised) > 100
    for node in quantised:
        zero = numpy_helper.to_array(weights[node.input[2]])
        assert zero.dtype == np.int8 and not zero.any()
    # 255 steps over a range that is up to twice as wide as needed.
    assert (labels(run(model, {PIXELS: images})) == labels(wanted)).mean() >= 0.85


@pytest.mark.parametrize('zero', [0, 50, 200, 255])
def test_a_range_stays_within_the_symmetric_one(zero):
    values = 0.01 * (np.arange(256, dtype=np.float32) - zero)
    weights = [numpy_helper.from_array(np.float32(0.01), 'scale'),
               numpy_helper.from_array(np.uint8(zero), 'zero')]
    graph = helper.make_graph(
        [helper.make_node('QuantizeLinear', ['x', 'scale', 'zero'], ['q']),
         helper.make_node('DequantizeLinear', ['q', 'scale', 'zero'], ['y'])], 'one',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [256])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [256])], weights)
    tensorrt_network.make_symmetric(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    # Half a step is lost at most.
    assert np.abs(run(model, {'x': values}) - values).max() <= 0.51 * np.abs(values).max() / 127
