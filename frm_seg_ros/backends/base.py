"""The contract of all backends, their table, and the choice that `auto` makes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.plugins import load_plugin

# In the order in which `auto` tries them on a CPU.
BACKENDS = {
    'openvino': 'frm_seg_ros.backends.openvino_backend:OpenVinoBackend',
    'onnxruntime': 'frm_seg_ros.backends.onnxruntime_backend:OnnxRuntimeBackend',
    'torch': 'frm_seg_ros.backends.torch_backend:TorchBackend',
}
DEVICES = ('auto', 'cpu', 'cuda')

Labels = tuple[np.ndarray, 'np.ndarray | None']


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


def open_backend(name: str, card: ModelCard, device: str = 'auto',
                 precision: str = 'auto') -> tuple[Backend, str]:
    """Open a backend by name; `auto` takes the first that is there.

    With `auto`, torch comes first where it is installed and sees a CUDA device (and `device` does
    not forbid it); otherwise the order of BACKENDS. An imported network never runs in torch.

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
            backend = load_plugin('backend', name, BACKENDS)(card, device, precision)
        except ImportError as error:
            raise ConfigError(f'backend {name} needs a package that is not installed ({error}): '
                              f'pip install frm-seg[{name}] or choose another backend') from error
        return backend, f'backend {name} on {backend.device}, as asked for; {_precision(backend)}'
    missing = []
    for candidate in _order(card, device):
        try:
            backend = load_plugin('backend', candidate, BACKENDS)(card, device, precision)
        except ImportError as error:
            missing.append(f'{candidate} ({error})')
            continue
        why = f'; not installed: {"; ".join(missing)}' if missing else ', the first choice'
        return backend, (f'backend {candidate} on {backend.device}, chosen by auto{why}; '
                         f'{_precision(backend)}')
    raise ConfigError(f'no backend is installed ({"; ".join(missing)}): pip install '
                      'frm-seg[openvino]')


def _precision(backend: Backend) -> str:
    return f'precision {backend.precision}, {backend.precision_why}'


def _order(card: ModelCard, device: str) -> list[str]:
    others = [name for name in BACKENDS if name != 'torch']
    if card.imported:
        return others
    if device != 'cpu' and _torch_sees_cuda():
        return ['torch', *others]
    return list(BACKENDS)


def _torch_sees_cuda() -> bool:
    from importlib.util import find_spec
    from shutil import which
    if find_spec('torch') is None or which('nvidia-smi') is None:
        return False
    import torch
    return torch.cuda.is_available()
