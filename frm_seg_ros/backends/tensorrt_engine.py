"""An engine of TensorRT: how one is built, in a child process, and how it runs."""
from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from frm_seg_ros.backends.tensorrt_builder import FAILURE, PROGRESS
from frm_seg_ros.backends.tensorrt_device import Buffer, Stream
from frm_seg_ros.core.errors import ConfigError

if TYPE_CHECKING:
    import tensorrt as trt

OUTPUT = 'logits'
BUILDER = (sys.executable, '-m', 'frm_seg_ros.backends.tensorrt_builder')
# Versions before 8.6 lack the layer norm and the tensors by name; 9 was for servers only.
SUPPORTED = 'TensorRT 8.6, 10 and 11'


def check_version(version: str) -> None:
    """Make sure that this TensorRT is one whose interface is used rightly here.

    Raises:
        ConfigError: if not.
    """
    first, second = (int(number) for number in version.split('.')[:2])
    if (first, second) != (8, 6) and first not in (10, 11):
        raise ConfigError(f'TensorRT {version} is installed: backend tensorrt runs with '
                          f'{SUPPORTED}, install one of these or choose backend onnxruntime')


def build_engine(network: bytes, name: str, shapes: Sequence[tuple[int, ...]], precision: str,
                 float32_nodes: Sequence[str], progress: Callable[[str], None],
                 command: Sequence[str] = BUILDER) -> bytes:
    """Build an engine in a child process; what interrupts this process ends that one too.

    Args:
        network: an ONNX file with its weights.
        name: of its input.
        shapes: the least, best and largest of the input.
        precision: of the engine.
        float32_nodes: names of nodes that TensorRT 8.6 shall keep in float32.
        progress: is told every second how far it is.
        command: starts the child.

    Raises:
        ConfigError: if it fails; the text says why.
    """
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / 'model.onnx').write_bytes(network)
        (folder / 'request.json').write_text(json.dumps({
            'network': str(folder / 'model.onnx'), 'input': name, 'shapes': list(shapes),
            'precision': precision, 'float32_nodes': list(float32_nodes)}), encoding='utf-8')
        child = subprocess.Popen(
            [*command, str(folder / 'request.json'), str(folder / 'engine')], text=True,
            stdout=subprocess.PIPE)
        try:
            failure = _follow(child, progress)
        finally:
            child.kill()
            code = child.wait()
        plan = folder / 'engine'
        if code or not plan.is_file():
            raise ConfigError(f'no engine was built: {failure or _ending(code)}')
        return plan.read_bytes()


def _follow(child: subprocess.Popen[str], progress: Callable[[str], None]) -> str:
    """Tell the progress of a build until it ends; give the reason that it names for failing."""
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(child, lines), daemon=True)
    reader.start()
    began, told = time.monotonic(), 0.0
    step = failure = ''
    while True:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            line = ''
        if line is None:
            child.wait()
            return failure
        if line.startswith(PROGRESS):
            step = ', ' + line.removeprefix(PROGRESS)
        elif line.startswith(FAILURE):
            failure = line.removeprefix(FAILURE)
        elapsed = time.monotonic() - began
        if elapsed - told >= 1.0:
            told = elapsed
            progress(f'building the engine for {elapsed:.0f} s{step}')


def _read_lines(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in child.stdout or ():
        lines.put(line.rstrip('\n'))
    lines.put(None)


def _ending(code: int) -> str:
    if code < 0:
        return f'the process that built it was ended by signal {-code}: start again'
    return 'the process that built it ended with the lines above'


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
