"""Averages over scales and mirrored images, against the definition; what is refused and told."""
import json

import numpy as np
import pytest

from frm_seg_ros import cli
from frm_seg_ros.backends.base import BACKENDS
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.sources.synthetic import render_scene

torch = pytest.importorskip('torch', reason='torch, which alone averages, is not installed')

MODEL = share_dir() / 'models' / 'frm_b0_fast'
SIZE = (94, 130)
# 0.75 x 94 = 70.5 and 0.75 x 130 = 97.5: halves go up.
SIZE_AT = {0.75: (71, 98), 1.0: SIZE, 1.5: (141, 195)}
CAMERAS = [(150, 210), (231, 319)]


@pytest.fixture(scope='module')
def images():
    return [resize_image(render_scene(seed).image, size) for seed, size in enumerate(CAMERAS)]


@pytest.fixture(params=['cpu', 'cuda'])
def device(request):
    if request.param == 'cuda' and not torch.cuda.is_available():
        pytest.skip('torch finds no CUDA device')
    return request.param


def stacked(images, size):
    return np.stack([resize_image(image, size) for image in images])


@pytest.mark.parametrize('name', sorted(set(BACKENDS) - {'tensorrt'}))  # has no CPU
def test_scale_one_without_flip_is_the_plain_run(name, images):
    pytest.importorskip(name, reason=f'{name} is not installed')
    segmenter = Segmenter.open(MODEL, name, 'cpu', SIZE, scales=[1], flip=False)
    wanted = segmenter.backend.run(stacked(images, SIZE), CAMERAS, True)
    found = segmenter(images, confidence=True)
    for prediction, (labels, confidence) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(prediction.labels, labels)
        np.testing.assert_array_equal(prediction.confidence, confidence)


def test_scale_one_without_flip_takes_no_other_way(images, monkeypatch):
    segmenter = Segmenter.open(MODEL, 'torch', 'cpu', SIZE)
    monkeypatch.setattr(segmenter.backend, 'run_averaged', None)
    assert segmenter(images[:1])[0].labels.shape == CAMERAS[0]


def test_a_mirrored_image_gives_exactly_mirrored_results(images, device):
    backend = Segmenter.open(MODEL, 'torch', device, SIZE).backend
    batches = [stacked(images, size) for size in SIZE_AT.values()]
    mirrored = [batch[:, :, ::-1] for batch in batches]
    odd = [(117, 163)] * 2
    found, other = (backend.run_averaged(each, odd, True, flip=True)
                    for each in (batches, mirrored))
    for (labels, confidence), (other_labels, other_confidence) in zip(found, other, strict=True):
        np.testing.assert_array_equal(labels, other_labels[:, ::-1])
        np.testing.assert_array_equal(confidence, other_confidence[:, ::-1])
    unflipped = [backend.run_averaged(each, odd)[0][0] for each in (batches, mirrored)]
    assert (unflipped[0] != unflipped[1][:, ::-1]).any()  # the network itself is not symmetric


def weights(wanted, coarse):
    """Give the bilinear weights (wanted, coarse) float64: half-pixel centres, clamped border."""
    matrix = np.zeros((wanted, coarse))
    for i in range(wanted):
        place = min(max((i + 0.5) * coarse / wanted - 0.5, 0), coarse - 1)
        low = int(place)
        matrix[i, low] += 1 - (place - low)
        matrix[i, min(low + 1, coarse - 1)] += place - low
    return matrix


def slow_mean(backend, batches, index, size, flip):
    """Give the mean probability (classes, height, width) float64 of one image, run by run."""
    runs = []
    for batch in batches:
        for mirror in (False, True)[:1 + flip]:
            pixels = batch[:, :, ::-1] if mirror else batch
            pixels = torch.from_numpy(pixels / np.float32(255)).permute(0, 3, 1, 2)
            with torch.inference_mode():
                logits = backend._network(
                    (pixels.to(backend.device) - backend._mean) / backend._std)[index]
            logits = logits.cpu().numpy().astype(np.float64)
            full = weights(size[0], logits.shape[1]) @ logits @ weights(
                size[1], logits.shape[2]).T
            powers = np.exp(full - full.max(0))
            probability = powers / powers.sum(0)
            runs.append(probability[:, :, ::-1] if mirror else probability)
    return np.mean(runs, 0)


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('scales', [(0.75,), (0.75, 1.0, 1.5)])
def test_labels_are_those_of_the_mean_probability(images, device, scales, flip):
    segmenter = Segmenter.open(MODEL, 'torch', device, SIZE, scales=scales, flip=flip)
    batches = [stacked(images, SIZE_AT[scale]) for scale in scales]
    found = segmenter(images, confidence=True)
    plain = Segmenter.open(MODEL, 'torch', device, SIZE)(images)
    for index, size in enumerate(CAMERAS):
        mean = slow_mean(segmenter.backend, batches, index, size, flip)
        wanted = mean.argmax(0)
        assert len(np.unique(wanted)) >= 4
        assert (plain[index].labels != wanted).mean() > 0.01  # or nothing would be averaged
        first, second = np.sort(mean, 0)[:-3:-1]
        differs = found[index].labels != wanted
        # Both start from the same logits, all within 6 of 0. Torch interpolates in float32, which
        # knows a place on the grid (below 49) to 4e-6 and so a logit to a few times that.
        assert (first - second)[differs].max(initial=0) < 2e-5
        assert np.abs(found[index].confidence - 255 * first).max() < 0.5 + 255 * 2e-5
        assert 0 < found[index].times_ms['decode'] < found[index].times_ms['inference']


def test_the_lowest_id_wins_a_tie():
    from frm_seg_ros.backends.torch_backend import average_labels
    torch.manual_seed(0)
    first, second = torch.randn(2, 11, 20, 30)
    first[4], second[4] = first[7], second[7]
    labels, none = average_labels([first], [second], (61, 83), False)
    assert {4} < set(np.unique(labels)) <= {*range(11)} - {7}
    assert none is None


def test_auto_takes_torch_and_says_why():
    segmenter = Segmenter.open(MODEL, 'auto', 'cpu', SIZE, flip=True)
    assert segmenter.backend.name == 'torch'
    assert segmenter.chosen == ('backend torch on cpu, which alone averages several runs; '
                                'precision float32, the fastest here')


REFUSED = [
    (['--scales', '0'], '0 is no scale: take one above 0 and at most 4'),
    (['--scales', '-1'], '-1 is no scale'),
    (['--scales', '1,nan'], 'nan is no scale'),
    (['--scales', '4.01'], '4.01 is no scale'),
    (['--scales', 'inf'], 'inf is no scale'),
    (['--size', '96x128', '--scales', '1,0.5'], 'the network size at scale 0.5 is 48x64'),
    (['--size', '1000x2000', '--scales', '4'], 'the network size at scale 4 is 4000x8000'),
    (['--backend', 'onnxruntime', '--flip'], 'backend onnxruntime runs at scale 1 only'),
    (['--backend', 'openvino', '--scales', '1,1.5'], 'choose backend torch'),
    (['--backend', 'paper', '--flip'], "no backend is called 'paper'"),
]


@pytest.mark.parametrize('options, words', REFUSED)
@pytest.mark.parametrize('command', ['eval', 'predict'])
def test_what_is_refused(command, options, words, tmp_path, capsys):
    line = [command, 'synthetic:1:1', '--model', str(MODEL), *options]
    assert cli.main([*line, '--out', str(tmp_path / 'out')] if command == 'predict' else line) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.startswith(f'frm-seg {command}: ') and said.count('\n') == 1


@pytest.mark.parametrize('text', ['x', '', '1,,2', '1 2'])
def test_what_is_no_list_of_numbers_is_refused(text, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(['eval', 'synthetic:1:1', '--scales', text])
    assert ended.value.code == 2
    assert 'is no list of numbers, such as 0.5,1,1.5' in capsys.readouterr().err


def test_no_scale_at_all_is_refused():
    with pytest.raises(ConfigError, match='there is no scale'):
        Segmenter.open(MODEL, scales=())


def test_eval_records_how_it_ran(tmp_path, capsys):
    file, report = tmp_path / 'scores.json', tmp_path / 'report.html'
    line = ['eval', 'synthetic:1:1', '--model', str(MODEL), '--device', 'cpu', '--size', '64x96',
            '--scales', '1,1.25', '--flip', '--json', str(file), '--report', str(report)]
    assert cli.main(line) == 0
    result = json.loads(file.read_text())
    assert (result['scales'], result['flip'], result['backend']) == ([1, 1.25], True, 'torch')
    assert ' --scales 1,1.25 --flip ' in result['command']
    assert (result['size'], result['precision']) == ([64, 96], 'float32')
    assert 'run at scales 1, 1.25, also mirrored\n' in capsys.readouterr().out
    assert 'scales 1, 1.25, also mirrored' in report.read_text()


@pytest.mark.parametrize('options, words', [
    (['--scales', '1.5', '--flip'], 'labelled at scale 1.5, also mirrored: '),
    ([], 'labelled at scale 1: '),
])
def test_predict_says_how_it_ran(options, words, tmp_path, images, capsys):
    out = tmp_path / 'out'
    line = ['predict', 'synthetic:1:1', '--model', str(MODEL), '--device', 'cpu',
            '--backend', 'torch', '--size', '64x96', '--out', str(out), *options]
    assert cli.main(line) == 0
    assert f'1 frames {words}{out}\n' in capsys.readouterr().out
