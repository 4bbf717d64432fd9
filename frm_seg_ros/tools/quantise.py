"""Post-training quantisation to int8: from a model's ONNX file and frames to another ONNX file."""
from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from frm_seg_ros.core.model_card import ONNX, ModelCard
from frm_seg_ros.core.normalise import normalise
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.sources.base import FrameSource
from frm_seg_ros.tools.progress import track

# The convolutions hold nearly all of the work; attention, its softmax and the norms stay float.
QUANTISED = ('Conv',)


def quantise(card: ModelCard, sources: Sequence[FrameSource], frames: int, path: Path) -> None:
    """Write the model with quantised convolutions as a self-contained Q/DQ ONNX file.

    Weights are symmetric int8 by output channel, activations uint8 by tensor with a zero point,
    from the smallest to the largest value that the frames bring about.

    Args:
        card: the model's; it has an ONNX file.
        sources: frames of the kinds that the model will see.
        frames: how many to take of each, evenly spread.
        path: the file to write.
    """
    graph = onnx.load(card.file(ONNX).resolve())
    name = graph.graph.input[0].name
    with TemporaryDirectory() as scratch:
        folded = Path(scratch) / ONNX
        # It asks for a symbolic shape inference that dynamic sizes defeat, and goes without it.
        quant_pre_process(graph, folded, skip_symbolic_shape=True)
        logging.getLogger().addFilter(_is_no_advice)
        try:
            quantize_static(
                folded, path, _Reader(card, sources, frames, name), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED), per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                # Float biases: the same accuracy, and a tenth faster in ONNX Runtime.
                extra_options={'QuantizeBias': False})
        finally:
            logging.getLogger().removeFilter(_is_no_advice)
    _tidy(path)


class _Reader(CalibrationDataReader):
    """Gives the normalised frames, one a call, then None, as the quantiser wants it."""

    def __init__(self, card: ModelCard, sources: Sequence[FrameSource], frames: int,
                 name: str) -> None:
        self._batches = self._read(card, sources, frames, name)

    @staticmethod
    def _read(card: ModelCard, sources: Sequence[FrameSource], frames: int,
              name: str) -> Iterator[dict[str, np.ndarray]]:
        chosen = [evenly_spread(len(source), frames) for source in sources]
        picked = (frame for source, indices in zip(sources, chosen)
                  for index, frame in enumerate(source) if index in indices)
        for frame in track(picked, sum(map(len, chosen)), 'frames of calibration'):
            image = resize_image(frame.image, card.input_size)
            yield {name: normalise(image[None], card.mean, card.std)}

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def evenly_spread(total: int, wanted: int) -> set[int]:
    """Choose `wanted` of the indices 0..total - 1, first and last among them; all if fewer."""
    return {int(place) for place in np.linspace(0, total - 1, min(wanted, total)).round()}


def _is_no_advice(record: logging.LogRecord) -> bool:
    return 'pre-processing' not in record.getMessage()


def _tidy(path: Path) -> None:
    """Leave out the sets of operators that the optimiser names but the graph does not use."""
    model = onnx.load(path)
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, path)
