"""Networks from elsewhere become models that give their right labels, or are refused."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from data_trees import write_robot  # noqa: E402
from foreign_onnx import MEAN, SIZE, STD, import_options, write_foreign  # noqa: E402

from frm_seg_ros import cli  # noqa: E402
from frm_seg_ros.backends import base  # noqa: E402
from frm_seg_ros.backends.base import open_backend  # noqa: E402
from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.label_space import LabelSpace  # noqa: E402
from frm_seg_ros.core.model_card import ModelCard  # noqa: E402
from frm_seg_ros.segmenter import Segmenter  # noqa: E402
from frm_seg_ros.tools.import_model import import_model  # noqa: E402

PALETTE = LabelSpace.load('camvid').palette


def imported(tmp_path: Path, gives: str = 'logits', changes: dict | None = None,
             **network: object) -> ModelCard:
    """Import a network; the card is the one that everybody reads."""
    file = write_foreign(tmp_path / 'network.onnx', gives, **network)
    card, shares = import_model(import_options(tmp_path, file, **(changes or {})))
    assert sum(shares.values()) == pytest.approx(1)
    for path in (file, file.with_name('network.onnx.data')):
        path.unlink(missing_ok=True)   # the model needs nothing beside its folder
    found = ModelCard.load(tmp_path / 'model')
    assert found == card
    graph = onnx.load(found.file('model.onnx')).graph
    assert [value.name for value in graph.input] == ['images']
    assert [value.name for value in graph.output] == [found.architecture['imported']]
    return found


def painted(stride: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Paint each cell of the output in the colour of a class; give image and truth by cell."""
    truth = np.random.default_rng(seed).integers(0, 11, (SIZE[0] // stride, SIZE[1] // stride))
    return PALETTE[truth].repeat(stride, 0).repeat(stride, 1), truth


def assert_right(card: ModelCard, backend: str, stride: int, count: int = 2) -> None:
    """Hold the labels of every cell against the colours that were painted."""
    images, truths = zip(*(painted(stride, seed) for seed in range(count)))
    opened, _ = open_backend(backend, card, 'cpu')
    # At the size of the output, nothing is interpolated.
    for batch, wanted in [(images, truths)] if not card.one_by_one else zip(
            ([image] for image in images), ([truth] for truth in truths)):
        found = opened.run(np.stack(batch), [truth.shape for truth in wanted], True)
        for (labels, confidence), truth in zip(found, wanted):
            np.testing.assert_array_equal(labels, truth)
            assert (confidence is not None) == card.has_confidence
    opened.close()


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('stride', [1, 4, 8, 32])
@pytest.mark.parametrize('gives', ['logits', 'probabilities', 'labels', 'channel'])
def test_every_cell_gets_its_label(tmp_path, gives, stride, backend):
    pytest.importorskip(backend)
    card = imported(tmp_path, gives, stride=stride)
    labels = gives in ('labels', 'channel')
    assert card.architecture == {'imported': 'labels' if labels else 'logits', 'sizes': 'any',
                                 'batch': 'any'}
    assert_right(card, backend, stride)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('network', [
    {'half': True}, {'bgr': True}, {'half': True, 'bgr': True}, {'external': True},
    {'opset': 9}, {'opset': 9, 'gives': 'channel'}, {'half': True, 'gives': 'labels'}], ids=str)
def test_other_inputs_weights_and_opsets(tmp_path, network, backend):
    pytest.importorskip(backend)
    card = imported(tmp_path, changes={'bgr': network.get('bgr', False)}, **network)
    assert_right(card, backend, 4)
    assert set(card.files) == {'model.onnx'}


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize(('shape', 'sizes', 'batch'), [
    ((1, 3, 96, 128), 'fixed', 'one'), ((1, 3, 'H', 'W'), 'any', 'one'),
    (('N', 3, 96, 128), 'fixed', 'any'), (('N', 'C', 'H', 'W'), 'any', 'any')], ids=str)
def test_fixed_shapes(tmp_path, shape, sizes, batch, backend):
    pytest.importorskip(backend)
    card = imported(tmp_path, 'channel', stride=8, shape=shape)
    assert card.architecture == {'imported': 'labels', 'sizes': sizes, 'batch': batch}
    segmenter = Segmenter(card, backend, 'cpu')
    images, truths = zip(*(painted(8, seed) for seed in range(3)))
    for prediction, truth in zip(segmenter(images, confidence=True), truths, strict=True):
        np.testing.assert_array_equal(prediction.labels, truth.repeat(8, 0).repeat(8, 1))
        assert prediction.confidence is None
    segmenter.close()
    if sizes == 'fixed':
        with pytest.raises(ConfigError, match='model network runs at 96x128 only'):
            Segmenter(card, backend, 'cpu', (192, 256))
    else:
        Segmenter(card, backend, 'cpu', (192, 256))([images[0]])


@pytest.mark.parametrize(('gives', 'sizes'), [('baked', 'fixed'), ('first', 'any')])
def test_what_a_file_tells_of_its_axes_is_tried(tmp_path, gives, sizes):
    card = imported(tmp_path, gives)
    assert card.architecture == {'imported': 'logits', 'sizes': sizes, 'batch': 'one'}
    segmenter = Segmenter(card, 'onnxruntime', 'cpu')
    images, truths = zip(*(painted(4, seed) for seed in range(2)))
    for prediction, truth in zip(segmenter(images), truths):
        # In the middle of its cell a pixel is all but its class's own.
        assert (prediction.labels[1::4, 1::4] == truth).mean() > 0.5


def test_auto_does_not_take_torch_though_it_has_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(base, '_torch_sees_cuda', lambda: True)
    monkeypatch.setattr(base, 'which', lambda name: f'/usr/bin/{name}', raising=False)
    backend, _ = open_backend('auto', imported(tmp_path))
    assert backend.name in ('openvino', 'onnxruntime')
    with pytest.raises(ConfigError, match='was imported as an ONNX file, so torch cannot run it'):
        Segmenter.open(tmp_path / 'model', scales=(0.75, 1.0))


def test_the_time_of_decoding_is_that_of_all_images(tmp_path, monkeypatch):
    card = imported(tmp_path, shape=(1, 3, 96, 128))
    segmenter = Segmenter(card, 'onnxruntime', 'cpu')
    calls = []

    def run(images, sizes, confidence):
        calls.append(len(images))
        segmenter.backend.decode_ms = 2.0 ** len(calls)
        return [(np.zeros(size, np.uint8), None) for size in sizes]

    monkeypatch.setattr(segmenter.backend, 'run', run)
    (first, *_) = segmenter([painted(4, seed)[0] for seed in range(3)])
    assert calls == [1, 1, 1]
    assert first.times_ms['decode'] == 2 + 4 + 8


def test_probabilities_are_taken_for_what_they_are(tmp_path):
    found = []
    for gives in ('logits', 'probabilities'):
        (tmp_path / gives).mkdir()
        card = imported(tmp_path / gives, gives)
        backend, _ = open_backend('onnxruntime', card, 'cpu')
        found += backend.run(np.stack([painted(4, 0)[0]]), [(24, 32)], True)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert len(np.unique(found[0][1])) > 5
    # Rounded to whole steps of a float32 value each.
    assert np.abs(found[0][1].astype(int) - found[1][1]).max() <= 1


def test_the_output_that_is_named_is_taken(tmp_path):
    for name, gives in (('scores', 'logits'), ('labels', 'labels')):
        (tmp_path / name).mkdir()
        card = imported(tmp_path / name, 'both', changes={'output': name})
        assert card.architecture['imported'] == gives
        assert_right(card, 'onnxruntime', 4)


def test_names_of_ours_that_are_taken_inside_make_room(tmp_path):
    """The file calls its input `logits`, its scores `images`, and what a branch takes `labels`."""
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    file = write_foreign(tmp_path / 'network.onnx')
    model = onnx.load(file)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [{'images': 'logits', 'scores': 'images'}.get(name, name)
                        for name in names]
    model.graph.input[0].name = 'logits'
    kind = onnx.TensorProto.FLOAT
    branches = [onnx.helper.make_graph([make('Identity', ['labels'], [f'{name}_out'])], name, [],
                                       [value(f'{name}_out', kind, None)])
                for name in ('yes', 'no')]
    model.graph.initializer.append(onnx.helper.make_tensor('true', onnx.TensorProto.BOOL, [], [1]))
    model.graph.node.extend([
        make('Identity', ['images'], ['labels']),
        make('If', ['true'], ['final'], then_branch=branches[0], else_branch=branches[1])])
    model.graph.output[0].name = 'final'
    onnx.save(model, file)
    card, _ = import_model(import_options(tmp_path, file))
    for backend in ('onnxruntime', 'openvino'):
        pytest.importorskip(backend)
        assert_right(card, backend, 4)


def test_what_the_card_tells(tmp_path):
    file = write_foreign(tmp_path / 'network.onnx')
    given = import_options(tmp_path, file, name='mine', licence='research only',
                           command='frm-seg import')
    card, shares = import_model(given)
    assert (card.name, card.input_size, card.mean, card.std) == ('mine', SIZE, MEAN, STD)
    assert (card.label_space, card.licence) == ('camvid', 'research only')
    assert card.command == 'not told: imported by frm-seg import'
    assert card.trained_on.startswith('not told: imported from network.onnx, SHA-256 ')
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert (card.folder.stat().st_mode & 0o777) == (tmp_path.stat().st_mode | 0o055) & 0o755


def test_a_label_space_of_its_own_is_kept_with_it(tmp_path):
    labels = write_robot(tmp_path / 'robot')
    file = write_foreign(tmp_path / 'network.onnx')
    with pytest.raises(ConfigError, match='the output scores has 11 classes, the label space '
                                          'robot has 3: name the label space'):
        import_model(import_options(tmp_path, file, labels=str(labels)))
    eleven = tmp_path / 'eleven.yaml'
    eleven.write_text(LabelSpace.load('camvid').to_yaml().replace('name: camvid', 'name: own'))
    card, _ = import_model(import_options(tmp_path, file, labels=str(eleven)))
    eleven.unlink()
    assert set(card.files) == {'labels.yaml', 'model.onnx'}
    assert Segmenter(card, 'onnxruntime').label_space.name == 'own'


def test_a_network_that_does_not_fit_into_one_file_leaves_nothing(tmp_path, monkeypatch):
    file = write_foreign(tmp_path / 'network.onnx')

    def refuse(*args, **more):
        raise ValueError('the message is too large')   # as protobuf does above 2 GiB

    monkeypatch.setattr(onnx, 'save', refuse)
    with pytest.raises(ConfigError, match='cannot be written as one file, which ends at 2 GiB'):
        import_model(import_options(tmp_path, file))
    assert [path.name for path in tmp_path.iterdir()] == ['network.onnx']


def test_a_folder_that_is_there_is_kept(tmp_path):
    file = write_foreign(tmp_path / 'network.onnx')
    (tmp_path / 'model').mkdir()
    import_model(import_options(tmp_path, file))     # an empty one is as good as none
    before = (tmp_path / 'model' / 'card.yaml').read_text()
    with pytest.raises(ConfigError, match='model is there already: remove it, or name another'):
        import_model(import_options(tmp_path, file, name='other'))
    assert (tmp_path / 'model' / 'card.yaml').read_text() == before


@pytest.mark.parametrize('gives', ['logits', 'channel'])
def test_it_goes_through_every_command(tmp_path, gives, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_foreign(tmp_path / 'network.onnx', gives, shape=(1, 3, 96, 128))
    assert cli.main(['import', 'network.onnx', '--labels', 'camvid', '--size', '96x128', '--mean',
                     '0.4,0.5,0.3', '--std', '0.25,0.2,0.3']) == 0
    told = capsys.readouterr().out
    kind = 'logits' if gives == 'logits' else 'labels, so there is no confidence'
    assert f'it takes 96x128 only and one image at a time, and gives {kind}\n' in told
    assert 'the first frame of synthetic:11:1: ' in told
    assert told.endswith('written: network\n')
    model = ['--model', './network', '--backend', 'onnxruntime']
    assert cli.main(['eval', 'synthetic:11:2', *model, '--json', 'run.json', '--report',
                     'run.html']) == 0
    result = json.loads((tmp_path / 'run.json').read_text())
    assert (result['model'], result['frames']) == ('network', 2)
    assert (result['calibration'] is None) == (gives == 'channel')
    assert cli.main(['predict', 'synthetic:11:2', *model, '--out', 'labelled']) == 0
    assert len(list((tmp_path / 'labelled' / 'labels').iterdir())) == 2
    assert cli.main(['bench', *model, '--rounds', '1', '--batch', '2']) == 0
    capsys.readouterr()
    for line, words in ([['eval', 'synthetic:11:1', '--model', './network', '--size', '128x160'],
                         'network runs at 96x128 only'],
                        [['predict', 'synthetic:11:1', '--model', './network', '--out', 'x',
                          '--backend', 'torch'], 'was imported as an ONNX file'],
                        [['export', './network', '--to', 'onnx'], 'is one already'],
                        [['bench', '--model', './network', '--size', '128x160'],
                         'network runs at 96x128 only']):
        assert cli.main(line) == 2
        assert words in capsys.readouterr().err
