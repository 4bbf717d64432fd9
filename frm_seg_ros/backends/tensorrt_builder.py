"""Builds one engine in a process of its own, which is started by `tensorrt_build.build_engine`.

A build takes minutes and holds the interpreter where the version has no monitor; here it keeps
nobody from answering, and SIGINT ends it at once. Only what is in the table of docs/gpu.md is
called, by version: 8.6 is told of float16 by flags and constraints; from 10 on the types in the
network hold, so all flags of precision are left alone (11 has none).
"""
from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt as trt

PROGRESS, FAILURE = 'progress ', 'failure '


def main() -> int:
    """Build what the JSON file of the first argument asks for into the file of the second."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    request = json.loads(Path(sys.argv[1]).read_text(encoding='utf-8'))
    try:
        plan = build(request)
    except RuntimeError as error:
        _tell(FAILURE, str(error))
        return 1
    Path(sys.argv[2]).write_bytes(plan)
    return 0


def build(request: dict[str, Any]) -> bytes:
    """Build an engine.

    Args:
        request: `network`, path of an ONNX file with its weights; `input`, its name; `shapes`, the
            least, best and largest of it; `precision`; `float32_nodes`, names of those to keep in
            float32 where the network does not say so itself.

    Raises:
        RuntimeError: if TensorRT cannot build it; the text is one sentence.
    """
    import tensorrt as trt
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags())
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path(request['network']).read_bytes()):
        reasons = '; '.join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise RuntimeError(f'TensorRT {trt.__version__} cannot read the network: {reasons}')
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape(request['input'], *map(tuple, request['shapes']))
    config.add_optimization_profile(profile)
    config.clear_flag(trt.BuilderFlag.TF32)
    if major() < 10:
        constrain(network, config, request['precision'], request['float32_nodes'])
    else:
        config.progress_monitor = make_monitor()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(f'TensorRT {trt.__version__} built no engine; what it printed says why')
    return bytes(memoryview(plan))


def major() -> int:
    """Give the first number of the version."""
    import tensorrt as trt
    return int(trt.__version__.split('.')[0])


def network_flags() -> int:
    """Choose how a network is created: strongly typed from 10 on, as 11 does by itself."""
    import tensorrt as trt
    if major() < 10:
        return 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if major() == 10 else 0


def constrain(network: trt.INetworkDefinition, config: trt.IBuilderConfig, precision: str,
              names: list[str]) -> None:
    """Let TensorRT 8.6 use float16, and int8 where asked for, but not in the nodes of `names`."""
    import tensorrt as trt
    if precision == 'float32':
        return
    config.set_flag(trt.BuilderFlag.FP16)
    if precision == 'int8':
        config.set_flag(trt.BuilderFlag.INT8)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    kept = set(names)
    for place in range(network.num_layers):
        layer = network.get_layer(place)
        # The parser numbers the layers after the first that come of one node.
        if layer.name in kept or re.sub(r'_\d+$', '', layer.name) in kept:
            layer.precision = trt.float32
            for output in range(layer.num_outputs):
                layer.set_output_type(output, trt.float32)


def make_monitor() -> trt.IProgressMonitor:
    """Make what TensorRT tells its progress to; 8.6 has no such thing."""
    import tensorrt as trt

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            _tell(PROGRESS, f'{phase_name}: {step + 1} of {self._steps.get(phase_name, "?")}')
            return True  # False would end the build

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()


def _tell(kind: str, text: str) -> None:
    print(kind + ' '.join(text.split()), flush=True)


if __name__ == '__main__':
    sys.exit(main())
