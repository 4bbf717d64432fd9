"""Memory, copies and the stream of a CUDA device, by cuda-python."""
from __future__ import annotations

import ctypes
import platform
from math import prod
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError

try:
    from cuda.bindings import runtime as cudart
except ImportError:  # cuda-python before 12.8, as for JetPack 6
    from cuda import cudart


def check(result: tuple[Any, ...]) -> Any:
    """Give what a call of the CUDA runtime returns.

    Raises:
        MemoryError: if the device has no memory left.
        RuntimeError: if the call failed for another reason.
    """
    error, *values = result
    if error == cudart.cudaError_t.cudaErrorMemoryAllocation:
        raise MemoryError('the CUDA device has no memory left')
    if error != cudart.cudaError_t.cudaSuccess:
        raise RuntimeError(f'CUDA says {error.name}')
    return values[0] if values else None


def machine_facts() -> dict[str, str]:
    """Name TensorRT, the GPU and the machine, as far as engines depend on them.

    Raises:
        ConfigError: if there is no CUDA device.
        ImportError: if TensorRT is not installed.
    """
    import tensorrt
    try:
        if not check(cudart.cudaGetDeviceCount()):
            raise RuntimeError('there is none')
        facts = check(cudart.cudaGetDeviceProperties(0))
    except RuntimeError as error:
        raise ConfigError(f'backend tensorrt finds no CUDA device ({error}): install its driver, '
                          'or choose another backend') from error
    return {'tensorrt': tensorrt.__version__, 'gpu': facts.name.decode().rstrip('\0'),
            'compute_capability': f'{facts.major}.{facts.minor}', 'machine': platform.machine()}


class Stream:
    """A CUDA stream; `handle` is its number."""

    def __init__(self) -> None:
        self._stream = check(cudart.cudaStreamCreate())
        self.handle = int(self._stream)

    def synchronise(self) -> None:
        """Wait until all that was put on the stream is done."""
        check(cudart.cudaStreamSynchronize(self._stream))

    def close(self) -> None:
        """Free the stream."""
        check(cudart.cudaStreamDestroy(self._stream))


class Buffer:
    """An array in pinned memory, and its twin on the device.

    Attributes:
        host: the array.
        address: where the twin begins.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        size = prod(shape) * np.dtype(dtype).itemsize
        self.address = int(check(cudart.cudaMalloc(size)))
        try:
            self._pinned = int(check(cudart.cudaHostAlloc(size, 0)))
        except (MemoryError, RuntimeError):
            check(cudart.cudaFree(self.address))
            raise
        memory = memoryview((ctypes.c_uint8 * size).from_address(self._pinned))
        self.host: np.ndarray = np.frombuffer(memory, dtype).reshape(shape)

    def upload(self, count: int, stream: Stream) -> None:
        """Copy the first `count` rows to the device."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        check(cudart.cudaMemcpyAsync(self.address, self._pinned, self.host[:count].nbytes, kind,
                                     stream.handle))

    def download(self, count: int, stream: Stream) -> None:
        """Copy the first `count` rows from the device."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        check(cudart.cudaMemcpyAsync(self._pinned, self.address, self.host[:count].nbytes, kind,
                                     stream.handle))

    def close(self) -> None:
        """Free both; nothing may hold the array any more."""
        del self.host
        check(cudart.cudaFreeHost(self._pinned))
        check(cudart.cudaFree(self.address))
