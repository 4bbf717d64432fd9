"""Export of a model's network to ONNX, written only when it agrees with torch."""
from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from frm_seg_ros.backends.base import BACKENDS, Backend
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LABELS
from frm_seg_ros.core.model_card import INT8, ONNX, WEIGHTS, ModelCard
from frm_seg_ros.core.plugins import load_plugin
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.network.weights import load_network
from frm_seg_ros.segmenter import PLAIN, SMALLEST, network_sizes
from frm_seg_ros.sources.base import open_source

OPSET = 17
# ONNX file format that opset 17 came with (onnx/helper.py, VERSION_TABLE).
IR_VERSION = 8
# Float32 sums differ in order between runtimes: the best two logits of a few pixels swap.
LEAST_AGREEMENT = 0.999
LARGEST_CONFIDENCE_STEP = 1
_ELEMENT_TYPES = {'F16': TensorProto.FLOAT16, 'F32': TensorProto.FLOAT}


def export_model(model: str | Path, out: str | Path | None, check_source: str,
                 sizes: Sequence[tuple[int, int]] = ()) -> Path:
    """Write `model.onnx` beside a model's weights and add it to the card.

    The file holds the graph only; its weights are those of `weights.safetensors`. It takes
    (N, 3, H, W) float32 of any size and gives logits at stride 4. It is written only if ONNX
    Runtime agrees with torch on every frame of `check_source` at every size of `sizes`.

    Args:
        model: name or folder of a model with weights.
        out: folder for a copy of the model with the export; the model's own when None.
        check_source: frames to compare on, such as `camvid:ROOT:val`.
        sizes: (height, width) of the network to compare at; where there are none, that of the
            card and a smaller, odd one.

    Returns:
        The folder of the exported model.

    Raises:
        ConfigError: if the model has no weights, or the export disagrees with torch; nothing is
            written then.
    """
    card = ModelCard.load(model)
    if card.imported:
        raise ConfigError(f'model {card.name} was imported as an ONNX file, so it is one already'
                          ': name a model with weights')
    card.file(WEIGHTS)  # that it is there
    kept = [name for name in (WEIGHTS, LABELS) if name in card.files]
    folder = Path(out) if out is not None else card.folder
    with TemporaryDirectory() as scratch:
        draft = Path(scratch)
        _copy_files(card, kept, draft)
        onnx.save(to_onnx(card), draft / ONNX)
        files = {**{name: card.files[name] for name in kept}, ONNX: sha256(draft / ONNX)}
        compare(replace(card, folder=draft, files=files), check_source,
                sizes or (card.input_size, _odd_size(card.input_size)))
        if folder.resolve() != card.folder.resolve():
            _copy_files(card, kept, folder)
        _copy(draft / ONNX, folder / ONNX)
    # The int8 file was made of the graph that is replaced.
    precisions = {name: each for name, each in card.precisions.items() if name != 'int8'}
    replace(card, folder=folder, files=files, precisions=precisions).save()
    (folder / INT8).unlink(missing_ok=True)
    return folder


def _copy_files(card: ModelCard, names: list[str], folder: Path) -> None:
    for name in names:
        _copy(card.file(name), folder / name)


def _copy(origin: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        temporary.write_bytes(origin.read_bytes())


def to_onnx(card: ModelCard) -> onnx.ModelProto:
    """Trace the card's network to ONNX whose weights lie in its safetensors file."""
    network = load_network(card)
    with TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of the exporter's age and of traced shapes
        traced = str(Path(scratch) / ONNX)
        # PRESERVE and no folding keep every initializer what it is in the weight file.
        torch.onnx.export(
            network, (torch.zeros(1, 3, 96, 128),), traced, dynamo=False, opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
            input_names=['images'], output_names=['logits'],
            dynamic_axes={'images': {0: 'N', 2: 'H', 3: 'W'}, 'logits': {0: 'N', 2: 'h', 3: 'w'}})
        model = onnx.load(traced)
    _point_into(model.graph, card.file(WEIGHTS))
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = 'frm_seg_ros', ''
    return model


def _point_into(graph: onnx.GraphProto, weights: Path) -> None:
    """Make every initializer a reference into the safetensors file, float16 ones with a cast."""
    with open(weights, 'rb') as file:
        # safetensors: 8 bytes little-endian header length, JSON header, data.
        length = struct.unpack('<Q', file.read(8))[0]
        header = json.loads(file.read(length))
    casts = []
    for tensor in graph.initializer:
        facts = header[tensor.name]
        begin, end = facts['data_offsets']
        tensor.ClearField('raw_data')
        tensor.data_type = _ELEMENT_TYPES[facts['dtype']]
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (('location', WEIGHTS), ('offset', 8 + length + begin),
                           ('length', end - begin)):
            tensor.external_data.add(key=key, value=str(value))
        if tensor.data_type == TensorProto.FLOAT16:
            stored = f'{tensor.name}.float16'
            casts.append(helper.make_node('Cast', [stored], [tensor.name], to=TensorProto.FLOAT))
            tensor.name = stored
    nodes = [*casts, *graph.node]
    graph.ClearField('node')
    graph.node.extend(nodes)


def _odd_size(size: tuple[int, int]) -> tuple[int, int]:
    """Give three quarters of a size, made odd: no stride of the network divides it."""
    height, width = (max(3 * side // 4, SMALLEST) | 1 for side in size)
    return height, width


def compare(card: ModelCard, check_source: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Hold ONNX Runtime against torch, both in float32, on every frame at every size.

    Labels and confidence are compared at the size of the frames, two of which make a batch.

    Raises:
        ConfigError: if there is no frame, a size is out of range, labels agree on less than
            99.9 % of a frame's pixels, or confidence differs by more than 1 of 255.
    """
    for size in sizes:
        network_sizes(size, PLAIN)
    frames = 0
    reference, exported = (load_plugin('backend', name, BACKENDS)(card, 'cpu', 'float32')
                           for name in ('torch', 'onnxruntime'))
    for pair in _pairs(open_source(check_source)):
        frames += len(pair)
        for size in sizes:
            _compare_batch(reference, exported, pair, size)
    for backend in (reference, exported):
        backend.close()
    if not frames:
        raise ConfigError(f'{check_source} has no frame to compare on: nothing was written, name '
                          'another source with --check')


def _pairs(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    remaining = iter(frames)
    while pair := list(islice(remaining, 2)):
        yield pair


def _compare_batch(reference: Backend, exported: Backend, frames: Sequence[Frame],
                   size: tuple[int, int]) -> None:
    batch = np.stack([resize_image(frame.image, size) for frame in frames])
    sizes = [frame.image.shape[:2] for frame in frames]
    where = f'at {size[0]}x{size[1]}'
    try:
        outcome = exported.run(batch, sizes, True)
    except Exception as error:  # the runtime raises a dozen kinds of its own
        raise ConfigError(f'the export does not run {where}: nothing was written, please report '
                          f'this: {error}') from error
    for right, found in zip(reference.run(batch, sizes, True), outcome, strict=True):
        agreement = (right[0] == found[0]).mean()
        step = np.abs(right[1].astype(int) - found[1]).max()
        if agreement < LEAST_AGREEMENT or step > LARGEST_CONFIDENCE_STEP:
            raise ConfigError(
                f'the export disagrees with torch {where}: {agreement:.2%} of the labels are '
                f'equal (wanted 99.9 %) and confidence differs by up to {step} (wanted 1): '
                'nothing was written, please report this')
