"""Decoding by torch: the rule of four units in the last place, as for `core.decode`."""
import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.backends import torch_decode  # noqa: E402
from frm_seg_ros.backends.torch_kernel import label_kernel  # noqa: E402
from frm_seg_ros.core.decode import decode  # noqa: E402
from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402
from frm_seg_ros.core.resize import resize_image  # noqa: E402
from frm_seg_ros.sources.synthetic import render_scene  # noqa: E402

SIZES = [((24, 40), (96, 160)), ((23, 31), (375, 500)), ((16, 16), (16, 16)),
         ((16, 20), (7, 9)), ((2, 3), (61, 5)), ((1, 1), (4, 4))]


@pytest.fixture(params=['cpu', 'cuda'])
def device(request):
    if request.param == 'cuda' and not torch.cuda.is_available():
        pytest.skip('torch finds no CUDA device')
    return request.param


def upsampled(logits, size):
    """Up-sample (classes, h, w) in float64, straight from the definition."""
    result = logits.astype(np.float64)
    for axis, wanted in ((1, size[0]), (2, size[1])):
        coarse = result.shape[axis]
        place = np.clip((np.arange(wanted) + 0.5) * coarse / wanted - 0.5, 0, coarse - 1)
        low = np.floor(place).astype(int)
        weight = (place - low).reshape([-1 if each == axis else 1 for each in range(3)])
        result = ((1 - weight) * result.take(low, axis)
                  + weight * result.take(np.minimum(low + 1, coarse - 1), axis))
    return result


def units(logits, labels):
    """Tell by how many units in the last place the chosen class is behind the best one."""
    exact = upsampled(logits, labels.shape)
    lead = exact.max(0) - np.take_along_axis(exact, labels[None].astype(int), 0)[0]
    return lead.max() / np.spacing(np.abs(logits).max())


def axes(logits, size, device):
    return [torch_decode.make_axis(coarse, wanted, device)
            for coarse, wanted in zip(logits.shape[1:], size)]


@pytest.fixture(scope='module')
def real_logits():
    """Logits of the shipped model on a rendered street, a quarter of 192x256."""
    from frm_seg_ros.backends.torch_backend import TorchBackend
    backend = TorchBackend(ModelCard.load(share_dir() / 'models' / 'frm_b0_fast'), 'cpu')
    image = torch.from_numpy(resize_image(render_scene(5).image, (192, 256))[None])
    with torch.inference_mode():
        return backend._logits(image)[0].numpy()


def near_ties(rng, classes, height, width):
    """Logits of which many differ in their last digits only."""
    steps = rng.integers(0, 3, (classes, height, width)).astype(np.float32)
    return np.float32(7) + steps * np.spacing(np.float32(7)) * 3


@pytest.mark.parametrize('classes', [1, 2, 11, 19])
@pytest.mark.parametrize(('coarse', 'size'), SIZES)
def test_labels_keep_to_the_rule(classes, coarse, size, device):
    rng = np.random.default_rng(classes)
    for logits in (rng.normal(size=(classes, *coarse)).astype(np.float32),
                   near_ties(rng, classes, *coarse)):
        found = torch_decode.label(torch.from_numpy(logits).to(device),
                                   *axes(logits, size, device)).cpu().numpy()
        assert found.shape == size and found.dtype == np.uint8
        # Four is what the contract allows.
        assert units(logits, found) <= 4


def test_labels_keep_to_the_rule_where_classes_cross_steeply(device):
    """Of 1.6 million pixels some lie so near a border that a place known to 1e-6 is not enough."""
    logits = np.random.default_rng(0).normal(size=(3, 181, 243)).astype(np.float32)
    size = (1083, 1457)
    found = torch_decode.label(torch.from_numpy(logits).to(device),
                               *axes(logits, size, device)).cpu().numpy()
    assert units(logits, found) <= 4


def test_labels_of_real_logits_keep_to_the_rule(real_logits, device):
    for size in ((720, 1280), (360, 480), (301, 413)):
        tensor = torch.from_numpy(real_logits).to(device)
        found = torch_decode.label(tensor, *axes(real_logits, size, device)).cpu().numpy()
        assert len(np.unique(found)) >= 6
        assert units(real_logits, found) <= 4
        assert (found == decode(real_logits, size)[0]).mean() > 0.99999


def test_bands_of_any_height_give_the_same(real_logits, monkeypatch):
    tensor = torch.from_numpy(real_logits)
    pair = axes(real_logits, (301, 413), 'cpu')
    whole = torch_decode.label_in_bands(tensor, *pair)
    for rows in (1, 7, 300):
        monkeypatch.setattr(torch_decode, 'BAND_BYTES', 4 * len(tensor) * 413 * rows)
        assert torch.equal(torch_decode.label_in_bands(tensor, *pair), whole)


def test_the_lowest_id_wins_a_tie(device):
    logits = torch.randn(11, 30, 40, generator=torch.Generator().manual_seed(0))
    logits[4] = logits[7]
    pair = axes(logits, (117, 163), device)
    found = torch_decode.label(logits.to(device), *pair).cpu()
    assert 4 in found and 7 not in found


def test_half_precision_logits_in_any_memory_format(real_logits, device):
    tensor = torch.from_numpy(real_logits)[None].half().to(
        device, memory_format=torch.channels_last)[0]
    pair = axes(real_logits, (301, 413), device)
    found = torch_decode.label(tensor, *pair).cpu().numpy()
    assert units(tensor.float().cpu().numpy(), found) <= 4


def test_confidence_is_that_of_the_definition(real_logits, device):
    powers = np.exp(real_logits - real_logits.max(0), dtype=np.float64)
    wanted = 255 * upsampled((powers / powers.sum(0)).max(0, keepdims=True), (301, 413))[0]
    tensor = torch.from_numpy(real_logits).to(device)
    found = torch_decode.confidence(tensor, *axes(real_logits, (301, 413), device)).cpu().numpy()
    # Half a step of rounding, and float32 on the way.
    assert np.abs(found - wanted).max() <= 0.51
    assert found.min() < 120 < 250 < found.max()


INTERPRETED = """
import sys
import torch
from frm_seg_ros.backends import torch_decode
from frm_seg_ros.backends.torch_kernel import label_kernel
torch.manual_seed(0)
logits = torch.randn(1, 11, 20, 30).to(memory_format=torch.channels_last)[0]
logits[4] = logits[7]
rows, columns = torch_decode.make_axis(20, 61, 'cpu'), torch_decode.make_axis(30, 300, 'cpu')
differ = label_kernel(logits, rows, columns) != torch_decode.label_in_bands(logits, rows, columns)
sys.exit(int(differ.sum()))
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason='torch finds no CUDA device')
def test_the_kernel_is_built_on_cuda(caplog):
    torch_decode.kernel_works.cache_clear()
    assert label_kernel is not None
    assert torch_decode.kernel_works(torch.device('cuda', 0)), caplog.text


def test_the_kernel_does_the_same_as_torch_alone():
    if label_kernel is None:
        pytest.skip('triton, which comes with torch for CUDA, is not installed')
    done = subprocess.run([sys.executable, '-c', INTERPRETED], timeout=300,
                          cwd=share_dir(), env={**os.environ, 'TRITON_INTERPRET': '1'})
    assert done.returncode == 0
