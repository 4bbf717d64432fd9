"""torch, on a CPU or a CUDA device."""
from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frm_seg_ros.backends.base import Labels
from frm_seg_ros.backends.torch_graphs import Recordings
from frm_seg_ros.backends.torch_half import HALVES, lower_precision
from frm_seg_ros.core.decode import decode
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.precision import choose_precision
from frm_seg_ros.core.threads import wanted_threads
from frm_seg_ros.network.weights import load_network


class TorchBackend:
    """The network itself; see `base.Backend`.

    On a CUDA device images go up and labels come back as uint8, and all between is done there, in
    any of float32, bfloat16 and float16; see `torch_graphs`. On a CPU it is the float32 reference
    that the other backends are held to.
    """

    name = 'torch'

    def __init__(self, card: ModelCard, device: str, precision: str = 'auto') -> None:
        if device == 'cuda' and not torch.cuda.is_available():
            raise ConfigError('device is cuda, but torch finds no CUDA device: install a torch '
                              'built for CUDA and its driver, or choose device cpu')
        has_cuda = device != 'cpu' and torch.cuda.is_available()
        self.device = 'cuda' if has_cuda else 'cpu'
        able = (*HALVES, 'float32') if has_cuda else ('float32',)
        self.precision, self.precision_why = choose_precision(
            self.name, precision, able, card.precisions)
        if threads := wanted_threads():
            torch.set_num_threads(threads)
        self._network = load_network(card)
        if self.precision in HALVES:
            lower_precision(self._network, HALVES[self.precision], self.device)
        self._network.to(self.device, memory_format=torch.channels_last)
        self._mean = torch.tensor(card.mean, device=self.device)[:, None, None]
        self._std = torch.tensor(card.std, device=self.device)[:, None, None]
        self._recordings = Recordings(self._logits, self.device)

    @torch.inference_mode()
    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch; see `base.Backend.run`. On CUDA a new shape is recorded first."""
        if self.device == 'cuda':
            labels, self.decode_ms = self._recordings.run(images, sizes, confidence)
            return labels
        logits = self._logits(_tensor(images))
        start = time.perf_counter()
        labels = [decode(each.numpy(), size, confidence)
                  for each, size in zip(logits, sizes, strict=True)]
        self.decode_ms = 1e3 * (time.perf_counter() - start)
        return labels

    def _logits(self, images: Tensor) -> Tensor:
        """Map (N, H, W, 3) uint8 where the network is to logits (N, classes, h, w)."""
        return self._forward(self._normalise(images))

    def _forward(self, pixels: Tensor) -> Tensor:
        if self.device == 'cpu':
            return self._network(pixels)
        # TF32, which cuDNN takes for float32 by itself, keeps 10 bits; that moves labels.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return self._network(pixels.to(HALVES.get(self.precision, torch.float32)))

    def _normalise(self, images: Tensor) -> Tensor:
        """Map (N, H, W, 3) uint8 to (N, 3, H, W) float32."""
        return (images.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std

    @torch.inference_mode()
    def run_averaged(self, batches: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]],
                     confidence: bool = False, flip: bool = False) -> list[Labels]:
        """Label a batch by the mean of what the network says of it at several scales.

        Args:
            batches: the images once a scale, each (N, h, w, 3) uint8 RGB.
            sizes: (height, width) wanted for each image's labels.
            confidence: whether confidence is wanted too.
            flip: whether every scale counts once more, mirrored left to right.

        Returns:
            What `base.Backend.run` does; but see `average_labels` for confidence.
        """
        scales = [self._normalise(_tensor(images).to(self.device)) for images in batches]
        plain = [self._forward(pixels).float() for pixels in scales]
        mirrored = [self._forward(pixels.flip(-1)).float() for pixels in scales] if flip else []
        self._synchronise()
        start = time.perf_counter()
        labels = [average_labels([logits[i] for logits in plain],
                                 [logits[i] for logits in mirrored], size, confidence)
                  for i, size in enumerate(sizes)]
        self.decode_ms = 1e3 * (time.perf_counter() - start)
        return labels

    def _synchronise(self) -> None:
        if self.device == 'cuda':
            torch.cuda.synchronize()  # or decoding would be timed with the rest of the network

    def close(self) -> None:
        """Free the network and the device's memory."""
        del self._network
        self._recordings.close()


def _tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images))  # torch knows no negative strides


def average_labels(plain: Sequence[Tensor], mirrored: Sequence[Tensor], size: tuple[int, int],
                   confidence: bool) -> Labels:
    """Label one image by the mean of the class probabilities of several runs of the network.

    The definition is that of `aug_test` in mmsegmentation 0.x, but that one bilinear step
    goes straight to the wanted size where it takes two: up-sample the logits of every run, take
    the softmax, turn the mirrored ones back, take the mean, then the most probable class, the
    lowest id winning a tie. Confidence is the winner's own mean probability. Needs about four
    float32 arrays (classes, height, width): 0.6 GB for 19 classes at 1024x2048.

    Args:
        plain: logits (classes, h, w) float32 of each scale.
        mirrored: the same of the mirrored image, if it was run.
        size: (height, width) wanted.
        confidence: whether confidence is wanted too.
    """
    total = _sum_probabilities(plain, size)
    if mirrored:  # turned back as a sum, so that a mirrored image gives exactly mirrored labels
        total += _sum_probabilities(mirrored, size).flip(-1)
    labels = _winners(total)
    if not confidence:
        return labels, None
    return labels, _to_uint8(total.amax(0) / (len(plain) + len(mirrored)))


def _sum_probabilities(runs: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    total = torch.zeros((len(runs[0]), *size), device=runs[0].device)
    for logits in runs:
        total += _upsample(logits, size).softmax(0)
    return total


def _upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x[None], size=size, mode='bilinear', align_corners=False)[0]


def _winners(full: Tensor) -> np.ndarray:
    """Give the class (h, w) uint8 of the largest value, the lowest id winning a tie."""
    # argmax leaves open which of equal classes it names.
    classes = torch.arange(len(full), device=full.device)[:, None, None]
    labels = torch.where(full == full.amax(0), classes, len(full)).amin(0)
    return labels.to(torch.uint8).cpu().numpy()


def _to_uint8(probability: Tensor) -> np.ndarray:
    return (255 * probability).round().to(torch.uint8).cpu().numpy()
