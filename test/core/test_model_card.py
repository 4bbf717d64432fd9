"""Cards: every field required, files held to their hashes."""
import pytest
import yaml
from data_trees import write_robot
from tiny_model import write_tiny_model

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip('onnx')
    return write_tiny_model(tmp_path / 'tiny')


IMPORTED = {'imported': 'logits', 'sizes': 'any', 'batch': 'any'}


def change(folder, **facts):
    path = folder / 'card.yaml'
    card = yaml.safe_load(path.read_text())
    card.update(facts)
    card = {key: value for key, value in card.items() if value is not None}
    path.write_text(yaml.safe_dump(card))


def test_what_is_saved_is_loaded(folder):
    card = ModelCard.load(folder)
    assert (card.name, card.input_size, card.std) == ('tiny', (96, 128), (1.0, 1.0, 1.0))
    card.save()
    assert ModelCard.load(folder / 'card.yaml') == card


def test_hash_is_enforced(folder):
    (folder / 'model.onnx').write_bytes(b'something else')
    card = ModelCard.load(folder)
    with pytest.raises(ConfigError, match='has the SHA-256 .* its card wants .* restore it'):
        card.file('model.onnx')
    (folder / 'model.onnx').unlink()
    with pytest.raises(ConfigError, match='has no file'):
        card.check_files()
    with pytest.raises(ConfigError, match='lists no file other.bin'):
        card.file('other.bin')


def test_a_label_space_of_its_own_comes_before_a_shipped_one(folder, tmp_path):
    assert ModelCard.load(folder).load_label_space().names[:2] == ['sky', 'building']
    labels = write_robot(tmp_path / 'robot')
    card = ModelCard.load(write_tiny_model(tmp_path / 'own', label_space=str(labels)))
    assert card.label_space == 'robot'
    labels.unlink()     # the model holds its own copy
    assert card.load_label_space().names == ['floor', 'obstacle', 'person']
    (card.folder / 'labels.yaml').write_text('name: other')
    with pytest.raises(ConfigError, match='labels.yaml has the SHA-256'):
        card.load_label_space()


@pytest.mark.parametrize(('facts', 'words'), [
    ({'licence': None}, 'missing: licence; unknown: nothing'),
    ({'precison': 'f16'}, 'missing: nothing; unknown: precison'),
    ({'files': {'../model.onnx': 64 * 'a'}}, 'plain file name'),
    ({'files': {'model.onnx': 'abc'}}, '64 hexadecimal digits'),
    ({'files': {'notes.txt': 64 * 'a'}}, 'neither weights.safetensors nor model.onnx'),
    ({'input_size': [360]}, r'input_size is \[360\], wanted 2 numbers'),
    ({'input_size': [0, 480]}, 'wanted at least 64x64'),
    ({'mean': [0.5, 0.5]}, r'mean is \[0.5, 0.5\], wanted 3 numbers'),
    ({'std': [0, 1, 1]}, 'wanted values above 0'),
    ({'std': 'grey'}, "std is 'grey', wanted 3 numbers"),
    ({'mean': ['a', 0, 0]}, 'mean is'),
    ({'files': 3}, 'files is 3, wanted a map'),
    ({'architecture': 'b0'}, "architecture is 'b0', wanted a map"),
    ({'architecture': {'imported': 'logits'}}, 'of an imported network, wanted one of each of'),
    ({'architecture': {**IMPORTED, 'batch': 'two'}}, "'batch': 'two'.* of an imported network"),
    ({'architecture': {**IMPORTED, 'classes': 11}}, 'of an imported network'),
    ({'precisions': {'half': {}}}, "precisions has 'half': {}, wanted a name of float32,"),
])
def test_a_wrong_field_is_named(folder, facts, words):
    change(folder, **facts)
    with pytest.raises(ConfigError, match=words):
        ModelCard.load(folder)


@pytest.mark.parametrize(('gives', 'sizes', 'batch'), [
    ('logits', 'any', 'one'), ('labels', 'fixed', 'any')])
def test_an_imported_network_tells_what_it_takes_and_gives(folder, gives, sizes, batch):
    own = ModelCard.load(folder)
    assert not own.imported and own.has_confidence and not own.one_by_one
    own.check_size((192, 256))
    change(folder, architecture={'imported': gives, 'sizes': sizes, 'batch': batch})
    card = ModelCard.load(folder)
    assert card.imported
    assert card.has_confidence == (gives == 'logits')
    assert card.one_by_one == (batch == 'one')
    card.check_size((96, 128))
    if sizes == 'any':
        card.check_size((192, 256))
        return
    with pytest.raises(ConfigError, match='tiny runs at 96x128 only, as its ONNX file was made, '
                                          'not at 192x256: leave the size out'):
        card.check_size((192, 256))


def test_torch_does_not_run_an_imported_network(folder):
    pytest.importorskip('torch')
    from frm_seg_ros.network.weights import load_network
    change(folder, architecture=IMPORTED)
    with pytest.raises(ConfigError, match='tiny was imported as an ONNX file, so torch cannot '
                                          'run it: choose backend openvino or onnxruntime'):
        load_network(ModelCard.load(folder))


def test_missing_and_damaged_cards(folder):
    with pytest.raises(ConfigError, match="no model 'nonesuch': shipped are"):
        ModelCard.load('nonesuch')
    (folder / 'card.yaml').write_text('name: [')
    with pytest.raises(ConfigError, match='cannot be read'):
        ModelCard.load(folder)
    (folder / 'card.yaml').write_text('just text')
    with pytest.raises(ConfigError, match='missing: architecture'):
        ModelCard.load(folder)
