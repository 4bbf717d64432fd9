"""Networks as they come from elsewhere, small enough to know their right answer."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.tools.import_model import ImportOptions

SIZE = (96, 128)
MEAN, STD = (0.4, 0.5, 0.3), (0.25, 0.2, 0.3)
COLORS = LabelSpace.load('camvid').palette[:11].astype(np.float64) / 255
ANY = ('N', 3, 'H', 'W')


def write_foreign(path: Path, gives: str = 'logits', stride: int = 4,
                  shape: Sequence[int | str] = ANY, half: bool = False, bgr: bool = False,
                  opset: int = 17, external: bool = False) -> Path:
    """Write a network that labels each cell by the nearest colour of the CamVid palette.

    It wants images normalised by MEAN and STD: the nearest colour c to the mean x of a cell is
    that of the largest 2 c.x - c.c, which is linear in (x - MEAN) / STD.

    Args:
        path: the ONNX file.
        gives: `logits`, `probabilities`, `labels` (N, h, w), `channel` (N, 1, h, w), `both` (two
            outputs), `nan`, `floats` (N, h, w), `vector`, `baked` (of one image of 96x128,
            whatever the axes tell) or `first` (all images get the logits of the first).
        stride: of the output.
        shape: of the input.
        half: whether input and logits are float16.
        bgr: whether it takes BGR.
        opset: of the file.
        external: whether the weights lie in a second file, PATH.data.
    """
    number = np.float16 if half else np.float32
    order = [2, 1, 0] if bgr else [0, 1, 2]
    kernel = 20 * (2 * COLORS * STD)[:, order, None, None]
    bias = 20 * (2 * COLORS @ MEAN - (COLORS ** 2).sum(1))
    tensors = [onnx.numpy_helper.from_array(value.astype(number), name)
               for name, value in (('kernel', kernel), ('bias', bias))]
    nodes = [
        helper.make_node('AveragePool', ['images'], ['pooled'], kernel_shape=[stride, stride],
                         strides=[stride, stride]),
        helper.make_node('Conv', ['pooled', 'kernel', 'bias'], ['scores'])]
    tail, outputs = _tail(gives, TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes + tail, 'foreign', [helper.make_tensor_value_info(
            'images', TensorProto.FLOAT16 if half else TensorProto.FLOAT, shape)], outputs,
        tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    onnx.save(model, path, save_as_external_data=external, location=f'{path.name}.data',
              size_threshold=0)
    return path


def _tail(gives: str, kind: int) -> tuple[list, list]:
    """Give the last nodes and the outputs."""
    node, value = helper.make_node, helper.make_tensor_value_info
    scores = value('scores', kind, ['N', 11, 'h', 'w'])
    if gives == 'logits':
        return [], [scores]
    if gives == 'probabilities':
        return [node('Softmax', ['scores'], ['out'], axis=1)], [
            value('out', kind, ['N', 11, 'h', 'w'])]
    if gives == 'nan':
        return [node('Log', ['scores'], ['out'])], [value('out', kind, ['N', 11, 'h', 'w'])]
    if gives == 'baked':
        wanted = helper.make_tensor('wanted', TensorProto.INT64, [4], [1, 11, 24, 32])
        return [node('Constant', [], ['wanted'], value=wanted),
                node('Reshape', ['scores', 'wanted'], ['out'])], [
            value('out', kind, ['N', 11, 'h', 'w'])]
    if gives == 'first':
        ends = [helper.make_tensor(name, TensorProto.INT64, [1], [place])
                for name, place in (('from', 0), ('to', 1))]
        return [*(node('Constant', [], [end.name], value=end) for end in ends),
                node('Slice', ['scores', 'from', 'to', 'from'], ['one']),
                node('Sub', ['scores', 'scores'], ['none']),
                node('Add', ['one', 'none'], ['out'])], [value('out', kind, ['N', 11, 'h', 'w'])]
    if gives == 'floats':
        return [node('ReduceMax', ['scores'], ['out'], axes=[1], keepdims=0)], [
            value('out', kind, ['N', 'h', 'w'])]
    if gives == 'vector':
        return [node('ReduceMean', ['scores'], ['out'], axes=[2, 3], keepdims=0)], [
            value('out', kind, ['N', 11])]
    keep = gives == 'channel'
    labels = value('labels', TensorProto.INT64, ['N', *([1] * keep), 'h', 'w'])
    return [node('ArgMax', ['scores'], ['labels'], axis=1, keepdims=int(keep))], [
        *([scores] * (gives == 'both')), labels]


def import_options(folder: Path, file: Path, **changes: object) -> ImportOptions:
    """Give the options that fit such a network; the model goes to FOLDER/model."""
    fitting = ImportOptions(str(file), 'camvid', SIZE, MEAN, STD, licence='not told',
                            check_source='synthetic:11:1', out=str(folder / 'model'))
    return replace(fitting, **changes)
