"""The contract of all backends, their table, and the choice that `auto` makes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from shutil import which
from typing import Protocol

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.plugins import load_plugin

# In the order in which `auto` tries them on a CPU; TensorRT runs on CUDA devices only.
BACKENDS = {
    'openvino': 'frm_seg_ros.backends.openvino_backend:OpenVinoBackend',
    'onnxruntime': 'frm_seg_ros.backends.onnxruntime_backend:OnnxRuntimeBackend',
    'torch': 'frm_seg_ros.backends.torch_backend:TorchBackend',
    'tensorrt': 'frm_seg_ros.backends.tensorrt_backend:TensorRtBackend',
}
DEVICES = ('auto', 'cpu', 'cuda')
# What the sides of a network's input are multiples of, where a backend wants that: its stride.
STEPS = {'tensorrt': 32}

Labels = tuple[np.ndarray, 'np.ndarray | None']
Progress = Callable[[str], None]


class Backend(Protocol):
    """One network on one device.

    Attributes:
        name: its name in BACKENDS.
        device: `cpu` or `cuda`.
        precision: what it runs in, one of `core.precision.PRECISIONS`.
        precision_why: in a few words, why that one.
        decode_ms: milliseconds of the last run that went into decoding.
    """

    name: str
    device: str
    precision: str
    precision_why: str
    decode_ms: float

    def __init__(self, card: ModelCard, device: str, precision: str = 'auto') -> None:
        """Load the card's network.

        Args:
            card: the model's.
            device: `auto`, `cpu` or `cuda`.
            precision: `auto` or one of PRECISIONS; see `core.precision.choose_precision`.

        Raises:
            ConfigError: if the files are damaged, the device is not there, or the backend does
                not do this precision on it.
            ImportError: if the runtime is not installed.
        """

    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch.

        Normalising, the network and decoding (`core.decode`: one bilinear step from the stride-4
        logits to the wanted size, then argmax) are done here.

        Args:
            images: (N, H, W, 3) uint8 RGB at network size.
            sizes: (height, width) wanted for each image's labels.
            confidence: whether confidence is wanted too.

        Returns:
            For each image labels (height, width) uint8 train ids, and confidence of the same
            shape, uint8 0..255, or None: always where the card has no confidence.
        """

    def close(self) -> None:
        """Free the device's memory; the backend is of no use afterwards."""


def open_backend(name: str, card: ModelCard, device: str = 'auto', precision: str = 'auto',
                 size: tuple[int, int] | None = None,
                 build_engine: Progress | None = None) -> tuple[Backend, str]:
    """Open a backend by name; `auto` takes the first that is there.

    The order of `auto` is TensorRT where an engine is there or is to be built, torch on CUDA, ONNX
    Runtime on CUDA; then, unless `device` is `cuda`, OpenVINO, ONNX Runtime and torch on the CPU.
    An imported network never runs in torch.

    Args:
        name: `auto` or a name in BACKENDS.
        card: of the model.
        device: `auto`, `cpu` or `cuda`.
        precision: see `Backend`.
        size: (height, width) that the network will run at, the card's when None; for TensorRT,
            whose engines are each for one size.
        build_engine: lets TensorRT build an engine where it has none, which takes minutes; is
            told every second how far it is, and ends it by raising.

    Returns:
        The backend, and one line that says what was chosen and why.

    Raises:
        ConfigError: if the name, device or precision is unknown or not to be had, the runtime is
            missing, or the model is bad.
    """
    if device not in DEVICES:
        raise ConfigError(f'device is {device!r}: take one of {", ".join(DEVICES)}')
    if name not in ('auto', *BACKENDS):
        raise ConfigError(f'no backend is called {name!r}: take one of auto, '
                          f'{", ".join(BACKENDS)}')
    if name != 'auto':
        try:
            backend = _open(name, card, device, precision, size, build_engine)
        except ImportError as error:
            raise ConfigError(f'backend {name} needs a package that is not installed ({error}): '
                              f'pip install frm-seg[{name}] or choose another backend') from error
        return backend, f'backend {name} on {backend.device}, as asked for; {_precision(backend)}'
    return _first(card, device, precision, size, build_engine)


def _first(card: ModelCard, device: str, precision: str, size: tuple[int, int] | None,
           build_engine: Progress | None) -> tuple[Backend, str]:
    missing = []
    for candidate, where in _order(card, device, precision, size, build_engine):
        try:
            backend = _open(candidate, card, where, precision, size, build_engine)
        except ImportError as error:
            missing.append(f'{candidate} ({error})')
            continue
        except ConfigError as error:
            if where == 'cpu':
                raise
            missing.append(f'{candidate} on {where} ({error})')
            continue
        why = f'; not to be had: {"; ".join(missing)}' if missing else ', the first choice'
        return backend, (f'backend {candidate} on {backend.device}, chosen by auto{why}; '
                         f'{_precision(backend)}{_hint(candidate, card, where)}')
    if device == 'cuda':
        raise ConfigError('device is cuda, but no backend runs there '
                          f'({"; ".join(missing) or "no CUDA device is found"}): install its '
                          'driver and frm-seg[torch] or frm-seg[onnxruntime-gpu], or choose '
                          'device cpu')
    raise ConfigError(f'no backend is installed ({"; ".join(missing)}): pip install '
                      'frm-seg[openvino]')


def _open(name: str, card: ModelCard, device: str, precision: str,
          size: tuple[int, int] | None, build_engine: Progress | None) -> Backend:
    opened = load_plugin('backend', name, BACKENDS)
    if name == 'tensorrt':
        return opened(card, device, precision, size, build_engine)
    return opened(card, device, precision)


def network_size(name: str, card: ModelCard, size: tuple[int, int]) -> tuple[int, int]:
    """Give the (height, width) at which a backend runs a network that `size` is wanted of.

    TensorRT takes multiples of 32, up from the wanted size: the network's strides are even there.
    An imported network of one size keeps it.
    """
    step = 1 if card.architecture.get('sizes') == 'fixed' else STEPS.get(name, 1)
    height, width = (-(-side // step) * step for side in size)
    return height, width


def _precision(backend: Backend) -> str:
    return f'precision {backend.precision}, {backend.precision_why}'


def _hint(name: str, card: ModelCard, device: str) -> str:
    """Name the command that would build an engine, where TensorRT is installed."""
    if device != 'cuda' or name == 'tensorrt' or find_spec('tensorrt') is None:
        return ''
    return (f'; TensorRT is installed and has no engine: frm-seg export {card.folder} --to '
            'tensorrt builds one')


def _order(card: ModelCard, device: str, precision: str, size: tuple[int, int] | None,
           build_engine: Progress | None) -> list[tuple[str, str]]:
    """List backends and devices to try, the best first."""
    order = []
    if device != 'cpu' and which('nvidia-smi') is not None:
        if build_engine or _has_engine(card, precision, size):
            order.append(('tensorrt', 'cuda'))
        order += [(name, 'cuda') for name, sees in (('torch', _torch_sees_cuda),
                                                    ('onnxruntime', _onnxruntime_sees_cuda))
                  if sees()]
    if device != 'cuda':
        order += [(name, 'cpu') for name in BACKENDS if name != 'tensorrt']
    return [(name, where) for name, where in order if name != 'torch' or not card.imported]


def _has_engine(card: ModelCard, precision: str, size: tuple[int, int] | None) -> bool:
    if find_spec('tensorrt') is None or find_spec('cuda') is None:
        return False
    try:
        from frm_seg_ros.backends.tensorrt_backend import has_engine
        return has_engine(card, precision, size)
    except ImportError:  # half of it is installed
        return False


def _torch_sees_cuda() -> bool:
    if find_spec('torch') is None:
        return False
    import torch
    return torch.cuda.is_available()


def _onnxruntime_sees_cuda() -> bool:
    if find_spec('onnxruntime') is None:
        return False
    import onnxruntime
    return 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
