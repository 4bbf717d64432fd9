"""The choice of a backend, and what a bad one gets."""
import pytest
from tiny_model import write_tiny_model

from frm_seg_ros.backends import base
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard


@pytest.fixture
def card(tmp_path):
    return ModelCard.load(write_tiny_model(tmp_path / 'tiny'))


def test_auto_takes_the_first_that_is_installed_and_says_why(card, monkeypatch):
    pytest.importorskip('onnxruntime')
    monkeypatch.setitem(base.BACKENDS, 'openvino', 'no_such_package.module:Backend')
    backend, line = base.open_backend('auto', card, 'cpu')
    assert backend.name == 'onnxruntime'
    assert 'chosen by auto' in line
    assert 'no_such_package' in line


def test_named_backend_without_its_runtime_names_the_extra(card, monkeypatch):
    monkeypatch.setitem(base.BACKENDS, 'openvino', 'no_such_package.module:Backend')
    with pytest.raises(ConfigError, match=r'pip install frm-seg\[openvino\]'):
        base.open_backend('openvino', card)


@pytest.mark.parametrize(('name', 'device', 'words'), [
    ('tensorflow', 'auto', "no backend is called 'tensorflow': take one of auto, openvino"),
    ('auto', 'gpu', "device is 'gpu': take one of auto, cpu, cuda"),
])
def test_unknown_names_list_the_known_ones(card, name, device, words):
    with pytest.raises(ConfigError, match=words):
        base.open_backend(name, card, device)


def test_the_line_names_the_precision_and_why(card):
    pytest.importorskip('onnxruntime')
    line = base.open_backend('onnxruntime', card, 'cpu')[1]
    assert line == 'backend onnxruntime on cpu, as asked for; precision float32, the fastest here'
    line = base.open_backend('onnxruntime', card, 'cpu', 'float32')[1]
    assert line.endswith('; precision float32, as asked for')


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_a_file_that_is_no_network_is_refused(card, name):
    pytest.importorskip(name)
    from dataclasses import replace

    from frm_seg_ros.core.files import sha256
    path = card.folder / 'model.onnx'
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match='SHA-256'):
        base.open_backend(name, card)
    with pytest.raises(ConfigError, match='no sound ONNX file|cannot load'):
        base.open_backend(name, replace(card, files={'model.onnx': sha256(path)}))


class Opened:
    """Stands for a backend that opens."""

    def __init__(self, card, device, precision='auto', size=None, build=None):
        self.device, self.precision, self.precision_why = device, 'float32', 'as a test'


def sees(monkeypatch, torch=False, onnxruntime=False, engine=False):
    monkeypatch.setattr(base, 'which', lambda name: '/usr/bin/nvidia-smi')
    monkeypatch.setattr(base, '_torch_sees_cuda', lambda: torch)
    monkeypatch.setattr(base, '_onnxruntime_sees_cuda', lambda: onnxruntime)
    monkeypatch.setattr(base, '_has_engine', lambda card, precision, size: engine)
    monkeypatch.setattr(base, 'load_plugin', lambda kind, name, table: Opened)


CPU = [('openvino', 'cpu'), ('onnxruntime', 'cpu'), ('torch', 'cpu')]


@pytest.mark.parametrize(('found', 'device', 'build', 'order'), [
    ({}, 'auto', None, CPU),
    ({'torch': True, 'onnxruntime': True, 'engine': True}, 'auto', None,
     [('tensorrt', 'cuda'), ('torch', 'cuda'), ('onnxruntime', 'cuda'), *CPU]),
    ({'torch': True, 'onnxruntime': True}, 'auto', None,
     [('torch', 'cuda'), ('onnxruntime', 'cuda'), *CPU]),
    ({'torch': True}, 'auto', print, [('tensorrt', 'cuda'), ('torch', 'cuda'), *CPU]),
    ({'torch': True, 'engine': True}, 'cpu', print, CPU),
    ({'onnxruntime': True}, 'cuda', None, [('onnxruntime', 'cuda')]),
])
def test_the_order_of_auto(card, monkeypatch, found, device, build, order):
    sees(monkeypatch, **found)
    assert base._order(card, device, 'auto', None, build) == order
    if order:
        backend, line = base.open_backend('auto', card, device, build_engine=build)
        assert backend.device == order[0][1]
        assert line.startswith(f'backend {order[0][0]} on {order[0][1]}, chosen by auto')


def test_an_imported_network_never_runs_in_torch(card, monkeypatch):
    from dataclasses import replace
    sees(monkeypatch, torch=True)
    imported = replace(card, architecture={'imported': 'logits', 'sizes': 'any', 'batch': 'any'})
    assert base._order(imported, 'auto', 'auto', None, None) == CPU[:2]


def test_what_fails_on_cuda_is_told_and_the_next_is_taken(card, monkeypatch):
    sees(monkeypatch, torch=True)

    class Fails:
        def __init__(self, card, device, precision):
            raise ConfigError('its driver is too old')

    monkeypatch.setattr(base, 'load_plugin', lambda kind, name, table:
                        Fails if name == 'torch' else Opened)
    line = base.open_backend('auto', card)[1]
    assert line == ('backend openvino on cpu, chosen by auto; not to be had: torch on cuda (its '
                    'driver is too old); precision float32, as a test')


def test_auto_on_cuda_where_nothing_runs_there_is_refused(card, monkeypatch):
    sees(monkeypatch)
    with pytest.raises(ConfigError, match='device is cuda, but no backend runs there'):
        base.open_backend('auto', card, 'cuda')


def test_the_command_that_builds_an_engine_is_named_where_tensorrt_is(card, monkeypatch):
    sees(monkeypatch, torch=True)
    monkeypatch.setattr(base, 'find_spec', lambda name: name == 'tensorrt')
    line = base.open_backend('auto', card)[1]
    assert line.endswith(f'frm-seg export {card.folder} --to tensorrt builds one')


@pytest.mark.parametrize(('name', 'size', 'wanted'), [
    ('tensorrt', (360, 480), (384, 480)), ('tensorrt', (64, 65), (64, 96)),
    ('openvino', (360, 480), (360, 480)), ('torch', (181, 243), (181, 243))])
def test_tensorrt_runs_at_multiples_of_32(card, name, size, wanted):
    from dataclasses import replace
    assert base.network_size(name, card, size) == wanted
    fixed = replace(card, architecture={'imported': 'logits', 'sizes': 'fixed', 'batch': 'any'})
    assert base.network_size(name, fixed, size) == size


def test_tensorrt_is_told_the_size_and_whether_to_build(card, monkeypatch):
    seen = []

    class Asked(Opened):
        def __init__(self, *arguments):
            seen.append(arguments[1:])
            super().__init__(*arguments)

    monkeypatch.setattr(base, 'load_plugin', lambda kind, name, table: Asked)
    base.open_backend('tensorrt', card, 'cuda', 'float16', (96, 128), print)
    base.open_backend('openvino', card, 'cpu', 'float32', (96, 128), print)
    assert seen == [('cuda', 'float16', (96, 128), print), ('cpu', 'float32')]
