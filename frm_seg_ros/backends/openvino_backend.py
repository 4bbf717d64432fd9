"""OpenVINO on the CPU."""
from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
from openvino.preprocess import ColorFormat, PrePostProcessor

from frm_seg_ros.backends.base import Labels
from frm_seg_ros.core.disk_cache import DiskCache
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import INT8, ONNX, ModelCard
from frm_seg_ros.core.outputs import decode_output
from frm_seg_ros.core.precision import choose_precision
from frm_seg_ros.core.threads import wanted_threads


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
            self.name, precision, _able(card), card.precisions)
        file = INT8 if self.precision == 'int8' else ONNX
        try:
            model = _with_normalising(openvino.Core().read_model(card.file(file)), card)
        except RuntimeError as error:
            raise ConfigError(f'OpenVINO cannot load {card.folder / file}: {error}') from error
        self._model = model
        # Without a hint OpenVINO would take bfloat16 by itself where the CPU has it; with int8 it
        # is for what is not quantised.
        half = self.precision != 'float32' and _has_bfloat16()
        self._options = {'PERFORMANCE_HINT': 'LATENCY',
                         'INFERENCE_PRECISION_HINT': 'bf16' if half else 'f32'}
        threads = wanted_threads()
        if threads:
            self._options['INFERENCE_NUM_THREADS'] = threads
        self._made_of = (file, card.files, card.mean, card.std)
        self._cache = DiskCache('openvino')
        self._compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}

    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch; see `base.Backend.run`. A new shape compiles for seconds first."""
        logits = self._for_shape(images.shape)(images)[0]
        start = time.perf_counter()
        labels = [decode_output(each, size, confidence)
                  for each, size in zip(logits, sizes, strict=True)]
        self.decode_ms = 1e3 * (time.perf_counter() - start)
        return labels

    def _for_shape(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        """Compile for one input shape, which runs faster than a model of dynamic shape."""
        if shape not in self._compiled:
            self._compiled[shape] = self._restore(shape) or self._compile(shape)
        return self._compiled[shape]

    def _compile(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        model = self._model.clone()
        model.reshape(list(shape))
        compiled = openvino.Core().compile_model(model, 'CPU', self._options)
        self._cache.write(self._facts(shape), compiled.export_model().getvalue())
        return compiled

    def _restore(self, shape: tuple[int, ...]) -> openvino.CompiledModel | None:
        """Take what was compiled in an earlier process, in a third of the time or less."""
        data = self._cache.read(self._facts(shape))
        if data is None:
            return None
        try:
            return openvino.Core().import_model(data, 'CPU', self._options)
        except RuntimeError:   # it did not suit after all
            return None

    def _facts(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """List all that a compiled model depends on."""
        return (openvino.get_version(), openvino.Core().get_property('CPU', 'FULL_DEVICE_NAME'),
                _capabilities(), len(os.sched_getaffinity(0)), self._options, shape, self._made_of)

    def close(self) -> None:
        """Free the compiled models."""
        self._compiled.clear()
        del self._model


def _able(card: ModelCard) -> list[str]:
    """List the precisions that this CPU does with this model, fastest first."""
    return [*(['int8'] if INT8 in card.files else []),
            *(['bfloat16'] if _has_bfloat16() else []), 'float32']


def _has_bfloat16() -> bool:
    """Tell whether the CPU has instructions for bfloat16: only then OpenVINO lists it."""
    return 'BF16' in _capabilities()


def _capabilities() -> list[str]:
    return openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


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
