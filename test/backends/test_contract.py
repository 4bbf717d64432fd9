"""One contract for all backends: the same labels as the torch reference, and right ones."""
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from frm_seg_ros.backends.base import BACKENDS, network_size, open_backend
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.plugins import load_plugin
from frm_seg_ros.core.precision import PRECISIONS
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.sources.base import open_source

torch = pytest.importorskip('torch', reason='torch, the reference, is not installed')

from hand_made_network import write_hand_made  # noqa: E402

MODEL = share_dir() / 'models' / 'frm_b0_fast'
# Of the pixels; bfloat16 has a mantissa of 7 bits and int8 256 steps, and so other near-ties.
AGREEMENT = {'float32': 0.999, 'bfloat16': 0.98, 'float16': 0.995, 'int8': 0.95}
NETWORK_SIZES = [(360, 480), (192, 256), (181, 243)]


@pytest.fixture(params=BACKENDS)
def backend_class(request):
    try:
        return load_plugin('backend', request.param, BACKENDS)
    except ImportError as error:
        pytest.skip(f'{request.param} is not installed: {error}')


@pytest.fixture
def cpu_class(backend_class):
    if backend_class.name == 'tensorrt':
        pytest.skip('tensorrt runs on CUDA devices only')
    return backend_class


def frames_of_six_classes(count):
    """Take frames of a demo drive on which six classes hold 2 % of the pixels each."""
    chosen = []
    for frame in open_source('synthetic:3:40'):
        shares = np.bincount(frame.truth.ravel(), minlength=256)[:11] / frame.truth.size
        if (shares >= 0.02).sum() >= 6:
            chosen.append(frame.image)
        if len(chosen) == count:
            return chosen
    raise AssertionError('too few frames show six classes')


@pytest.fixture(scope='module')
def frames():
    return frames_of_six_classes(3)


@pytest.fixture(scope='module')
def reference():
    return open_backend('torch', ModelCard.load(MODEL), 'cpu', 'float32')[0]


def slow_labels(backend, images, size):
    """Label by the definition: torch's own bilinear up-sampling in float64, then argmax."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits = backend._network((pixels - backend._mean) / backend._std).double()
        full = torch.nn.functional.interpolate(logits, size=size, mode='bilinear')
        largest = torch.nn.functional.interpolate(
            logits.softmax(1).amax(1, keepdim=True), size=size, mode='bilinear')
    return full.argmax(1).numpy(), 255 * largest[:, 0].numpy()


@pytest.mark.parametrize('size', NETWORK_SIZES)
@pytest.mark.parametrize('batch', [1, 3])
def test_labels_and_confidence_equal_the_reference(cpu_class, frames, reference, size, batch):
    backend = cpu_class(ModelCard.load(MODEL), 'cpu', 'float32')
    images = np.stack([resize_image(image, size) for image in frames[:batch]])
    wanted = (300, 412)  # the camera's size is not a multiple of the network's
    found = backend.run(images, [wanted] * batch, confidence=True)
    labels, confidence = slow_labels(reference, images, wanted)
    assert len(found) == batch
    for i in range(batch):
        assert found[i][0].dtype == found[i][1].dtype == np.uint8
        assert found[i][0].shape == found[i][1].shape == wanted
        # Float32 sums differ in order between runtimes, so near-ties fall either way.
        assert (found[i][0] == labels[i]).mean() >= 0.999
        assert len(np.unique(found[i][0])) >= 6
        # Half a step of rounding and float32 on the way; 1 is what the contract allows.
        assert np.abs(found[i][1] - confidence[i]).max() <= 1
    backend.close()


@pytest.mark.parametrize('precision', PRECISIONS)
def test_each_precision_is_done_as_told_or_refused(cpu_class, frames, reference, precision):
    card = ModelCard.load(MODEL)
    try:
        backend = cpu_class(card, 'cpu', precision)
    except ConfigError as error:
        assert precision != 'float32'
        assert f'does not do {precision} ' in str(error) and 'float32' in str(error)
        return
    assert (backend.precision, backend.precision_why) == (precision, 'as asked for')
    size = card.input_size
    images = np.stack([resize_image(image, size) for image in frames])
    labels, _ = slow_labels(reference, images, size)
    found = np.stack([each for each, _ in backend.run(images, [size] * len(images))])
    assert (found == labels).mean() >= AGREEMENT[precision]
    # Not float32 under another name.
    assert (precision == 'float32') == ((found == labels).mean() >= 0.9999)
    backend.close()


def test_the_time_of_decoding_is_told(cpu_class, frames, monkeypatch):
    backend = cpu_class(ModelCard.load(MODEL), 'cpu', 'float32')
    images = np.stack([resize_image(image, (192, 256)) for image in frames[:2]])
    backend.run(images, [(90, 120)] * 2)
    module = sys.modules[cpu_class.__module__]
    clock = [100.0]

    def slow_decode(logits, size, confidence):
        clock[0] += 0.25  # seconds, for each of the two images
        return np.zeros(size, np.uint8), None

    name = 'decode_output' if hasattr(module, 'decode_output') else 'decode'
    monkeypatch.setattr(module, name, slow_decode)
    monkeypatch.setattr(module, 'time', SimpleNamespace(perf_counter=lambda: clock[0]))
    backend.run(images, [(90, 120)] * 2)
    assert backend.decode_ms == 500
    backend.close()


def test_every_image_gets_its_own_size_and_no_confidence_unasked(cpu_class, frames):
    backend = cpu_class(ModelCard.load(MODEL), 'cpu', 'float32')
    images = np.stack([resize_image(image, (192, 256)) for image in frames[:2]])
    (first, none), (second, _) = backend.run(images, [(90, 120), (720, 1280)])
    assert first.shape == (90, 120)
    assert second.shape == (720, 1280)
    assert none is None
    backend.close()


@pytest.fixture(scope='module')
def hand_made(tmp_path_factory):
    pytest.importorskip('onnx', reason='onnx is not installed')
    from frm_seg_ros.tools.export import export_model
    folder = write_hand_made(tmp_path_factory.mktemp('hand_made'))
    return export_model(folder, None, 'synthetic:11:2')


def test_right_answer_of_the_hand_made_network(cpu_class, hand_made):
    backend = cpu_class(ModelCard.load(hand_made), 'cpu')
    truth = np.full((96, 128), 3, np.uint8)
    truth[32:64, 40:100] = 8
    grey = np.where(truth == 8, 200, 40).astype(np.uint8)
    tint = np.array([-20, 0, 20])
    images = np.clip(grey[..., None].astype(int) + tint, 0, 255).astype(np.uint8)[None]
    labels = backend.run(images, [(96, 128)])[0][0]
    inside = np.ones_like(truth, bool)
    for line in (32, 64):
        inside[line - 4:line + 4] = False
    for line in (40, 100):
        inside[:, line - 4:line + 4] = False
    assert np.array_equal(labels[inside], truth[inside])
    backend.close()


# Of the pixels. Halves have a mantissa of 10 and 7 bits, and so other near-ties.
CUDA_AGREEMENT = {'float32': 0.999, 'float16': 0.999, 'bfloat16': 0.995}
ON_CUDA = [('torch', 'float32'), ('torch', 'float16'), ('torch', 'bfloat16'),
           ('onnxruntime', 'float32'), ('tensorrt', 'float32'), ('tensorrt', 'float16')]


@pytest.mark.parametrize('size', NETWORK_SIZES)
@pytest.mark.parametrize(('name', 'precision'), ON_CUDA)
def test_cuda_equals_the_reference(frames, reference, size, name, precision, tmp_path,
                                   monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip('torch finds no CUDA device')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))  # so that TensorRT builds an engine
    card = ModelCard.load(MODEL)
    size = network_size(name, card, size)
    try:
        backend, _ = open_backend(name, card, 'cuda', precision, size, build_engine=print)
    except ConfigError as error:
        if 'is not installed' in str(error) or 'no CUDA provider' in str(error):
            pytest.skip(str(error))
        raise
    images = np.stack([resize_image(image, size) for image in frames])
    labels, confidence = slow_labels(reference, images, (300, 412))
    for _ in range(2):  # torch records, then replays
        found = backend.run(images, [(300, 412)] * 3, confidence=True)
        for i in range(3):
            assert (found[i][0] == labels[i]).mean() >= CUDA_AGREEMENT[precision]
            if precision == 'float32':
                assert np.abs(found[i][1] - confidence[i]).max() <= 1
    backend.close()


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime', 'torch'])
def test_cuda_is_refused_where_there_is_none(name):
    if torch.cuda.is_available():
        pytest.skip('there is a CUDA device')
    pytest.importorskip(name, reason=f'{name} is not installed')
    with pytest.raises(ConfigError, match='device is cuda'):
        open_backend(name, ModelCard.load(MODEL), 'cuda')
