"""The network that TensorRT builds an engine from: the shipped ONNX, with its precision in it.

TensorRT 10 and 11 take the types as they stand in a graph (strongly typed networks; 11 knows no
other), so float16 has to be written into it. What a softmax turns into weights of an attention
stays float32, from its logits to the sum that it weighs: float16 would lose small weights.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import INT8, ONNX, ModelCard

PIXELS = 'pixels'
_FLOATS: dict[int, type[np.floating]] = {TensorProto.FLOAT: np.float32,
                                         TensorProto.FLOAT16: np.float16}
# Between an attention's product of queries and keys, its softmax and its sum.
_PASSING = {'Add', 'Cast', 'Div', 'Identity', 'Mul', 'ReduceMean', 'Reshape', 'Slice', 'Squeeze',
            'Sub', 'Transpose', 'Unsqueeze', 'Where'}
_PRODUCTS = {'Conv', 'Gemm', 'MatMul'}
# Inputs that are float32 whatever the rest is, by operator: those of the ONNX specification.
_ALWAYS_FLOAT32 = {'Resize': (1, 2)}


def load_network(card: ModelCard, size: tuple[int, int], precision: str,
                 typed: bool) -> ModelProto:
    """Load a network with its weights, and let it take pixels.

    Args:
        card: of the model.
        size: (height, width) of its input.
        precision: float32, float16 or int8.
        typed: whether float16 has to stand in the network, since no flag allows it.

    Returns:
        A network that takes `pixels` (N, H, W, 3) uint8 RGB, of any N, and gives what the file
        does, float32.

    Raises:
        ConfigError: if it does not hold a network that this can be done to.
    """
    path = card.file(INT8 if precision == 'int8' else ONNX)
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's and onnx's own
        raise ConfigError(f'{path} cannot be read as ONNX, restore it: {error}') from error
    if precision == 'int8':
        make_symmetric(model.graph)
    elif precision == 'float16' and typed:
        to_half(model)
    take_pixels(model.graph, card, size)
    return model


def take_pixels(graph: GraphProto, card: ModelCard, size: tuple[int, int]) -> None:
    """Put the normalising of uint8 RGB (N, H, W, 3) before a graph that takes (N, 3, H, W)."""
    images = graph.input[0].name
    scale = np.array([1 / (255 * std) for std in card.std], np.float32)
    shift = np.array([-mean / std for mean, std in zip(card.mean, card.std)], np.float32)
    graph.initializer.extend([
        numpy_helper.from_array(each.reshape(3, 1, 1), name)
        for name, each in (('pixels.scale', scale), ('pixels.shift', shift))])
    nodes = [helper.make_node('Cast', [PIXELS], ['pixels.float'], to=TensorProto.FLOAT),
             helper.make_node('Transpose', ['pixels.float'], ['pixels.planes'],
                              perm=[0, 3, 1, 2]),
             helper.make_node('Mul', ['pixels.planes', 'pixels.scale'], ['pixels.scaled']),
             helper.make_node('Add', ['pixels.scaled', 'pixels.shift'], [images])]
    _set_nodes(graph, [*nodes, *graph.node])
    del graph.input[0]
    graph.input.insert(0, helper.make_tensor_value_info(PIXELS, TensorProto.UINT8,
                                                        ['N', *size, 3]))


def make_symmetric(graph: GraphProto) -> None:
    """Quantise activations to int8 around 0, as TensorRT wants it.

    The shipped file has uint8 with a zero point, which is exacter and what CPUs do: its range
    [-zero * scale, (255 - zero) * scale] becomes the narrowest symmetric one that holds it.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in ('QuantizeLinear', 'DequantizeLinear') or len(node.input) < 3:
            continue
        scale, zero = (numpy_helper.to_array(weights[name]) for name in node.input[1:3])
        if zero.dtype != np.uint8:
            continue
        if node.input[0] in weights:
            raise ConfigError(f'the int8 file holds {node.input[0]} as uint8, TensorRT takes '
                              'weights in int8: quantise the model again')
        reach = np.maximum(zero, 255 - zero.astype(np.int32)) * scale / 127
        names = [f'{name}.symmetric' for name in node.input[1:3]]
        for name, values in zip(names, (reach.astype(np.float32), np.zeros_like(zero, np.int8))):
            weights[name] = numpy_helper.from_array(values, name)
        node.input[1:] = names
    used = {name for node in graph.node for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in used)


def attention_nodes(model: ModelProto) -> list[NodeProto]:
    """List the nodes of all attentions, from the product that gives logits to the weighed sum."""
    graph, floats = model.graph, _float_tensors(model)
    producer = {name: node for node in graph.node for name in node.output}
    found: dict[str, NodeProto] = {}

    def backwards(name: str, product_seen: bool) -> None:
        node = producer.get(name)
        if node is None or name not in floats or name in found:
            return
        if node.op_type in _PRODUCTS and product_seen:
            return
        if node.op_type in _PASSING | _PRODUCTS:
            found[name] = node
            if node.op_type != 'Conv':
                for each in node.input:
                    backwards(each, product_seen or node.op_type in _PRODUCTS)

    def forwards(name: str) -> None:
        for node in graph.node:
            if name in node.input and node.op_type in _PASSING | _PRODUCTS:
                found[node.output[0]] = node
                if node.op_type in _PASSING:
                    forwards(node.output[0])

    for node in graph.node:
        if node.op_type == 'Softmax':
            found[node.output[0]] = node
            backwards(node.input[0], False)
            forwards(node.output[0])
    return list(found.values())


def to_half(model: ModelProto) -> None:
    """Turn a float32 network to float16 in place, all but its attentions, inputs and outputs.

    Raises:
        ConfigError: if a weight is out of the range of float16.
    """
    _weights_to_float32(model.graph)
    _fold_norms(model.graph)
    kept = {node.output[0] for node in attention_nodes(model)}
    _Types(model, kept).write()
    del model.graph.value_info[:]


class _Types:
    """Rewrites a graph so that every node computes in the type it is given."""

    def __init__(self, model: ModelProto, in_float32: set[str]) -> None:
        self._graph = model.graph
        self._in_float32 = in_float32
        self._floats = _float_tensors(model)
        self._weights = {tensor.name: numpy_helper.to_array(tensor)
                         for tensor in self._graph.initializer}
        # What type a tensor of the new graph has; those of the old graph are float32.
        self._types = {value.name: TensorProto.FLOAT for value in self._graph.input}
        self._nodes: list[NodeProto] = []
        self._made: dict[str, TensorProto | None] = {}

    def write(self) -> None:
        for node in self._graph.node:
            kind = (TensorProto.FLOAT if node.output[0] in self._in_float32
                    else TensorProto.FLOAT16)
            for place, name in enumerate(node.input):
                if name in self._floats and place not in _ALWAYS_FLOAT32.get(node.op_type, ()):
                    node.input[place] = self._as(name, kind)
            if node.op_type == 'Cast':
                self._retarget(node, kind)
            self._types.update((name, kind) for name in node.output if name in self._floats)
            self._nodes.append(node)
        for value in self._graph.output:
            self._end(value.name)
        made = [tensor for tensor in self._made.values() if tensor is not None]
        rest = [tensor for tensor in self._graph.initializer if tensor.name not in self._floats
                or any(tensor.name in node.input for node in self._nodes)]
        del self._graph.initializer[:]
        self._graph.initializer.extend([*rest, *made])
        _set_nodes(self._graph, self._nodes)

    @staticmethod
    def _retarget(node: NodeProto, kind: int) -> None:
        for attribute in node.attribute:
            if attribute.name == 'to' and attribute.i in _FLOATS:
                attribute.i = kind

    def _as(self, name: str, kind: int) -> str:
        """Name the tensor as `kind`, after a cast or a copy of the weight where it needs one."""
        if name not in self._weights and self._types[name] == kind:
            return name
        new = f'{name}.{"half" if kind == TensorProto.FLOAT16 else "float"}'
        if new not in self._made:
            if name in self._weights:
                self._made[new] = _weight(new, self._weights[name], kind)
            else:
                self._made[new] = None
                self._nodes.append(helper.make_node('Cast', [name], [new], to=kind))
        return new

    def _end(self, name: str) -> None:
        """Give an output as float32 under its own name."""
        if self._types.get(name) != TensorProto.FLOAT16:
            return
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [f'{name}.half' if each == name else each for each in names]
        self._nodes.append(helper.make_node('Cast', [f'{name}.half'], [name],
                                            to=TensorProto.FLOAT))


def _weight(name: str, values: np.ndarray, kind: int) -> TensorProto:
    with np.errstate(over='ignore'):
        cast = values.astype(_FLOATS[kind])
    if not np.isfinite(cast).all():
        raise ConfigError(f'the weight {name} reaches {np.abs(values).max():g}, which float16 '
                          'does not hold: choose precision float32')
    return numpy_helper.from_array(cast, name)


def _float_tensors(model: ModelProto) -> set[str]:
    """Name the tensors of floating point."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=False).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return ({value.name for value in values if value.type.tensor_type.elem_type in _FLOATS}
            | {tensor.name for tensor in graph.initializer if tensor.data_type in _FLOATS})


def _weights_to_float32(graph: GraphProto) -> None:
    """Make float32 initializers of all floating-point ones, of constants and of casts of them."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == 'Constant' and node.attribute[0].name == 'value':
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == 'Cast' and node.input[0] in found and helper.get_node_attr_value(
                node, 'to') == TensorProto.FLOAT:
            found[node.output[0]] = found[node.input[0]].astype(np.float32)
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(numpy_helper.from_array(
        values.astype(np.float32) if values.dtype == np.float16 else values, name)
        for name, values in found.items() if name in used)
    _set_nodes(graph, nodes)


def _fold_norms(graph: GraphProto) -> None:
    """Put batch norms into the convolution before, or make a product and a sum of them.

    Their variances may be out of the range of float16: 104692 in the shipped model.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    producer = {name: node for node in graph.node for name in node.output}
    users: dict[str, int] = {}
    for name in (name for node in graph.node for name in node.input):
        users[name] = users.get(name, 0) + 1
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != 'BatchNormalization':
            nodes.append(node)
            continue
        scale, shift = _norm(node, weights)
        before = producer.get(node.input[0])
        if before is not None and before.op_type == 'Conv' and users[node.input[0]] == 1:
            _scale_convolution(before, node.output[0], scale, shift, weights)
        else:
            nodes += _product_and_sum(node, scale, shift, weights)
    del graph.initializer[:]
    graph.initializer.extend(weights.values())
    _set_nodes(graph, nodes)


def _norm(node: NodeProto, weights: dict[str, TensorProto]) -> tuple[np.ndarray, np.ndarray]:
    """Give what a batch norm multiplies by and adds, by channel, float64."""
    gain, bias, mean, variance = (numpy_helper.to_array(weights[name]).astype(np.float64)
                                  for name in node.input[1:5])
    epsilon = next((each.f for each in node.attribute if each.name == 'epsilon'), 1e-5)
    scale = gain / np.sqrt(variance + epsilon)
    return scale, bias - mean * scale


def _scale_convolution(node: NodeProto, output: str, scale: np.ndarray, shift: np.ndarray,
                       weights: dict[str, TensorProto]) -> None:
    kernel = numpy_helper.to_array(weights[node.input[1]])
    bias = numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 else 0.0
    names = [f'{output}.kernel', f'{output}.bias']
    for name, values in zip(names, (kernel * scale.reshape(-1, 1, 1, 1), bias * scale + shift)):
        weights[name] = numpy_helper.from_array(values.astype(np.float32), name)
    node.input[1:] = names
    node.output[0] = output


def _product_and_sum(node: NodeProto, scale: np.ndarray, shift: np.ndarray,
                     weights: dict[str, TensorProto]) -> Iterator[NodeProto]:
    output = node.output[0]
    for name, values in ((f'{output}.scale', scale), (f'{output}.shift', shift)):
        weights[name] = numpy_helper.from_array(values.astype(np.float32).reshape(-1, 1, 1), name)
    yield helper.make_node('Mul', [node.input[0], f'{output}.scale'], [f'{output}.scaled'])
    yield helper.make_node('Add', [f'{output}.scaled', f'{output}.shift'], [output])


def _set_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    graph.ClearField('node')
    graph.node.extend(nodes)
