"""Changes to a graph from elsewhere, so that it takes and gives what every model here does.

It takes `images` (N, 3, H, W) float32 RGB, and has one output: `logits` (N, classes, h, w) float32
or `labels` (N, h, w) uint8. Only operators that opset 9 has in this form are used.
"""
from __future__ import annotations

from typing import Any

from onnx import GraphProto, NodeProto, TensorProto, helper

from frm_seg_ros.core.label_space import IGNORE

# The least probability whose logarithm is taken; that of 0 would be no number.
LEAST_PROBABILITY = 1e-30
_MARK = 'frm_seg.'    # begins the names of what is added


def take_rgb(graph: GraphProto, name: str, half: bool, bgr: bool) -> None:
    """Let the graph take float32 RGB whose input `name` is float16, or BGR, or both."""
    name = _make_room(graph, 'images', name)
    new = next(value for value in graph.input if value.name == name)
    new.name = 'images'
    new.type.tensor_type.elem_type = TensorProto.FLOAT
    chain = _Chain(new.name)
    if bgr:
        chain.add('Gather', _constant(graph, 'bgr', TensorProto.INT64, [3], [2, 1, 0]), axis=1)
    chain.add('Cast', to=TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    nodes = [*chain.end_as(name), *graph.node]
    graph.ClearField('node')
    graph.node.extend(nodes)


def give_logits(graph: GraphProto, name: str, probabilities: bool) -> None:
    """Leave `name` as the only output, float32; of probabilities the logarithms."""
    chain = _Chain(_make_room(graph, 'logits', name))
    chain.add('Cast', to=TensorProto.FLOAT)
    if probabilities:
        chain.add('Max', _constant(graph, 'least', TensorProto.FLOAT, [1], [LEAST_PROBABILITY]))
        chain.add('Log')
    _set_output(graph, chain, 'logits', TensorProto.FLOAT, 4)


def give_labels(graph: GraphProto, name: str, classes: int, channel: bool) -> None:
    """Leave `name` as the only output, uint8 (N, h, w): 255 wherever it names no class.

    Args:
        graph: is changed.
        name: of an integer output, (N, h, w) or (N, 1, h, w).
        classes: how many there are.
        channel: whether it is the latter.
    """
    chain = _Chain(_make_room(graph, 'labels', name))
    if channel:
        chain.add('Gather', _constant(graph, 'first', TensorProto.INT64, [], [0]), axis=1)
    chain.add('Cast', to=TensorProto.INT32)
    number = {key: _constant(graph, key, TensorProto.INT32, [], [value])
              for key, value in (('none', 0), ('classes', classes), ('ignore', IGNORE))}
    low, high, not_low, good = (f'{_MARK}{key}' for key in ('low', 'high', 'not_low', 'good'))
    chain.nodes += [
        helper.make_node('Less', [chain.last, number['none']], [low]),
        helper.make_node('Less', [chain.last, number['classes']], [high]),
        helper.make_node('Not', [low], [not_low]),
        helper.make_node('And', [not_low, high], [good]),
        helper.make_node('Where', [good, chain.last, number['ignore']], [f'{_MARK}checked']),
    ]
    chain.last = f'{_MARK}checked'
    chain.add('Cast', to=TensorProto.UINT8)
    _set_output(graph, chain, 'labels', TensorProto.UINT8, 3)


class _Chain:
    """Nodes of which each takes what the one before it gives."""

    def __init__(self, start: str) -> None:
        self.nodes: list[NodeProto] = []
        self.last = start

    def add(self, operator: str, *more: str, **attributes: Any) -> None:
        """Add a node; `more` are its further inputs."""
        output = f'{self.last}.{_MARK}{operator}'
        self.nodes.append(helper.make_node(operator, [self.last, *more], [output], **attributes))
        self.last = output

    def end_as(self, name: str) -> list[NodeProto]:
        """Call the last result `name`."""
        self.nodes[-1].output[0] = name
        return self.nodes


def _constant(graph: GraphProto, name: str, kind: int, shape: list[int],
              values: list[Any]) -> str:
    graph.initializer.append(helper.make_tensor(f'{_MARK}{name}', kind, shape, values))
    return f'{_MARK}{name}'


def _set_output(graph: GraphProto, chain: _Chain, name: str, kind: int, rank: int) -> None:
    graph.node.extend(chain.end_as(name))
    graph.ClearField('output')
    graph.output.append(helper.make_tensor_value_info(
        name, kind, [f'{_MARK}{name}{axis}' for axis in range(rank)]))


def _make_room(graph: GraphProto, wanted: str, name: str) -> str:
    """Call what the graph has under `wanted` another name; give what `name` is called then."""
    _rename(graph, wanted, f'{_MARK}{wanted}')
    return f'{_MARK}{wanted}' if name == wanted else name


def _rename(graph: GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, old, new)
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in values:
            if value.name == old:
                value.name = new
