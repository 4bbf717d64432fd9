"""The whole way of a batch on a CUDA device: buffers of its own and recorded graphs, by shape.

A shape that comes again costs no allocation. The images are copied into pinned memory and on to
the device, one after another, so that the copy of an image overlaps with the transfer of the one
before; then the graph of the network and that of the decoding are replayed, and the labels come
back as uint8 into pinned memory. There is one stream: the network needs all images of a batch, so
a second stream could hide the way back only, 2 MB an image at 1024x2048.

On a CPU the same code runs without pinning and without graphs; the tests hold it to the definition
there.
"""
from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from frm_seg_ros.backends.base import Labels
from frm_seg_ros.backends.torch_decode import confidence as confidence_of
from frm_seg_ros.backends.torch_decode import label, make_axis
from frm_seg_ros.core.errors import ConfigError

# Kept are the networks of so many shapes, which are the batches of one to eight cameras, and for
# each the decoding to so many lists of sizes: any of the cameras may be in a batch.
KEPT = 8
KEPT_DECODERS = 16
# Runs before a graph is recorded, in which cuDNN tries its algorithms; PyTorch's own advice is 3.
WARM_UP_RUNS = 3

_log = logging.getLogger(__name__)
Step = Callable[[], 'list[Tensor]']
Kept = TypeVar('Kept')


class Recordings:
    """Runs batches of any shape; keeps what the last shapes needed.

    Attributes:
        most: images in a batch that the memory of the device has held.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], device: str) -> None:
        """Take what maps (N, H, W, 3) uint8 on the device to logits (N, classes, h, w)."""
        self.most = sys.maxsize
        self._network = network
        self._device = torch.device(device)
        self._kept: OrderedDict[tuple, Recording] = OrderedDict()
        self._pool = self._new_pool()

    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool) -> tuple[list[Labels], float]:
        """Label a batch as `base.Backend.run` does, in parts where memory wants it.

        Returns:
            What that gives, and the milliseconds that went into decoding.

        Raises:
            ConfigError: if the device has not the memory for a single image.
        """
        labels: list[Labels] = []
        decode_ms = 0.0
        while len(labels) < len(images):
            part = slice(len(labels), min(len(labels) + self.most, len(images)))
            try:
                recording = self._recording(images[part].shape)
                found, part_ms = recording(images[part], tuple(sizes[part]), confidence)
            except RuntimeError as error:
                self._make_room(error, len(images[part]), images.shape[1:3])
                continue
            labels += found
            decode_ms += part_ms
        return labels, decode_ms

    def _recording(self, shape: tuple[int, ...]) -> Recording:
        return _recall(self._kept, shape, KEPT,
                       lambda: Recording(self._network, shape, self._device, self._pool))

    def _make_room(self, error: RuntimeError, count: int, size: tuple[int, int]) -> None:
        """Go on with half the batch when memory ran out; raise what else went wrong."""
        if not is_out_of_memory(error):
            raise error
        self.close()
        self._pool = self._new_pool()  # the old one may still be held by what failed
        if count == 1:
            raise ConfigError(
                f'the memory of the {self._device.type} device is too small for one image of '
                f'{size[0]}x{size[1]}: choose a smaller size or model, end what else uses the '
                'device, or choose device cpu') from error
        self.most = count // 2
        _log.warning('the memory of the %s device does not hold %d images of %dx%d at once: from '
                     'now on %d a time', self._device.type, count, *size, self.most)

    def _new_pool(self) -> tuple[int, int] | None:
        return torch.cuda.graph_pool_handle() if self._device.type == 'cuda' else None

    def close(self) -> None:
        """Free all buffers and graphs."""
        self._kept.clear()
        if self._device.type == 'cuda':
            torch.cuda.empty_cache()


class Recording:
    """The network for one shape of input: its buffers, its graph, and what decodes its logits."""

    def __init__(self, network: Callable[[Tensor], Tensor], shape: tuple[int, ...],
                 device: torch.device, pool: tuple[int, int] | None) -> None:
        on_cuda = device.type == 'cuda'
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=on_cuda)
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._network, (self._logits,) = record(lambda: [network(self._pixels)], device, pool)
        self._device, self._pool = device, pool
        self._decoders: OrderedDict[tuple, Decoder] = OrderedDict()

    def __call__(self, images: np.ndarray, sizes: tuple[tuple[int, int], ...],
                 confidence: bool) -> tuple[list[Labels], float]:
        """Label a batch; also give the milliseconds of the device that decoding took."""
        decoder = _recall(self._decoders, (sizes, confidence), KEPT_DECODERS,
                          lambda: Decoder(self._logits, sizes, confidence, self._pool))
        for place, image in enumerate(images):
            self._host[place].copy_(torch.from_numpy(np.ascontiguousarray(image)))
            self._pixels[place].copy_(self._host[place], non_blocking=True)
        self._network()
        return decoder()


class Decoder:
    """Decodes logits that stay where they are to one list of sizes."""

    def __init__(self, logits: Tensor, sizes: Sequence[tuple[int, int]], confidence: bool,
                 pool: tuple[int, int] | None) -> None:
        device = logits.device
        axes = [tuple(make_axis(coarse, wanted, device)
                      for coarse, wanted in zip(logits.shape[2:], size)) for size in sizes]
        outputs = (label, confidence_of) if confidence else (label,)
        self._decode, self._found = record(
            lambda: [output(each, *pair) for each, pair in zip(logits, axes)
                     for output in outputs], device, pool)
        self._returned = [torch.empty(each.shape, dtype=torch.uint8, pin_memory=logits.is_cuda)
                          for each in self._found]
        self._confidence = confidence
        self._marks = [torch.cuda.Event(enable_timing=True)
                       for _ in range(2)] if logits.is_cuda else []

    def __call__(self) -> tuple[list[Labels], float]:
        """Give the labels, and the milliseconds that the device took for them."""
        for mark in self._marks[:1]:
            mark.record()
        self._decode()
        for mark in self._marks[1:]:
            mark.record()
        for host, found in zip(self._returned, self._found):
            host.copy_(found, non_blocking=True)
        if self._marks:
            torch.cuda.current_stream().synchronize()
        arrays = [each.numpy().copy() for each in self._returned]  # the next batch overwrites them
        decode_ms = self._marks[0].elapsed_time(self._marks[1]) if self._marks else 0.0
        if self._confidence:
            return list(zip(arrays[::2], arrays[1::2])), decode_ms
        return [(each, None) for each in arrays], decode_ms


def _recall(kept: OrderedDict[tuple, Kept], key: tuple, most: int,
            make: Callable[[], Kept]) -> Kept:
    """Give what is kept under a key, made where it is not; the one not used for longest goes."""
    if key not in kept:
        if len(kept) == most:
            kept.popitem(last=False)
        kept[key] = make()
    kept.move_to_end(key)
    return kept[key]


def record(step: Step, device: torch.device,
           pool: tuple[int, int] | None) -> tuple[Callable[[], None], list[Tensor]]:
    """Record a step as a CUDA graph; where that fails, and on a CPU, it is run as it is.

    Args:
        step: gives new tensors, computed from tensors that stay where they are.
        device: where.
        pool: memory that the graphs share; they never run at the same time.

    Returns:
        What does the step once more, and the tensors that it fills.
    """
    if device.type != 'cuda':
        return _repeat(step)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        # thread_local: what other threads of the process allocate meanwhile does no harm.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode='thread_local'):
            results = step()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        _log.warning('no CUDA graph could be recorded, each step is launched by itself: %s', error)
        return _repeat(step)
    return graph.replay, results


def _repeat(step: Step) -> tuple[Callable[[], None], list[Tensor]]:
    results = step()

    def again() -> None:
        for result, new in zip(results, step()):
            result.copy_(new)

    return again, results


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether memory ran out: an error at the end of a recording may hide that it did."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError):
        error = error.__cause__ or error.__context__
    return error is not None
