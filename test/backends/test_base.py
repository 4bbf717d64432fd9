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
    with pytest.raises(ConfigError, match='cannot load'):
        base.open_backend(name, replace(card, files={'model.onnx': sha256(path)}))
