"""torch, on a CPU or a CUDA device."""
from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frm_seg_ros.backends.base import Labels
from frm_seg_ros.core.decode import decode
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.network.weights import load_network


class TorchBackend:
    """The network itself, float32; see `base.Backend`."""

    name = 'torch'

    def __init__(self, card: ModelCard, device: str) -> None:
        if device == 'cuda' and not torch.cuda.is_available():
            raise ConfigError('device is cuda, but torch finds no CUDA device: install a torch '
                              'built for CUDA and its driver, or choose device cpu')
        has_cuda = device != 'cpu' and torch.cuda.is_available()
        self.device = 'cuda' if has_cuda else 'cpu'
        self._network = load_network(card).to(self.device, memory_format=torch.channels_last)
        self._mean = torch.tensor(card.mean, device=self.device)[:, None, None]
        self._std = torch.tensor(card.std, device=self.device)[:, None, None]

    @torch.inference_mode()
    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch; see `base.Backend.run`."""
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        pixels = pixels.permute(0, 3, 1, 2).float() / 255
        logits = self._network((pixels - self._mean) / self._std)
        if self.device == 'cuda':
            torch.cuda.synchronize()  # or decoding would be timed with the rest of the network
        start = time.perf_counter()
        if self.device == 'cpu':
            labels = [decode(each.numpy(), size, confidence)
                      for each, size in zip(logits, sizes, strict=True)]
        else:
            labels = [decode_on_device(each, size, confidence)
                      for each, size in zip(logits, sizes, strict=True)]
        self.decode_ms = 1e3 * (time.perf_counter() - start)
        return labels

    def close(self) -> None:
        """Free the network and the device's cached memory."""
        del self._network
        if self.device == 'cuda':
            torch.cuda.empty_cache()


def decode_on_device(logits: Tensor, size: tuple[int, int], confidence: bool) -> Labels:
    """Do what `core.decode.decode` does where the logits are; only uint8 comes back.

    Args:
        logits: (classes, h, w) float32.
        size: (height, width) wanted.
        confidence: whether confidence is wanted too.
    """
    def upsample(x: Tensor) -> Tensor:
        return F.interpolate(x[None], size=size, mode='bilinear', align_corners=False)[0]

    full = upsample(logits)
    classes = torch.arange(len(full), device=full.device)[:, None, None]
    # argmax leaves open which of equal classes it names; the definition wants the lowest.
    labels = torch.where(full == full.amax(0), classes, len(full)).amin(0).to(torch.uint8)
    if not confidence:
        return labels.cpu().numpy(), None
    largest = upsample(logits.softmax(0).amax(0, keepdim=True))[0]
    return labels.cpu().numpy(), (255 * largest).round().to(torch.uint8).cpu().numpy()
