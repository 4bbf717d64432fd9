"""Quantising a model, measuring it, and what its card says afterwards."""
from dataclasses import replace

import numpy as np
import pytest
from tiny_model import write_tiny_model

from frm_seg_ros import cli
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import INT8, ModelCard
from frm_seg_ros.segmenter import Segmenter
from frm_seg_ros.tools import precisions as module
from frm_seg_ros.tools.evaluate import run_evaluation

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
for runtime in ('onnxruntime', 'openvino'):
    pytest.importorskip(runtime)
CALIBRATE, MEASURE = 'synthetic:5:6', 'synthetic:6:2'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return write_tiny_model(tmp_path / 'tiny')


def command(folder, *options):
    return ['precisions', str(folder), '--measure', MEASURE, *options]


def painted(card):
    """Paint blocks of 32 pixels in the colours of the classes; give the true labels too."""
    truth = np.zeros((96, 128), np.uint8)
    for block in range(12):
        row, column = divmod(block, 4)
        truth[32 * row:32 * row + 32, 32 * column:32 * column + 32] = block % 11
    return card.load_label_space().palette[truth], truth


def test_int8_is_made_measured_and_offered(folder, capsys):
    assert cli.main(command(folder, '--calibrate', CALIBRATE, '--frames', '4')) == 0
    card = ModelCard.load(folder)
    card.check_files()
    figures, = card.precisions['int8']
    assert figures['miou'] == round(
        run_evaluation(MEASURE, str(folder), backend='openvino', precision='int8')['miou'], 4)
    assert figures['float32_miou'] == card.precisions['float32'][0]['miou'] == round(
        run_evaluation(MEASURE, str(folder), backend='openvino', precision='float32')['miou'], 4)
    assert (figures['source'], figures['frames'], figures['backend']) == (MEASURE, 2, 'openvino')
    assert figures['command'].startswith('frm-seg precisions ')
    assert f'int8 is offered: {folder / INT8}\n' in capsys.readouterr().out


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime'])
def test_the_quantised_network_gives_the_right_answer(folder, backend):
    module.measure_precisions(str(folder), [CALIBRATE], [MEASURE], frames=6)
    segmenter = Segmenter.open(folder, backend, precision='int8')
    image, truth = painted(segmenter.card)
    labels = segmenter([image])[0].labels
    inside = np.zeros((32, 32), bool)
    inside[4:-4, 4:-4] = True   # the network sees blocks of 4 pixels
    inside = np.tile(inside, (3, 4))
    assert np.array_equal(labels[inside], truth[inside])
    model = onnx.load(folder / INT8)
    convolution = next(node for node in model.graph.node if node.op_type == 'Conv')
    made_by = {node.output[0]: node.op_type for node in model.graph.node}
    assert [made_by.get(name) for name in convolution.input[:2]] == ['DequantizeLinear'] * 2
    assert {entry.domain for entry in model.opset_import} == {''}
    segmenter.close()


def test_int8_that_costs_too_much_is_taken_away(folder, monkeypatch, capsys):
    module.measure_precisions(str(folder), [CALIBRATE], [MEASURE], frames=2)
    assert INT8 in ModelCard.load(folder).files
    real = module.run_evaluation

    def worse(*args, **options):
        lost = 0.01 if options['precision'] == 'int8' else 0
        result = real(*args, **options)
        return {**result, 'miou': 0.5 - lost}
    monkeypatch.setattr(module, 'run_evaluation', worse)
    assert cli.main(command(folder)) == 0
    card = ModelCard.load(folder)
    card.check_files()
    assert INT8 not in card.files and 'int8' not in card.precisions
    assert card.precisions['float32'][0]['miou'] == 0.5
    assert not (folder / INT8).exists()
    assert 'int8 is not offered: its mIoU is 1.00 points under' in capsys.readouterr().out
    assert ModelCard.load(folder).file('model.onnx').is_file()


def test_the_worst_of_several_sources_decides(folder, monkeypatch, capsys):
    real = module.run_evaluation

    def worse_on_one(source, *args, **options):
        lost = 0.02 if options['precision'] == 'int8' and source == 'synthetic:7:2' else 0
        return {**real(source, *args, **options), 'miou': 0.5 - lost}
    monkeypatch.setattr(module, 'run_evaluation', worse_on_one)
    assert cli.main(command(folder, 'synthetic:7:2', '--calibrate', CALIBRATE, 'synthetic:8:3')
                    ) == 0
    card = ModelCard.load(folder)
    assert [row['source'] for row in card.precisions['bfloat16' if 'bfloat16' in card.precisions
                                                     else 'float32']] == [MEASURE, 'synthetic:7:2']
    assert 'int8' not in card.precisions and INT8 not in card.files
    assert 'int8 is not offered: its mIoU is 2.00 points under' in capsys.readouterr().out


def test_without_frames_to_quantise_by_int8_stays_as_it_is(folder):
    assert 'int8 was not measured' in module.measure_precisions(str(folder), [], [MEASURE])[-1]
    module.measure_precisions(str(folder), [CALIBRATE], [MEASURE], frames=2)
    before = ModelCard.load(folder)
    lines = module.measure_precisions(str(folder), [], [MEASURE], backend='onnxruntime')
    after = ModelCard.load(folder)
    assert after.files == before.files
    assert after.precisions['int8'][0]['backend'] == 'onnxruntime'
    assert lines[-1].startswith('int8 is offered')


def test_figures_of_another_backend_stay(folder):
    card = ModelCard.load(folder)
    other = {'source': 'elsewhere', 'frames': 9, 'miou': 0.4, 'float32_miou': 0.4,
             'backend': 'torch', 'command': 'there'}
    replace(card, precisions={'float16': [other]}).save()
    module.measure_precisions(str(folder), [], [MEASURE], backend='onnxruntime')
    assert ModelCard.load(folder).precisions['float16'] == [other]


def test_what_is_refused(folder):
    card = ModelCard.load(folder)
    with pytest.raises(ConfigError, match='frames is 0: take 1 or more'):
        module.measure_precisions(str(folder), [CALIBRATE], [MEASURE], frames=0)
    (folder / 'model.onnx').rename(folder / 'weights.safetensors')
    replace(card, files={'weights.safetensors': card.files['model.onnx']}).save()
    with pytest.raises(ConfigError, match=r'has no model.onnx to quantise: export it first'):
        module.measure_precisions(str(folder), [CALIBRATE], [MEASURE])


def test_frames_are_evenly_spread():
    from frm_seg_ros.tools.quantise import evenly_spread
    assert evenly_spread(367, 4) == {0, 122, 244, 366}
    assert evenly_spread(3, 64) == {0, 1, 2}
