"""Turns, statistics, errors and the JSON of the benchmark; no speed is judged here."""
from __future__ import annotations

import json
import shlex
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_model import write_tiny_model

from frm_seg_ros import cli
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.model_card import ONNX, WEIGHTS, ModelCard
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.tools import benchmark as bench

SCENES = [np.full((4, 6, 3), value, np.uint8) for value in range(5)]
DECODE_MS, PRE_MS = 0.5, 2.0


class ScriptedSegmenter:
    """Tells the next of its `inference` times at each call, and notes the call in a shared log."""

    size = (64, 96)
    card = SimpleNamespace(name='scripted', trained_on='nothing', architecture={'width': 3},
                           files={ONNX: 'ab'})
    backend = SimpleNamespace(name='fake', device='cpu', precision='float32')

    def __init__(self, name, log, inference_ms=()):
        self.name, self.log, self.inference_ms = name, log, iter(inference_ms)

    def __call__(self, images):
        self.log.append((self.name, [int(image[0, 0, 0]) for image in images], images[0].shape))
        times = {'pre': PRE_MS, 'inference': next(self.inference_ms, 9.0), 'decode': DECODE_MS}
        return [Prediction(np.zeros((4, 6), np.uint8), None, times) for _ in images]


def script(timed):
    """Give what a segmenter tells: nonsense wherever a call must not count."""
    told = [1e6] * 2 * bench.WARM_UP_ROUNDS
    for milliseconds in timed:
        told += [1e6, milliseconds]
    return told


def test_each_round_begins_with_another_one_and_every_timed_call_follows_an_untimed_one():
    log = []
    bench.take_turns([ScriptedSegmenter(name, log) for name in 'abc'], SCENES, 1, 4)
    names = ''.join(name for name, _, _ in log)
    assert bench.WARM_UP_ROUNDS == 2
    assert names == 'aabbcc' 'bbccaa' 'ccaabb' 'aabbcc' 'bbccaa' 'ccaabb'


def test_all_candidates_of_a_round_get_the_same_images_and_the_next_round_the_next():
    log = []
    bench.take_turns([ScriptedSegmenter(name, log) for name in 'ab'], SCENES, 2, 3)
    assert [images for _, images, _ in log[::4]] == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 0]]
    for start in range(0, len(log), 4):
        assert len({tuple(images) for _, images, _ in log[start:start + 4]}) == 1


def test_stages_are_split_and_only_timed_calls_count(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(bench, 'time', SimpleNamespace(process_time=lambda: next(clock)))
    segmenter = ScriptedSegmenter('a', [], script([10.0, 30.0]))
    assert bench.take_turns([segmenter], SCENES, 1, 2) == [{
        'resize': [2.0, 2.0], 'network': [9.5, 29.5], 'decode': [0.5, 0.5],
        'total': [12.0, 32.0], 'cpu': [1000.0, 1000.0]}]


def test_median_p99_min_and_ratio_are_exact():
    # The squares of 0..100 and thrice that, mixed up; the 99th percentile of 0..100 is 99.
    first = [float((37 * i + 5) % 101) ** 2 for i in range(101)]
    second = [3 * value for value in first]
    result = bench.benchmark(
        [ScriptedSegmenter('a', [], script(first)), ScriptedSegmenter('b', [], script(second))],
        (4, 6), 1, 101, 'the command')
    one, two = result['candidates']
    assert one['ms']['total'] == {'median': 2502.0, 'p99': 9803.0, 'min': 2.0}
    assert two['ms']['network'] == {'median': 7499.5, 'p99': 29402.5, 'min': -0.5}
    assert one['ms']['resize'] == {'median': 2.0, 'p99': 2.0, 'min': 2.0}
    assert one['ratio'] == 1.0
    assert two['ratio'] == 7502 / 2502


def test_images_have_the_size_of_the_camera_and_are_rendered_streets():
    log = []
    bench.benchmark([ScriptedSegmenter('a', log)], (30, 50), 3, 1, '')
    assert {shape for _, _, shape in log} == {(30, 50, 3)}
    assert {len(images) for _, images, _ in log} == {3}
    assert len({value for _, images, _ in log for value in images}) > 3


def test_the_table_shows_what_was_measured():
    ms = {'resize': 1.0, 'network': 20.0, 'decode': 3.0, 'total': 24.0, 'cpu': 44.0}
    ms = {stage: {'median': value, 'p99': value + 0.5, 'min': value - 0.25}
          for stage, value in ms.items()}
    result = {
        'network_size': [360, 480], 'camera_size': [720, 1280], 'batch': 2, 'rounds': 7,
        'cpu': 'Abacus', 'cores': 8, 'allowed_cores': 3, 'cores_busy_with_others': 0.125,
        'candidates': [{'model': 'm', 'backend': 'b', 'device': 'cpu',
                        'precision': 'int8', 'ms': ms, 'ratio': 1.25}]}
    head, columns, row, machine = bench.benchmark_table(result).split('\n')
    assert 'network 360x480, camera 720x1280, batch 2, 7 rounds' in head
    assert columns.split() == ['model', 'backend', 'precision', 'resize', 'network', 'decode',
                               'total', 'p99', 'min', 'cpu', 'ratio']
    assert row.split() == ['m', 'b', 'cpu', 'int8', '1.00', '20.00', '3.00', '24.00', '24.50',
                           '23.75', '44.00', '1.25']
    assert len(columns) == len(row)
    assert machine == 'Abacus, 3 of 8 cores; other programs kept 0.12 cores busy meanwhile'
    result['cores_busy_with_others'] = None
    assert bench.benchmark_table(result).endswith('is not known')


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    pytest.importorskip('onnx', reason='onnx is not installed')
    return write_tiny_model(tmp_path_factory.mktemp('model') / 'tiny')  # runs at 96x128


def test_the_command_compares_models_and_backends_and_records_the_conditions(
        tiny, tmp_path, capsys):
    for name in ('openvino', 'onnxruntime'):
        pytest.importorskip(name)
    other = write_tiny_model(tmp_path / 'other', (64, 64))
    path = tmp_path / 'new' / 'result.json'
    line = ['bench', '--model', str(tiny), '--model', str(other), '--backend', 'onnxruntime',
            '--backend', 'openvino', '--camera', '50x70', '--batch', '2', '--rounds', '3',
            '--json', str(path)]
    assert cli.main(line) == 0
    result = json.loads(path.read_text())
    assert set(result) == {
        'command', 'date', 'cpu', 'cores', 'allowed_cores', 'platform', 'versions',
        'cores_busy_with_others', 'network_size', 'camera_size', 'batch', 'rounds',
        'warm_up_rounds', 'candidates', 'left_out'}
    assert result['left_out'] == []
    assert result['command'] == shlex.join(['frm-seg', *line])
    assert result['network_size'] == [96, 128]  # the first model's own
    assert (result['camera_size'], result['batch'], result['rounds']) == ([50, 70], 2, 3)
    assert {'python', 'numpy', 'cv2', 'numba', 'openvino', 'onnxruntime'} <= \
        set(result['versions'])
    assert [(each['model'], each['backend']) for each in result['candidates']] == [
        ('tiny', 'onnxruntime'), ('tiny', 'openvino'),
        ('other', 'onnxruntime'), ('other', 'openvino')]
    assert result['candidates'][0]['ratio'] == 1
    for each in result['candidates']:
        check_candidate(each, ModelCard.load(tiny).files)
    output = capsys.readouterr().out
    assert bench.benchmark_table(result) in output
    assert output.endswith(f'written: {path}\n')


def check_candidate(candidate, files):
    assert set(candidate) == {'model', 'trained_on', 'architecture', 'sha256', 'backend',
                              'device', 'precision', 'ms', 'ratio'}
    assert candidate['sha256'] == files
    assert set(candidate['ms']) == {'resize', 'network', 'decode', 'total', 'cpu'}
    for name, stage in candidate['ms'].items():
        assert 0 <= stage['min'] <= stage['median'] <= stage['p99'], name
    assert candidate['ms']['network']['min'] > 0
    assert candidate['ms']['decode']['min'] > 0


@pytest.mark.parametrize('asked, size', [((70, 90), (70, 90)), (None, (96, 128))])
def test_all_networks_run_at_one_size(tiny, tmp_path, monkeypatch, asked, size):
    other = write_tiny_model(tmp_path / 'other', (64, 64))
    monkeypatch.setattr(bench, 'benchmark',
                        lambda segmenters, *_: {'sizes': [each.size for each in segmenters]})
    result = bench.run_benchmark([str(tiny), str(other)], ['auto'], size=asked)
    assert result['sizes'] == [size, size]


def test_precisions_that_a_backend_does_not_do_are_left_out_of_several(tiny, tmp_path, capsys):
    path = tmp_path / 'result.json'
    line = ['bench', '--model', str(tiny), '--backend', 'onnxruntime', '--rounds', '1',
            '--json', str(path), '--precision', 'float16']
    assert cli.main([*line, '--precision', 'float32']) == 0
    result = json.loads(path.read_text())
    assert [each['precision'] for each in result['candidates']] == ['float32']
    assert len(result['left_out']) == 1
    assert 'left out: tiny, onnxruntime, float16: backend onnxruntime does not do float16' in \
        capsys.readouterr().out
    assert cli.main(line) == 2
    assert_sentence(capsys.readouterr().err, 'backend onnxruntime does not do float16')
    assert cli.main([*line, '--precision', 'int8']) == 2
    assert_sentence(capsys.readouterr().err, 'nothing is left to time: tiny, onnxruntime, float16')


def test_every_segmenter_is_closed_when_one_cannot_be_opened(tiny, monkeypatch):
    closed = []
    monkeypatch.setattr(bench.Segmenter, 'close', lambda self: closed.append(self))
    with pytest.raises(ValueError, match='no backend is called'):
        bench.run_benchmark([str(tiny)], ['auto', 'nonsense'])
    assert len(closed) == 1


@pytest.mark.parametrize('options, words', [
    ('--backend abacus', "no backend is called 'abacus': take one of auto, openvino"),
    ('--backend auto --backend abacus', "no backend is called 'abacus'"),
    ('--model nonsense', "there is no model 'nonsense': shipped are"),
    ('--device cuda --backend onnxruntime', 'device is cuda'),
    ('--size 8x8', 'the network size is 8x8: take one from 64x64'),
    ('--camera 0x40', 'the camera size is 0x40: take one from 1x1 to'),
    ('--camera 40x99999', 'the camera size is 40x99999'),
    ('--batch 0', 'batch is 0: take 1 or more'),
    ('--rounds -1', 'rounds is -1: take 1 or more'),
])
def test_what_is_refused(tiny, options, words, capsys):
    pytest.importorskip('onnxruntime')
    line = ['bench', *options.split()]
    assert cli.main(line if '--model' in line else [*line, '--model', str(tiny)]) == 2
    assert_sentence(capsys.readouterr().err, words)


def test_a_backend_that_is_not_installed_is_refused_not_skipped(tiny, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    monkeypatch.delitem(sys.modules, 'frm_seg_ros.backends.openvino_backend', raising=False)
    assert cli.main(['bench', '--model', str(tiny), '--backend', 'openvino']) == 2
    assert_sentence(capsys.readouterr().err,
                    'backend openvino needs a package that is not installed')


def assert_sentence(text, words):
    assert text.startswith('frm-seg bench: ')
    assert words in text
    assert text.count('\n') == 1 and text.endswith('\n')


def test_a_variant_with_random_weights_runs_as_a_model(tmp_path, capsys):
    for name in ('torch', 'onnx', 'onnxruntime'):
        pytest.importorskip(name)
    model, path = 'random:frm_b0_fast,pyramid_width=32,smooth=false', tmp_path / 'result.json'
    line = ['bench', '--model', model, '--backend', 'onnxruntime', '--backend', 'torch',
            '--size', '64x64', '--camera', '64x64', '--rounds', '1', '--json', str(path)]
    assert cli.main(line) == 0
    for each in json.loads(path.read_text())['candidates']:
        assert each['model'] == model
        assert each['trained_on'] == 'nothing: random weights'
        architecture = each['architecture']
        assert (architecture['pyramid_width'], architecture['smooth']) == (32, False)
        assert (architecture['head_width'], architecture['classes']) == (64, 11)
    assert model in capsys.readouterr().out


def test_random_weights_follow_the_seed(tmp_path):
    for name in ('torch', 'onnx'):
        pytest.importorskip(name)
    from frm_seg_ros.tools.random_model import export_random
    cards = [export_random('frm_b0_fast', tmp_path / str(index), seed)
             for index, seed in enumerate((0, 0, 1))]
    assert cards[0].files == cards[1].files == ModelCard.load(tmp_path / '0').files
    assert cards[0].files[WEIGHTS] != cards[2].files[WEIGHTS]


def test_random_models_may_have_any_number_of_classes(tmp_path):
    for name in ('torch', 'onnx', 'onnxruntime'):
        pytest.importorskip(name)
    from frm_seg_ros.tools.random_model import export_random
    export_random('frm_b0_fast,classes=40', tmp_path)
    segmenter = Segmenter.open(tmp_path, 'onnxruntime', size=(64, 64))
    assert len(segmenter.label_space.classes) == 40
    assert len(np.unique(segmenter.label_space.palette[:40], axis=0)) == 40
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    labels = segmenter([image])[0].labels
    assert labels.shape == (64, 64) and labels.max() < 40


@pytest.mark.parametrize('model, words', [
    ('frm_b9', "no variant is called 'frm_b9': take one of frm_b0"),
    ('frm_b0_fast,depth=3', "'depth=3' is no KEY=VALUE of the variant frm_b0_fast: its keys are"),
    ('frm_b0_fast,smooth=[', "'smooth=[' is no KEY=VALUE"),
    ('frm_b0_fast,ffn_ratio=0', 'no network can be built from'),
    ('frm_b0_fast,pyramid_width=wide', 'no network can be built from'),
    ('frm_b0_fast,pyramid_width=-1', 'no network can be built from'),
    ('frm_b0_fast,attention_width=0', 'no network can be built from'),
    ('frm_b0_fast,classes=many', 'no network can be built from'),
    ('frm_b0_fast,classes=0', 'classes is 0, wanted 1 to 255'),
    ('frm_b0_fast,classes=256', 'classes is 256, wanted 1 to 255'),
])
@pytest.mark.filterwarnings('ignore:Initializing zero-element tensors')
def test_random_variants_that_cannot_be(model, words, capsys):
    for name in ('torch', 'onnx'):
        pytest.importorskip(name)
    assert cli.main(['bench', '--model', f'random:{model}']) == 2
    assert_sentence(capsys.readouterr().err, words)
