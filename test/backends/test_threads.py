"""Every backend on the CPU takes as many threads as the environment tells."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.threads import VARIABLE

MODEL = 'frm_b0_fast'
IMAGES = np.zeros((1, 64, 96, 3), np.uint8)


def test_openvino(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip('openvino', reason='openvino is not installed')
    from frm_seg_ros.backends.openvino_backend import OpenVinoBackend
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setenv(VARIABLE, '1')
    for _ in range(2):      # compiled, then taken from the cache
        backend = OpenVinoBackend(ModelCard.load(MODEL), 'cpu')
        backend.run(IMAGES, [(8, 8)])
        compiled, = backend._compiled.values()
        assert compiled.get_property('INFERENCE_NUM_THREADS') == 1
        backend.close()


def test_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    from frm_seg_ros.backends.onnxruntime_backend import OnnxRuntimeBackend
    for told, wanted in (('1', 1), ('', 0)):
        monkeypatch.setenv(VARIABLE, told)
        backend = OnnxRuntimeBackend(ModelCard.load(MODEL), 'cpu')
        assert backend._session.get_session_options().intra_op_num_threads == wanted
        backend.close()


def test_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip('torch', reason='torch is not installed')
    from frm_seg_ros.backends.torch_backend import TorchBackend
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            monkeypatch.setenv(VARIABLE, str(threads))
            TorchBackend(ModelCard.load(MODEL), 'cpu').close()
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
