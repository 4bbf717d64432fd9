"""A loaded engine of TensorRT, and what it needs on the device."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frm_seg_ros.backends.tensorrt_device import Buffer, Stream
from frm_seg_ros.core.errors import ConfigError

if TYPE_CHECKING:
    import tensorrt as trt

OUTPUT = 'logits'


class Engine:
    """A loaded engine with its buffers; one call at a time.

    Attributes:
        batch: most images in a call.
    """

    def __init__(self, plan: bytes, name: str, shape: tuple[int, ...], classes: int) -> None:
        """Load an engine and allocate all that it needs.

        Args:
            plan: what TensorRT built.
            name: of the input, (N, H, W, 3) uint8.
            shape: the largest of it.
            classes: of the logits.

        Raises:
            ConfigError: if TensorRT cannot load it, its tensors are others, or memory runs out.
        """
        import tensorrt as trt
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ConfigError('TensorRT cannot load the engine, though its checksum is right: '
                              'remove it from the cache and build it again')
        check_tensors(self._engine, name, shape, classes)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise ConfigError('the CUDA device has no memory left for the engine: end what else '
                              'uses it, or build one for a smaller size or batch')
        self.batch = shape[0]
        self._name = name
        self._context.set_input_shape(name, shape)
        try:
            self._pixels = Buffer(shape, np.uint8)
            self._logits = Buffer(tuple(self._context.get_tensor_shape(OUTPUT)), np.float32)
        except MemoryError as error:
            raise ConfigError(f'{error}: end what else uses it, or build an engine for a smaller '
                              'size or batch') from error
        self._context.set_tensor_address(name, self._pixels.address)
        self._context.set_tensor_address(OUTPUT, self._logits.address)
        self._stream = Stream()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map (N, H, W, 3) uint8 to logits (N, classes, h, w), valid until the next call."""
        count = len(images)
        np.copyto(self._pixels.host[:count], images)
        self._pixels.upload(count, self._stream)
        if not (self._context.set_input_shape(self._name, images.shape)
                and self._context.execute_async_v3(self._stream.handle)):
            raise RuntimeError('TensorRT could not run the engine; what it printed says why')
        self._logits.download(count, self._stream)
        self._stream.synchronise()
        return self._logits.host[:count]

    def close(self) -> None:
        """Free the device; in this order, since an engine must outlive its context."""
        del self._context
        del self._engine
        del self._runtime
        for part in (self._pixels, self._logits, self._stream):
            part.close()


def check_tensors(engine: trt.ICudaEngine, name: str, shape: tuple[int, ...],
                  classes: int) -> None:
    """Make sure that an engine takes and gives what the card says.

    Raises:
        ConfigError: if not.
    """
    import tensorrt as trt
    names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
    found = {each: (engine.get_tensor_mode(each), engine.get_tensor_dtype(each),
                    tuple(engine.get_tensor_shape(each))) for each in names}
    wanted = {name: (trt.TensorIOMode.INPUT, trt.DataType.UINT8, (-1, *shape[1:])),
              OUTPUT: (trt.TensorIOMode.OUTPUT, trt.DataType.FLOAT, (-1, classes, -1, -1))}
    if set(found) != set(wanted) or not all(
            found[each][:2] == facts[:2] and _fits(found[each][2], facts[2])
            for each, facts in wanted.items()):
        raise ConfigError(f'the engine has the tensors {found}, the card wants {wanted}: export '
                          'the model again')


def _fits(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Compare shapes; -1 stands for any length."""
    return len(found) == len(wanted) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(found, wanted))
