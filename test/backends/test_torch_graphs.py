"""Recorded batches against the plain run; what happens when memory runs out; half precision."""
import copy

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from frm_seg_ros.backends import torch_graphs  # noqa: E402
from frm_seg_ros.backends.torch_backend import TorchBackend  # noqa: E402
from frm_seg_ros.backends.torch_graphs import Recordings  # noqa: E402
from frm_seg_ros.backends.torch_half import HALVES, lower_precision  # noqa: E402
from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import share_dir  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402
from frm_seg_ros.core.resize import resize_image  # noqa: E402
from frm_seg_ros.sources.synthetic import render_scene  # noqa: E402

CARD = ModelCard.load(share_dir() / 'models' / 'frm_b0_fast')
SIZES = [(300, 412), (96, 128), (211, 333)]


@pytest.fixture(scope='module')
def images():
    return np.stack([resize_image(render_scene(seed).image, (96, 128)) for seed in range(6)])


@pytest.fixture(scope='module')
def backend():
    return TorchBackend(CARD, 'cpu')


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def assert_equal(found, wanted):
    for (labels, confidence), (right, right_confidence) in zip(found, wanted, strict=True):
        # Near ties of float32 fall either way.
        assert (labels == right).mean() >= 0.9999
        if right_confidence is None:
            assert confidence is None
        else:
            assert np.abs(confidence.astype(int) - right_confidence).max() <= 1


def test_a_shape_that_comes_again_is_computed_anew(backend, images):
    recordings = Recordings(backend._logits, 'cpu')
    for batch in (images[:3], images[3:], images[:3]):
        for confidence in (True, False):
            found, _ = recordings.run(batch, SIZES, confidence)
            assert_equal(found, backend.run(batch, SIZES, confidence))


def test_results_stay_when_the_next_batch_comes(backend, images):
    recordings = Recordings(backend._logits, 'cpu')
    (first, _), = recordings.run(images[:1], SIZES[:1], False)[0]
    kept = first.copy()
    recordings.run(images[1:2], SIZES[:1], False)
    np.testing.assert_array_equal(first, kept)


def test_images_that_do_not_lie_in_one_piece(backend, images):
    turned = images[:2, :, ::-1]
    found, _ = Recordings(backend._logits, 'cpu').run(turned, SIZES[:2], False)
    assert_equal(found, backend.run(np.ascontiguousarray(turned), SIZES[:2], False))


def test_a_bounded_number_of_shapes_is_kept(images, monkeypatch):
    made = []

    def network(pixels):
        made.append(pixels.shape[1:3])
        return torch.zeros(len(pixels), 2, pixels.shape[1] // 4, pixels.shape[2] // 4)

    monkeypatch.setattr(torch_graphs, 'KEPT', 4)
    monkeypatch.setattr(torch_graphs, 'KEPT_DECODERS', 2)
    recordings = Recordings(network, 'cpu')
    for height in (64, 68, 72, 76, 64, 80):   # 64 is used again before one has to go
        recordings.run(images[:1, :height], [(10, 10)], False)
    assert [shape[1] for shape in recordings._kept] == [72, 76, 64, 80]
    for size in (11, 12, 13):
        recordings.run(images[:1, :80], [(size, size)], False)
    last = list(recordings._kept.values())[-1]
    assert [sizes[0] for sizes, _ in last._decoders] == [(12, 12), (13, 13)]
    recordings.close()
    assert not recordings._kept


class Device:
    """A network on a device that holds few images."""

    def __init__(self, holds):
        self.holds = holds
        self.batches = []

    def __call__(self, pixels):
        if len(pixels) > self.holds:
            raise torch.OutOfMemoryError('CUDA out of memory')
        self.batches.append(len(pixels))
        brightness = pixels.float().mean((1, 2, 3))[:, None, None, None].expand(-1, 1, 4, 4)
        return torch.cat([brightness, 255 - brightness], 1)


def test_a_batch_that_does_not_fit_is_halved_and_that_is_remembered(images, caplog):
    device = Device(2)
    recordings = Recordings(device, 'cpu')
    batch = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 250, 0, 250, 250)])
    found, _ = recordings.run(batch, [(8, 8)] * 5, True)
    assert [labels[0, 0] for labels, _ in found] == [1, 0, 1, 0, 0]
    assert recordings.most == 2
    assert max(device.batches) == 2
    said = [record.getMessage() for record in caplog.records]
    assert said == ['the memory of the cpu device does not hold 5 images of 64x64 at once: from '
                    'now on 2 a time']
    recordings.run(batch, [(8, 8)] * 5, True)
    assert len(caplog.records) == 1


def test_one_image_that_does_not_fit_gives_one_sentence_and_the_next_may_fit(images):
    device = Device(0)
    recordings = Recordings(device, 'cpu')
    with pytest.raises(ConfigError, match='too small for one image of 96x128: choose a smaller'):
        recordings.run(images[:3], SIZES, False)
    device.holds = 1
    assert len(recordings.run(images[:3], SIZES, False)[0]) == 3


def test_another_error_is_not_taken_for_memory(images):
    def broken(pixels):
        raise RuntimeError('an illegal instruction')

    with pytest.raises(RuntimeError, match='illegal instruction'):
        Recordings(broken, 'cpu').run(images[:2], SIZES[:2], False)


def test_memory_that_ran_out_while_recording_is_seen_behind_the_error_of_its_end():
    try:
        try:
            raise torch.OutOfMemoryError('CUDA out of memory')
        finally:
            raise RuntimeError('the recording was invalidated')  # as on leaving torch.cuda.graph
    except RuntimeError as error:
        assert torch_graphs.is_out_of_memory(error)
    assert not torch_graphs.is_out_of_memory(RuntimeError('another'))


# Of the pixels: a mantissa of 10 bits, and of 7.
LEAST_AGREEMENT = {'float16': 0.999, 'bfloat16': 0.995}


@pytest.mark.parametrize('precision', HALVES)
def test_half_precision_gives_nearly_the_labels_of_float32(precision, backend, images):
    network = copy.deepcopy(backend._network)
    lower_precision(network, HALVES[precision], 'cpu')
    kinds = {weight.dtype for weight in network.parameters()}
    assert kinds == {HALVES[precision], torch.float32}
    recordings = Recordings(
        lambda pixels: network(backend._normalise(pixels).to(HALVES[precision])), 'cpu')
    found, _ = recordings.run(images[:3], SIZES, False)
    for (labels, _), (right, _) in zip(found, backend.run(images[:3], SIZES), strict=True):
        assert LEAST_AGREEMENT[precision] <= (labels == right).mean() < 1


def test_half_precision_keeps_statistics_that_float16_does_not_hold(backend):
    network = copy.deepcopy(backend._network)
    largest = max(module.running_var.max() for module in network.modules()
                  if isinstance(module, torch.nn.BatchNorm2d))
    assert largest > torch.finfo(torch.float16).max
    lower_precision(network, torch.float16, 'cpu')
    assert all(value.isfinite().all() for value in network.state_dict().values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason='torch finds no CUDA device')
def test_steps_are_recorded_as_graphs_on_cuda(images, caplog):
    cuda = TorchBackend(CARD, 'cuda', 'float16')
    for batch in (images[:3], images[3:]):
        cuda.run(batch, SIZES, True)
    recording, = cuda._recordings._kept.values()
    decoder, = recording._decoders.values()
    assert isinstance(recording._network.__self__, torch.cuda.CUDAGraph)
    assert isinstance(decoder._decode.__self__, torch.cuda.CUDAGraph)
    assert not caplog.records
    assert cuda.decode_ms > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason='torch finds no CUDA device')
def test_a_shape_that_comes_again_allocates_nothing_on_cuda(images):
    cuda = TorchBackend(CARD, 'cuda', 'float16')
    cuda.run(images[:3], SIZES, True)
    before = torch.cuda.memory_stats()['allocation.all.allocated']
    for _ in range(5):
        cuda.run(images[3:], SIZES, True)
    assert torch.cuda.memory_stats()['allocation.all.allocated'] == before
