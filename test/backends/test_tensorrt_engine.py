"""The backend around an engine: buffers, tensors, parts of batches, what is there and what is not.

A CUDA runtime that keeps its memory on the host stands in for the device, and a recorder that
copies fixed logits for the engine; both are held to names of the real ones. No engine runs here.
"""
import ctypes
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tensorrt_api import Recorded, Recorder, make_module

onnx = pytest.importorskip('onnx', reason='onnx is not installed')

from tiny_model import write_tiny_model  # noqa: E402

from frm_seg_ros.core.decode import decode  # noqa: E402
from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402

CLASSES, SIZE = 11, (64, 96)
VERSION = '10.3.0'


class Host:
    """The calls of the CUDA runtime that the backend makes, on host memory."""

    def __init__(self):
        self.cudaError_t = SimpleNamespace(cudaSuccess=0, cudaErrorMemoryAllocation=2)
        self.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        self.blocks = {}
        self.limit = 1 << 40
        self.devices = (0, 1)
        self.synchronised = 0

    def _allocate(self, size):
        if size > self.limit:
            return (2, None)
        block = (ctypes.c_uint8 * size)(*([0xAA] * size))
        self.blocks[ctypes.addressof(block)] = block
        return (0, ctypes.addressof(block))

    def cudaMalloc(self, size):
        return self._allocate(size)

    def cudaHostAlloc(self, size, flags):
        return self._allocate(size)

    def cudaFree(self, address):
        del self.blocks[address]
        return (0,)

    cudaFreeHost = cudaFree

    def cudaMemcpyAsync(self, target, origin, count, kind, stream):
        assert stream == 7
        ctypes.memmove(target, origin, count)
        return (0,)

    def cudaStreamCreate(self):
        return (0, 7)

    def cudaStreamSynchronize(self, stream):
        self.synchronised += 1
        return (0,)

    def cudaStreamDestroy(self, stream):
        return (0,)

    def cudaGetDeviceCount(self):
        return self.devices

    def cudaGetDeviceProperties(self, device):
        return (0, SimpleNamespace(name=b'Orin\0\0', major=8, minor=7))


@pytest.fixture
def host(monkeypatch, tmp_path):
    """Put the stand-ins in place and import the backend with them."""
    host = Host()
    package, bindings = ModuleType('cuda'), ModuleType('cuda.bindings')
    bindings.runtime = host
    package.bindings = bindings
    for name, module in (('cuda', package), ('cuda.bindings', bindings)):
        monkeypatch.setitem(sys.modules, name, module)
    for name in ('device', 'engine', 'backend'):
        monkeypatch.delitem(sys.modules, f'frm_seg_ros.backends.tensorrt_{name}', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr('tempfile.gettempdir', lambda: str(tmp_path))
    yield host
    for name in ('device', 'engine', 'backend'):
        sys.modules.pop(f'frm_seg_ros.backends.tensorrt_{name}', None)


@pytest.fixture
def card(tmp_path):
    return ModelCard.load(write_tiny_model(tmp_path / 'tiny', SIZE))


class Device:
    """A recorded TensorRT whose engine gives the brightness of each block as logits."""

    def __init__(self, host, batch, monkeypatch):
        self.record = Recorded(VERSION)
        self.batch, self.addresses, self.shape, self.batches = batch, {}, None, []
        module = make_module(self.record)
        monkeypatch.setitem(sys.modules, 'tensorrt', module)
        mode, kind = module.TensorIOMode, module.DataType
        self.tensors = {'pixels': (mode.INPUT, kind.UINT8, (-1, *SIZE, 3)),
                        'logits': (mode.OUTPUT, kind.FLOAT, (-1, CLASSES, 16, 24))}
        self.record.values['ICudaEngine.num_io_tensors'] = 2
        results = self.record.results
        results['Runtime.deserialize_cuda_engine'] = Recorder(self.record, 'ICudaEngine')
        results['ICudaEngine.create_execution_context'] = Recorder(self.record,
                                                                   'IExecutionContext')
        results['ICudaEngine.get_tensor_name'] = lambda place: list(self.tensors)[place]
        for place, name in enumerate(('mode', 'dtype', 'shape')):
            results[f'ICudaEngine.get_tensor_{name}'] = (
                lambda tensor, place=place: self.tensors[tensor][place])
        results['IExecutionContext.set_tensor_address'] = self.addresses.__setitem__
        results['IExecutionContext.set_input_shape'] = self.set_shape
        results['IExecutionContext.get_tensor_shape'] = lambda name: (
            self.shape[0], CLASSES, 16, 24)
        results['IExecutionContext.execute_async_v3'] = self.execute

    def set_shape(self, name, shape):
        assert name == 'pixels' and 1 <= shape[0] <= self.batch
        self.shape = tuple(shape)
        return True

    def execute(self, stream):
        assert stream == 7
        self.batches.append(self.shape[0])
        count = int(np.prod(self.shape))
        pixels = np.frombuffer((ctypes.c_uint8 * count).from_address(self.addresses['pixels']),
                               np.uint8).reshape(self.shape)
        logits = logits_of(pixels)
        ctypes.memmove(self.addresses['logits'], logits.ctypes.data, logits.nbytes)
        return True


def logits_of(images):
    """Give (N, classes, h / 4, w / 4) float32: class k likes brightness 23 k."""
    count, height, width, _ = images.shape
    light = images.reshape(count, height // 4, 4, width // 4, 4, 3).mean((2, 4, 5))
    return -np.abs(light[:, None] - 23.0 * np.arange(CLASSES)[:, None, None]).astype(np.float32)


def keep_engine(card, batch=1, precision='float32'):
    from frm_seg_ros.backends.tensorrt_cache import engine_facts, write_engine
    from frm_seg_ros.backends.tensorrt_device import machine_facts
    facts = engine_facts(card, precision, SIZE, batch, machine_facts())
    assert (facts['gpu'], facts['compute_capability']) == ('Orin', '8.7')
    return write_engine(facts, b'a plan')


def open_it(card, **options):
    from frm_seg_ros.backends.tensorrt_backend import TensorRtBackend
    return TensorRtBackend(card, 'cuda', options.pop('precision', 'float32'), **options)


@pytest.mark.parametrize('batch', [1, 4])
def test_batches_of_any_size_give_each_image_its_labels(host, card, batch, monkeypatch):
    device = Device(host, batch, monkeypatch)
    keep_engine(card, batch)
    backend = open_it(card)
    images = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3)).astype(np.uint8)
    sizes = [(30 + place, 40) for place in range(6)]
    images[:, :32] //= 2
    found = backend.run(images, sizes, True)
    assert device.batches == {1: [1] * 6, 4: [4, 2]}[batch]
    for (labels, confidence), logits, size in zip(found, logits_of(images), sizes, strict=True):
        right, right_confidence = decode(logits, size, True)
        np.testing.assert_array_equal(labels, right)
        np.testing.assert_array_equal(confidence, right_confidence)
    assert device.record.given('Runtime.deserialize_cuda_engine') == [(b'a plan',)]
    assert host.synchronised == len(device.batches)
    assert (backend.name, backend.device, backend.precision) == ('tensorrt', 'cuda', 'float32')
    assert backend.decode_ms > 0
    backend.close()
    assert not host.blocks   # all memory is given back


def test_all_memory_is_allocated_at_start(host, card, monkeypatch):
    Device(host, 4, monkeypatch)
    keep_engine(card, 4)
    backend = open_it(card)
    before = dict(host.blocks)
    backend.run(np.zeros((3, *SIZE, 3), np.uint8), [(10, 10)] * 3)
    assert host.blocks == before


def test_the_engine_for_the_largest_batch_is_taken(host, card, monkeypatch):
    Device(host, 4, monkeypatch)
    keep_engine(card, 1)
    keep_engine(card, 4)
    assert open_it(card)._engine.batch == 4


def test_no_engine_names_the_command_that_builds_one(host, card, monkeypatch):
    Device(host, 1, monkeypatch)
    with pytest.raises(ConfigError, match=r'there is no engine of tiny at 64x96 in float16 for '
                       r'this machine: build one by frm-seg export .*tiny --to tensorrt --size '
                       r'64x96 --precision float16, or set build_engine'):
        open_it(card, precision='float16')
    keep_engine(card, precision='float16')
    assert open_it(card, precision='float16').precision == 'float16'


def test_a_damaged_engine_is_said_and_built_anew_where_that_is_wanted(host, card, monkeypatch,
                                                                      caplog):
    tensorrt_backend = import_module('frm_seg_ros.backends.tensorrt_backend')
    Device(host, 1, monkeypatch)
    path = keep_engine(card)
    path.write_bytes(path.read_bytes()[:-1])
    asked = []

    def build(network, name, shapes, precision, nodes, progress):
        asked.append((name, shapes, precision))
        assert onnx.load_from_string(network).graph.input[0].name == 'pixels'
        return b'a new plan'

    monkeypatch.setattr(tensorrt_backend, 'build_engine', build)
    open_it(card, build=lambda text: None)
    assert asked == [('pixels', [(1, *SIZE, 3)] * 3, 'float32')]
    assert 'it is cut off: 5 bytes of 6' in caplog.text
    open_it(card)   # the new one is kept
    assert len(asked) == 1


def test_an_engine_with_other_tensors_is_refused(host, card, monkeypatch):
    device = Device(host, 1, monkeypatch)
    keep_engine(card)
    good = device.tensors['logits']
    for wrong in ((good[0], good[1], (-1, 19, 16, 24)), (good[0], 99, good[2])):
        device.tensors['logits'] = wrong
        with pytest.raises(ConfigError, match='the engine has the tensors .*, the card wants'):
            open_it(card)
    device.tensors = {'images': device.tensors['pixels'], 'logits': good}
    with pytest.raises(ConfigError, match='the card wants'):
        open_it(card)


def test_what_is_refused(host, card, monkeypatch):
    device = Device(host, 1, monkeypatch)
    from frm_seg_ros.backends.tensorrt_backend import TensorRtBackend
    with pytest.raises(ConfigError, match='runs on CUDA devices only, device is cpu'):
        TensorRtBackend(card, 'cpu')
    with pytest.raises(ConfigError, match='does not do bfloat16'):
        open_it(card, precision='bfloat16')
    keep_engine(card)
    backend = open_it(card)
    with pytest.raises(ConfigError, match='the engine is for 64x96, the images are 96x96'):
        backend.run(np.zeros((1, 96, 96, 3), np.uint8), [(4, 4)])
    device.record.results['Runtime.deserialize_cuda_engine'] = None
    with pytest.raises(ConfigError, match='cannot load the engine, though its checksum is right'):
        open_it(card)
    sys.modules['tensorrt'].__version__ = '8.4.1'
    with pytest.raises(ConfigError, match='TensorRT 8.4.1 is installed'):
        open_it(card)


@pytest.mark.parametrize('devices', [(0, 0), (35, None)])
def test_no_device_is_said(host, card, monkeypatch, devices):
    Device(host, 1, monkeypatch)
    host.devices = devices if devices[0] == 0 else (SimpleNamespace(name='tooOld'), None)
    with pytest.raises(ConfigError, match='backend tensorrt finds no CUDA device'):
        open_it(card)


def test_memory_that_runs_out_is_one_sentence(host, card, monkeypatch):
    Device(host, 1, monkeypatch)
    keep_engine(card)
    host.limit = 18000   # an image takes 18432
    with pytest.raises(ConfigError, match='the CUDA device has no memory left: end what else'):
        open_it(card)


def test_auto_looks_for_an_engine_of_the_size(host, card, monkeypatch):
    Device(host, 1, monkeypatch)
    from frm_seg_ros.backends.tensorrt_backend import has_engine
    assert not has_engine(card, 'float32', None)
    keep_engine(card)
    assert has_engine(card, 'float32', None)
    assert has_engine(card, 'float32', (60, 90))   # which is rounded up
    assert not has_engine(card, 'float32', (128, 128))
    assert not has_engine(card, 'float16', None)
