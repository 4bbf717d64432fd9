"""What OpenVINO compiles is kept, and what was kept gives the same labels."""
import numpy as np
import pytest
from tiny_model import write_tiny_model

from frm_seg_ros.core.model_card import ModelCard

pytest.importorskip('openvino')
from frm_seg_ros.backends import openvino_backend  # noqa: E402
from frm_seg_ros.backends.openvino_backend import OpenVinoBackend  # noqa: E402


@pytest.fixture
def card(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return ModelCard.load(write_tiny_model(tmp_path / 'tiny'))


@pytest.fixture
def compiled(monkeypatch):
    """List the shapes that are compiled."""
    shapes = []
    real = OpenVinoBackend._compile
    monkeypatch.setattr(OpenVinoBackend, '_compile',
                        lambda self, shape: shapes.append(shape) or real(self, shape))
    return shapes


def images():
    return np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), np.uint8)


def run(card, precision='float32'):
    backend = OpenVinoBackend(card, 'cpu', precision)
    labels, confidence = backend.run(images(), [(96, 128)], confidence=True)[0]
    backend.close()
    return labels, confidence


def kept(tmp_path):
    return sorted((tmp_path / 'cache' / 'frm_seg_ros' / 'openvino').iterdir())


def test_the_second_process_compiles_nothing_and_says_the_same(card, compiled, tmp_path):
    first = run(card)
    second = run(card)
    assert compiled == [(1, 96, 128, 3)]
    assert len(kept(tmp_path)) == 1
    assert np.array_equal(first, second)


def test_a_model_of_other_weights_or_means_is_compiled_anew(card, compiled, tmp_path):
    from dataclasses import replace
    run(card)
    run(replace(card, mean=(0.4, 0.4, 0.4)))
    run(ModelCard.load(write_tiny_model(tmp_path / 'other', label_space='cityscapes')))
    assert len(compiled) == len(kept(tmp_path)) == 3


def test_damage_is_noticed_and_mended(card, compiled, tmp_path):
    first = run(card)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert np.array_equal(run(card), first)
    assert len(compiled) == 2
    run(card)
    assert len(compiled) == 2


def test_what_openvino_refuses_is_compiled_anew(card, compiled, monkeypatch):
    first = run(card)
    monkeypatch.setattr(openvino_backend.DiskCache, 'read', lambda self, facts: b'no model')
    assert np.array_equal(run(card), first)
    assert len(compiled) == 2


def test_bfloat16_is_done_where_the_cpu_has_it_only(card, monkeypatch):
    monkeypatch.setattr(openvino_backend, '_capabilities', lambda: ['FP32', 'INT8'])
    assert openvino_backend._able(card) == ['float32']
    monkeypatch.setattr(openvino_backend, '_capabilities', lambda: ['BF16', 'FP32', 'INT8'])
    assert openvino_backend._able(card) == ['bfloat16', 'float32']
    backend = OpenVinoBackend(card, 'cpu', 'bfloat16')
    assert backend._options['INFERENCE_PRECISION_HINT'] == 'bf16'
    assert OpenVinoBackend(card, 'cpu')._options['INFERENCE_PRECISION_HINT'] == 'f32'
