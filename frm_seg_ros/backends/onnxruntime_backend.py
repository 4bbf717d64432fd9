"""ONNX Runtime, on a CPU or a CUDA device."""
from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import onnxruntime

from frm_seg_ros.backends.base import Labels
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import INT8, ONNX, ModelCard
from frm_seg_ros.core.normalise import normalise
from frm_seg_ros.core.outputs import decode_output
from frm_seg_ros.core.precision import choose_precision
from frm_seg_ros.core.threads import wanted_threads

CUDA = 'CUDAExecutionProvider'
# TF32, which the provider takes for float32 by itself, keeps 10 bits; that moves labels.
_PROVIDERS: dict[str, list] = {
    'cpu': ['CPUExecutionProvider'],
    'cuda': [(CUDA, {'use_tf32': '0'}), 'CPUExecutionProvider']}


class OnnxRuntimeBackend:
    """The model's ONNX file in ONNX Runtime; see `base.Backend`."""

    name = 'onnxruntime'

    def __init__(self, card: ModelCard, device: str, precision: str = 'auto') -> None:
        self.device = _choose_device(device)
        card.check_files()
        # The int8 file is quantised for CPUs; there it is no faster, see docs/performance.md.
        able = ('float32', 'int8') if INT8 in card.files and self.device == 'cpu' else ('float32',)
        self.precision, self.precision_why = choose_precision(
            self.name, precision, able, card.precisions)
        self._card = card
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = wanted_threads() or 0    # 0: as many as there are cores
        # Threads that wait by spinning would take the cores from the rest of the node.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        # Resolved, since a workspace of symlinks has graph and weights in other folders than
        # these, and the runtime refuses weights outside the folder of the graph.
        path = card.file(INT8 if self.precision == 'int8' else ONNX).resolve()
        try:
            self._session = onnxruntime.InferenceSession(str(path), options,
                                                         providers=_PROVIDERS[self.device])
        except Exception as error:  # the runtime raises a dozen kinds of its own
            raise ConfigError(f'ONNX Runtime cannot load {path}: {error}') from error
        if self.device == 'cuda' and CUDA not in self._session.get_providers():
            if device == 'cuda':
                raise ConfigError('device is cuda, but ONNX Runtime could not start its CUDA '
                                  'provider there: install the CUDA and cuDNN that it was built '
                                  'for, or choose device cpu')
            self.device = 'cpu'   # which it has fallen back to

    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch; see `base.Backend.run`."""
        inputs = normalise(images, self._card.mean, self._card.std)
        logits = self._session.run(None, {self._session.get_inputs()[0].name: inputs})[0]
        start = time.perf_counter()
        labels = [decode_output(each, size, confidence)
                  for each, size in zip(logits, sizes, strict=True)]
        self.decode_ms = 1e3 * (time.perf_counter() - start)
        return labels

    def close(self) -> None:
        """Free the session."""
        del self._session


def _choose_device(device: str) -> str:
    has_cuda = CUDA in onnxruntime.get_available_providers()
    if device == 'cuda' and not has_cuda:
        raise ConfigError('device is cuda, but this ONNX Runtime has no CUDA provider: install '
                          'frm-seg[onnxruntime-gpu] in its place, or choose backend torch or '
                          'device cpu')
    return 'cuda' if has_cuda and device != 'cpu' else 'cpu'
