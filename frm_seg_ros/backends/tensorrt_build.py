"""Has an engine of TensorRT built in a child process, and follows it."""
from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from frm_seg_ros.backends.base import Progress
from frm_seg_ros.backends.tensorrt_builder import FAILURE, PROGRESS
from frm_seg_ros.core.errors import ConfigError

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
                 float32_nodes: Sequence[str], progress: Progress,
                 command: Sequence[str] = BUILDER) -> bytes:
    """Build an engine in a child process; what interrupts this process ends that one too.

    Args:
        network: an ONNX file with its weights.
        name: of its input.
        shapes: the least, best and largest of the input.
        precision: of the engine.
        float32_nodes: names of nodes that TensorRT 8.6 shall keep in float32.
        progress: is told every second how far it is; what it raises ends the build.
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


def _follow(child: subprocess.Popen[str], progress: Progress) -> str:
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
