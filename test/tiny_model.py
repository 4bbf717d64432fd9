"""A model small enough to know its right answer: the nearest colour of a palette."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from frm_seg_ros.core.files import sha256
from frm_seg_ros.core.label_space import LABELS, LabelSpace, names_file
from frm_seg_ros.core.model_card import ONNX, ModelCard


def write_tiny_model(folder: Path | str, input_size: tuple[int, int] = (96, 128),
                     label_space: str = 'camvid') -> Path:
    """Write a model folder whose network labels each 4x4 block by the nearest palette colour.

    A picture painted in colours of the label space's palette comes out as the classes of those
    wherever no other colour is within 4 pixels at network size. `label_space` is the name of a
    shipped one, or a YAML file, which the model then holds. |x - c|^2 is smallest where
    2 c.x - c.c is largest, which is linear in x: an average pooling and a 1x1 convolution.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    space = LabelSpace.load(label_space)
    count = len(space.classes)
    colors = space.palette[:count].astype(np.float32) / 255
    kernel = helper.make_tensor('kernel', TensorProto.FLOAT, (count, 3, 1, 1),
                                (2 * colors).ravel().tolist())
    bias = helper.make_tensor('bias', TensorProto.FLOAT, (count,),
                              (-(colors ** 2).sum(1)).tolist())
    nodes = [
        helper.make_node('AveragePool', ['images'], ['pooled'], kernel_shape=[4, 4],
                         strides=[4, 4], ceil_mode=1, count_include_pad=0),
        helper.make_node('Conv', ['pooled', 'kernel', 'bias'], ['logits']),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, 'nearest_color', [value('images', TensorProto.FLOAT, ['N', 3, 'H', 'W'])],
        [value('logits', TensorProto.FLOAT, ['N', count, 'h', 'w'])], [kernel, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, folder / ONNX)
    files = [ONNX]
    if names_file(label_space):
        (folder / LABELS).write_text(space.to_yaml(), encoding='utf-8')
        files.append(LABELS)
    ModelCard(
        folder=folder, name=folder.name, architecture={},
        files={name: sha256(folder / name) for name in files}, input_size=input_size,
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), label_space=space.name,
        trained_on='nothing', command='none: made by hand', measured={},
        precisions={}, licence='as the package').save()
    return folder
