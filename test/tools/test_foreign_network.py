"""Files that hold no network that can be used are refused in a sentence, and leave nothing."""
from __future__ import annotations

from dataclasses import replace

import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from data_trees import write_robot  # noqa: E402
from foreign_onnx import import_options, write_foreign  # noqa: E402

from frm_seg_ros.core.errors import ConfigError  # noqa: E402
from frm_seg_ros.tools.import_model import import_model  # noqa: E402


@pytest.mark.parametrize(('gives', 'network', 'changes', 'words'), [
    ('logits', {}, {'labels': 'cityscapes'},
     'the output scores has 11 classes, the label space cityscapes has 19'),
    ('both', {}, {}, 'has 2 outputs: choose one with --output from scores, labels'),
    ('both', {}, {'output': 'aux'}, "has no output 'aux': choose one .* from scores, labels"),
    ('nan', {}, {}, 'values of the output out are NaN or infinite: check --mean and --std'),
    ('floats', {}, {}, r'the output out is float32 of shape \(1, 24, 32\): wanted are logits'),
    ('vector', {}, {}, r'is float32 of shape \(1, 11\): wanted are logits'),
    ('logits', {'shape': (1, 3, 96, 128)}, {'size': (128, 160)},
     'takes 96x128 only, but --size is 128x160: give --size 96x128'),
    ('logits', {'shape': (4, 3, 96, 128)}, {}, 'takes batches of 4 images only'),
    ('logits', {'shape': ('N', 1, 'H', 'W')}, {}, 'cannot load|wanted are float32 or float16'),
    ('baked', {}, {'size': (128, 160)}, 'cannot run .*network.onnx on 1 image of 128x160'),
    ('logits', {}, {'size': (10, 10)}, 'the network size is 10x10: take one from 64x64'),
    ('logits', {}, {'std': (1.0, 0.0, 1.0)}, 'those of std above 0'),
    ('logits', {}, {'mean': (float('nan'), 0.0, 0.0)}, 'wanted are three numbers each'),
    ('logits', {}, {'labels': 'mars'}, 'no label space is called mars'),
    ('logits', {}, {'name': 'a/b'}, "'a/b' is no name of a model"),
    ('logits', {}, {'file': 'no.onnx'}, 'ONNX Runtime cannot load no.onnx'),
    ('logits', {}, {'check_source': 'mars'}, "'mars' is not a source"),
    ('logits', {'opset': 8}, {}, 'is of opset 8: export it with 9 or later'),
], ids=str)
def test_what_cannot_be_used_is_refused_and_nothing_is_left(tmp_path, gives, network, changes,
                                                            words):
    file = write_foreign(tmp_path / 'network.onnx', gives, **network)
    given = import_options(tmp_path, file, out=str(tmp_path / 'new' / 'model'))
    with pytest.raises(ConfigError, match=words):
        import_model(replace(given, **changes))
    assert [path.name for path in tmp_path.iterdir()] == ['network.onnx']


def test_labels_of_another_space_are_refused(tmp_path):
    labels = write_robot(tmp_path / 'robot')   # three classes
    file = write_foreign(tmp_path / 'network.onnx', 'labels')
    with pytest.raises(ConfigError, match=r'the output labels has the label \d+, but robot has 3 '
                                          'classes, 0 to 2'):
        import_model(import_options(tmp_path, file, labels=str(labels)))


@pytest.mark.parametrize('damage', ['truncated', 'no external data', 'uint8 input', 'two inputs'])
def test_files_that_are_no_such_network(tmp_path, damage):
    file = write_foreign(tmp_path / 'network.onnx', external=damage == 'no external data')
    if damage == 'truncated':
        file.write_bytes(file.read_bytes()[:200])
    elif damage == 'no external data':
        file.with_name('network.onnx.data').unlink()
    else:
        model = onnx.load(file)
        if damage == 'two inputs':
            model.graph.input.append(onnx.helper.make_tensor_value_info('scale', 1, [1]))
        else:
            model.graph.input[0].name = 'bytes'
            model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
            model.graph.node.insert(0, onnx.helper.make_node('Cast', ['bytes'], ['images'], to=1))
        onnx.save(model, file)
    words = {'uint8 input': r'takes tensor\(uint8\) of shape .*: wanted are float32 or float16',
             'two inputs': r'has 2 inputs \(images, scale\): wanted is one'}
    with pytest.raises(ConfigError, match=words.get(damage, 'ONNX Runtime cannot load')):
        import_model(import_options(tmp_path, file))
    assert not (tmp_path / 'model').exists()
