"""TensorRT on a CUDA device: 8.6, 10 and 11."""
from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np

from frm_seg_ros.backends.base import Labels, Progress, network_size
from frm_seg_ros.backends.tensorrt_build import build_engine, check_version
from frm_seg_ros.backends.tensorrt_builder import major
from frm_seg_ros.backends.tensorrt_cache import Facts, engine_facts, read_engine, write_engine
from frm_seg_ros.backends.tensorrt_device import machine_facts
from frm_seg_ros.backends.tensorrt_engine import Engine
from frm_seg_ros.backends.tensorrt_network import PIXELS, attention_nodes, load_network
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import INT8, ModelCard
from frm_seg_ros.core.outputs import decode_output
from frm_seg_ros.core.precision import choose_precision

# Images in a call that engines are looked for, the most first; an engine takes fewer too.
BATCHES = (8, 4, 2, 1)

_log = logging.getLogger(__name__)


class TensorRtBackend:
    """The model's ONNX file in an engine that was built for this very machine.

    See `base.Backend`. The network and its normalising run on the device, the labels are decoded
    on the CPU.
    """

    name = 'tensorrt'
    device = 'cuda'

    def __init__(self, card: ModelCard, device: str, precision: str = 'auto',
                 size: tuple[int, int] | None = None, build: Progress | None = None) -> None:
        """Load an engine; for `size` and `build` see `base.open_backend`.

        Raises:
            ConfigError: as `base.Backend`; also if there is no engine and none is to be built.
        """
        if device == 'cpu':
            raise ConfigError('backend tensorrt runs on CUDA devices only, device is cpu: choose '
                              'backend openvino or onnxruntime, or device cuda')
        machine = machine_facts()
        self.precision, self.precision_why = _choose(card, precision)
        self.size = network_size(self.name, card, size or card.input_size)
        facts, plan = find_engine(card, self.precision, self.size, machine)
        if plan is None and build is not None:
            facts, plan = make_engine(card, self.precision, self.size, 1, build)
        if plan is None:
            raise ConfigError(_no_engine(card, self.precision, self.size))
        self._engine = Engine(plan, PIXELS, (facts['batch'], *self.size, 3),
                              len(card.load_label_space().classes))

    def run(self, images: np.ndarray, sizes: Sequence[tuple[int, int]],
            confidence: bool = False) -> list[Labels]:
        """Label a batch; see `base.Backend.run`. A larger one than the engine's runs in parts."""
        if images.shape[1:3] != self.size:
            raise ConfigError('the engine is for {}x{}, the images are {}x{}: open the backend '
                              'with their size'.format(*self.size, *images.shape[1:3]))
        labels: list[Labels] = []
        self.decode_ms = 0.0
        for first in range(0, len(images), self._engine.batch):
            part = slice(first, first + self._engine.batch)
            logits = self._engine(images[part])
            start = time.perf_counter()
            labels += [decode_output(each, size, confidence)
                       for each, size in zip(logits, sizes[part], strict=True)]
            self.decode_ms += 1e3 * (time.perf_counter() - start)
        return labels

    def close(self) -> None:
        """Free the engine and its memory."""
        self._engine.close()


def has_engine(card: ModelCard, precision: str, size: tuple[int, int] | None) -> bool:
    """Tell whether an engine is there that the backend would load with these arguments."""
    try:
        chosen, _ = _choose(card, precision)
        wanted = network_size(TensorRtBackend.name, card, size or card.input_size)
        return find_engine(card, chosen, wanted, machine_facts())[1] is not None
    except ConfigError:
        return False


def find_engine(card: ModelCard, precision: str, size: tuple[int, int],
                machine: Facts) -> tuple[Facts, bytes | None]:
    """Find the engine for the largest batch, and say of each file why it is of no use."""
    facts: Facts = {}
    for batch in BATCHES:
        facts = engine_facts(card, precision, size, batch, machine)
        plan, passed = read_engine(facts)
        for line in passed:
            _log.warning('%s', line)
        if plan is not None:
            return facts, plan
    return facts, None


def make_engine(card: ModelCard, precision: str, size: tuple[int, int], batch: int,
                progress: Progress) -> tuple[Facts, bytes]:
    """Build an engine for this machine and keep it.

    Args:
        card: of the model.
        precision: `auto` or what it is to run in.
        size: (height, width) of the images, rounded as `base.network_size` does.
        batch: most images at a time, one of BATCHES.
        progress: is told how far it is.

    Returns:
        What it is for, and the engine.

    Raises:
        ConfigError: if it cannot be built or kept.
    """
    if batch not in BATCHES:
        raise ConfigError(f'batch is {batch}: engines are built for {sorted(BATCHES)} images')
    machine = machine_facts()
    precision, _ = _choose(card, precision)
    size = network_size(TensorRtBackend.name, card, size)
    network = load_network(card, size, precision, typed=major() >= 10)
    shapes = [(count, *size, 3) for count in (1, batch, batch)]
    float32_nodes = [node.name for node in attention_nodes(network)]
    plan = build_engine(network.SerializeToString(), PIXELS, shapes, precision, float32_nodes,
                        progress)
    facts = engine_facts(card, precision, size, batch, machine)
    progress(f'engine kept: {write_engine(facts, plan)}')
    return facts, plan


def _choose(card: ModelCard, precision: str) -> tuple[str, str]:
    """Check version, files and kind of network, and choose the precision."""
    import tensorrt
    check_version(tensorrt.__version__)
    if not card.has_confidence:
        raise ConfigError(f'model {card.name} gives labels, backend tensorrt takes networks that '
                          'give logits: import an export that does, or choose backend onnxruntime')
    card.check_files()
    able = [*(['int8'] if INT8 in card.files else []), 'float16', 'float32']
    # What int8 costs is measured on CPUs, which quantise in another way: see make_symmetric.
    measured = {key: value for key, value in card.precisions.items() if key != 'int8'}
    return choose_precision(TensorRtBackend.name, precision, able, measured)


def _no_engine(card: ModelCard, precision: str, size: tuple[int, int]) -> str:
    height, width = size
    return (f'there is no engine of {card.name} at {height}x{width} in {precision} for this '
            f'machine: build one by frm-seg export {card.folder} --to tensorrt --size '
            f'{height}x{width} --precision {precision}, or set build_engine')
