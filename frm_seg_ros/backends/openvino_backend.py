"""OpenVINO on the CPU."""
from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import openvino
from openvino.preprocess import ColorFormat, PrePostProcessor

from frm_seg_ros.backends.base import Labels
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ONNX, ModelCard
from frm_seg_ros.core.outputs import decode_output
from frm_seg_ros.core.precision import choose_precision

# Without a hint OpenVINO would take bfloat16 by itself where the CPU has it.
_HINTS = {'bfloat16': 'bf16', 'float32': 'f32'}


class OpenVinoBackend:
    """The model's ONNX file in OpenVINO, normalising inside the graph; see `base.Backend`."""

    name = 'openvino'
    device = 'cpu'

    def __init__(self, card: ModelCard, device: str, precision: str = 'auto') -> None:
        if device == 'cuda':
            raise ConfigError('backend openvino runs on the CPU only, device is cuda: choose '
                              'backend torch for CUDA, or device cpu')
        card.check_files()
        self.precision, self.precision_why = choose_precision(
            self.name, precision, _able(), card.precisions)
        try:
            model = _with_normalising(openvino.Core().read_model(card.file(ONNX)), card)
        except RuntimeError as error:
            raise ConfigError(f'OpenVINO cannot load {card.folder / ONNX}: {error}') from error
        self._model = model
        self._compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}

    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch; see `base.Backend.run`. A new shape compiles for a second or so first."""
        logits = self._for_shape(images.shape)(images)[0]
        start = time.perf_counter()
        labels = [decode_output(each, size, confidence)
                  for each, size in zip(logits, sizes, strict=True)]
        self.decode_ms = 1e3 * (time.perf_counter() - start)
        return labels

    def _for_shape(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        """Compile for one input shape, which runs faster than a model of dynamic shape."""
        if shape not in self._compiled:
            model = self._model.clone()
            model.reshape(list(shape))
            self._compiled[shape] = openvino.Core().compile_model(model, 'CPU', {
                'PERFORMANCE_HINT': 'LATENCY',
                'INFERENCE_PRECISION_HINT': _HINTS[self.precision]})
        return self._compiled[shape]

    def close(self) -> None:
        """Free the compiled models."""
        self._compiled.clear()
        del self._model


def _able() -> list[str]:
    """List the precisions that this CPU does, fastest first.

    OpenVINO tells BF16 among a CPU's capabilities only where it has instructions for it.
    """
    capabilities = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    return ['bfloat16', 'float32'] if 'BF16' in capabilities else ['float32']


def _with_normalising(model: openvino.Model, card: ModelCard) -> openvino.Model:
    """Let the graph take (N, H, W, 3) uint8 RGB and normalise it itself."""
    steps = PrePostProcessor(model)
    tensor = steps.input().tensor()
    tensor.set_element_type(openvino.Type.u8).set_layout(openvino.Layout('NHWC'))
    tensor.set_color_format(ColorFormat.RGB)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(
        [255 * value for value in card.mean]).scale([255 * value for value in card.std])
    steps.input().model().set_layout(openvino.Layout('NCHW'))
    return steps.build()
