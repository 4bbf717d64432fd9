"""Export agrees with torch or writes nothing; weights are stored once."""
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from hand_made_network import write_hand_made  # noqa: E402

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.core.model_card import ONNX, WEIGHTS, ModelCard  # noqa: E402
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


def test_nothing_is_written_when_the_export_disagrees(model, tmp_path, monkeypatch):
    original = export.to_onnx

    def damaged(card):
        result = original(card)
        # A graph that loads and is wrong.
        for node in result.graph.node:
            if node.op_type == 'Relu':
                node.op_type = 'Neg'
        return result

    monkeypatch.setattr(export, 'to_onnx', damaged)
    with pytest.raises(ConfigError, match='the export disagrees with torch at 96x128'):
        export.export_model(model, tmp_path / 'exported', 'synthetic:11:1')
    assert not (tmp_path / 'exported').exists()
    assert not (model / ONNX).exists()


def test_a_model_without_weights_is_refused(tmp_path):
    from tiny_model import write_tiny_model
    with pytest.raises(ConfigError, match=r'lists no file weights.safetensors'):
        export.export_model(write_tiny_model(tmp_path / 'tiny'), None, 'synthetic:11:1')
