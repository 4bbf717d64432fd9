"""Export agrees with torch or writes nothing; weights are stored once."""
from dataclasses import replace

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from hand_made_network import write_hand_made  # noqa: E402

from frm_seg_ros import cli  # noqa: E402
from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.files import sha256  # noqa: E402
from frm_seg_ros.core.model_card import INT8, ONNX, WEIGHTS, ModelCard  # noqa: E402
from frm_seg_ros.tools import export  # noqa: E402


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return write_hand_made(tmp_path_factory.mktemp('hand_made'))


def test_export_to_another_folder_is_a_model_of_its_own(model, tmp_path):
    before = sorted(path.name for path in model.iterdir())
    folder = export.export_model(model, tmp_path / 'exported', 'synthetic:11:1')
    assert sorted(path.name for path in model.iterdir()) == before
    card = ModelCard.load(folder)
    card.check_files()
    assert set(card.files) == {WEIGHTS, ONNX}
    assert card.files[WEIGHTS] == ModelCard.load(model).files[WEIGHTS]
    graph = onnx.load(folder / ONNX, load_external_data=False)
    assert (graph.opset_import[0].version, graph.ir_version) == (17, 8)
    shapes = [[side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
              for value in (*graph.graph.input, *graph.graph.output)]
    assert shapes == [['N', 3, 'H', 'W'], ['N', 11, 'h', 'w']]
    places = {entry.value for tensor in graph.graph.initializer
              for entry in tensor.external_data if entry.key == 'location'}
    assert places == {WEIGHTS}
    assert (folder / ONNX).stat().st_size < 0.05 * (folder / WEIGHTS).stat().st_size


def test_every_initializer_reads_back_as_the_tensor_of_its_name(model, tmp_path):
    from onnx import numpy_helper
    from safetensors.numpy import load_file
    folder = export.export_model(model, tmp_path / 'exported', 'synthetic:11:1')
    tensors = load_file(folder / WEIGHTS)
    graph = onnx.load(folder / ONNX)  # with external data
    assert len(graph.graph.initializer) > 40  # equal tensors are stored under one name
    for initializer in graph.graph.initializer:
        stored = tensors[initializer.name.removesuffix('.float16')]
        assert (numpy_helper.to_array(initializer) == stored).all(), initializer.name


def test_an_int8_file_of_the_graph_before_goes(tmp_path):
    folder = write_hand_made(tmp_path)
    (folder / INT8).write_bytes(b'of another graph')
    figures = {'source': 's', 'frames': 1, 'miou': 0.5, 'float32_miou': 0.5, 'backend': 'openvino',
               'command': 'c'}
    card = ModelCard.load(folder)
    replace(card, files={**card.files, INT8: sha256(folder / INT8)},
            precisions={'int8': [figures], 'bfloat16': [dict(figures)]}).save()
    export.export_model(folder, None, 'synthetic:11:1')
    card = ModelCard.load(folder)
    assert set(card.files) == {WEIGHTS, ONNX} and not (folder / INT8).exists()
    assert card.precisions == {'bfloat16': [figures]}   # the weights are the same


def negative_relu(model):
    for node in model.graph.node:
        if node.op_type == 'Relu':
            node.op_type = 'Neg'


def louder(model):
    """Double the logits: the same labels, another confidence."""
    add_at_the_end(model, 'Add', 'logits', 'logits')


def of_another_size(model):
    """Spoil the logits of images that are not 96x128 alone."""
    add = model.graph.node.extend
    make = onnx.helper.make_node
    for name, dims, values in (('frm_size', [2], [96, 128]), ('frm_places', [2], [2, 3]),
                               ('frm_true', [], [1])):
        model.graph.initializer.append(
            onnx.helper.make_tensor(name, onnx.TensorProto.INT64, dims, values))
    add([make('Shape', ['images'], ['frm_shape']),
         make('Gather', ['frm_shape', 'frm_places'], ['frm_found'], axis=0),
         make('Equal', ['frm_found', 'frm_size'], ['frm_equal']),
         make('Cast', ['frm_equal'], ['frm_both'], to=onnx.TensorProto.FLOAT),
         make('ReduceProd', ['frm_both'], ['frm_sign'], axes=[0], keepdims=0)])
    add_at_the_end(model, 'Mul', 'logits', 'frm_sign')


def of_one_size_only(model):
    """Fail at any other size than 96x128."""
    model.graph.initializer.append(
        onnx.helper.make_tensor('frm_shape', onnx.TensorProto.INT64, [4], [-1, 11, 24, 32]))
    add_at_the_end(model, 'Reshape', 'logits', 'frm_shape')


def of_one_image_only(model):
    """Give both images of a batch the logits of the first."""
    for name, value in (('frm_from', 0), ('frm_to', 1)):
        model.graph.initializer.append(
            onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [1], [value]))
    make = onnx.helper.make_node
    model.graph.node.extend([
        make('Slice', ['logits', 'frm_from', 'frm_to', 'frm_from'], ['frm_first']),
        make('Sub', ['logits', 'logits'], ['frm_zero'])])
    add_at_the_end(model, 'Add', 'frm_zero', 'frm_first')


def add_at_the_end(model, operator, first, second):
    model.graph.node.append(onnx.helper.make_node(operator, [first, second], ['frm_tampered']))
    model.graph.output[0].name = 'frm_tampered'


@pytest.mark.parametrize(('tamper', 'words'), [
    (negative_relu, 'disagrees with torch at 96x128'),
    (louder, 'disagrees with torch at 96x128: 100.00% of the labels are equal .* confidence '
             'differs by up to [1-9]'),
    (of_another_size, 'disagrees with torch at 73x97'),
    (of_one_size_only, 'does not run at 73x97'),
    (of_one_image_only, 'disagrees with torch at 96x128')])
def test_nothing_is_written_when_the_export_disagrees(model, tmp_path, monkeypatch, tamper, words):
    original = export.to_onnx

    def damaged(card):
        result = original(card)
        tamper(result)
        return result

    monkeypatch.setattr(export, 'to_onnx', damaged)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    for out in (tmp_path / 'exported', None):
        with pytest.raises(ConfigError, match=f'the export {words}.*nothing was written'):
            export.export_model(model, out, 'synthetic:11:2')
    assert not list(tmp_path.iterdir())
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_the_sizes_that_are_asked_for_are_compared(model, tmp_path, monkeypatch):
    compared = []
    original = export._compare_batch

    def note(reference, exported, frames, size):
        compared.append((len(frames), size))
        original(reference, exported, frames, size)

    monkeypatch.setattr(export, '_compare_batch', note)
    export.export_model(model, tmp_path / 'a', 'synthetic:11:3')
    assert compared == [(2, (96, 128)), (2, (73, 97)), (1, (96, 128)), (1, (73, 97))]
    compared.clear()
    assert cli.main(['export', str(model), '--to', 'onnx', '--out', str(tmp_path / 'b'), '--check',
                     'synthetic:11:1', '--size', '64x96', '--size', '101x77']) == 0
    assert compared == [(1, (64, 96)), (1, (101, 77))]


@pytest.mark.parametrize(('size', 'odd'), [((360, 480), (271, 361)), ((64, 80), (65, 65))])
def test_the_odd_size_is_odd_and_large_enough(size, odd):
    assert export._odd_size(size) == odd


def test_without_frames_or_with_a_wrong_size_nothing_is_written(model, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match='the network size is 10x10: take one from 64x64'):
        export.export_model(model, tmp_path / 'exported', 'synthetic:11:1', [(10, 10)])
    monkeypatch.setattr(export, 'open_source', lambda text: [])
    with pytest.raises(ConfigError, match='synthetic:11:1 has no frame to compare on'):
        export.export_model(model, tmp_path / 'exported', 'synthetic:11:1')
    assert not list(tmp_path.iterdir())


def test_a_model_without_weights_is_refused(tmp_path):
    from tiny_model import write_tiny_model
    with pytest.raises(ConfigError, match=r'lists no file weights.safetensors'):
        export.export_model(write_tiny_model(tmp_path / 'tiny'), None, 'synthetic:11:1')
