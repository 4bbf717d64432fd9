"""Engines on disk: found when they are for this machine and model, never loaded when not."""
import json
import os
from dataclasses import replace

import pytest
from tiny_model import write_tiny_model

from frm_seg_ros.backends import tensorrt_cache
from frm_seg_ros.backends.tensorrt_cache import MAGIC, engine_facts, read_engine, write_engine
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard

pytest.importorskip('onnx', reason='onnx, which makes the model, is not installed')

MACHINE = {'tensorrt': '10.3.0', 'gpu': 'Orin', 'compute_capability': '8.7',
           'machine': 'aarch64'}
ENGINE = bytes(range(256)) * 40


@pytest.fixture
def card(tmp_path):
    return ModelCard.load(write_tiny_model(tmp_path / 'tiny'))


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(tensorrt_cache.tempfile, 'gettempdir', lambda: str(tmp_path / 'tmp'))
    return tmp_path


@pytest.fixture
def facts(card):
    return engine_facts(card, 'float16', (384, 480), 1, MACHINE)


def test_what_was_written_is_read(facts, folders):
    path = write_engine(facts, ENGINE)
    assert path.parent == folders / 'cache' / 'frm_seg_ros' / 'tensorrt'
    assert path.name.startswith('tiny-384x480-batch1-float16-')
    assert read_engine(facts) == (ENGINE, [])
    assert [each.name for each in path.parent.iterdir()] == [path.name]  # no temporary is left


def test_nothing_is_there_at_first(facts):
    assert read_engine(facts) == (None, [])


def other_facts(card):
    yield 'model', engine_facts(replace(card, name='other'), 'float16', (384, 480), 1, MACHINE)
    changed = replace(card, files={**card.files, 'model.onnx': 64 * '0'})
    yield 'files', engine_facts(changed, 'float16', (384, 480), 1, MACHINE)
    yield 'mean', engine_facts(replace(card, mean=(0.1, 0.0, 0.0)), 'float16', (384, 480), 1,
                               MACHINE)
    yield 'precision', engine_facts(card, 'float32', (384, 480), 1, MACHINE)
    yield 'size', engine_facts(card, 'float16', (384, 512), 1, MACHINE)
    yield 'batch', engine_facts(card, 'float16', (384, 480), 4, MACHINE)
    for key in MACHINE:
        yield key, engine_facts(card, 'float16', (384, 480), 1, {**MACHINE, key: 'another'})


def test_an_engine_for_anything_else_is_neither_found_nor_loaded(card, facts):
    path = write_engine(facts, ENGINE)
    seen = set()
    for key, other in other_facts(card):
        assert read_engine(other) == (None, []), key
        # Even where it is put under the name of the other one.
        stranger = path.with_name(tensorrt_cache.file_name(other))
        stranger.write_bytes(path.read_bytes())
        engine, (line,) = read_engine(other)
        assert engine is None
        assert f'{stranger} is not used: it was built for another {key} (' in line
        seen.add(key)
    assert seen == set(facts) - {'format', 'std'}


def corrupt(data):
    header, _, engine = data[len(MAGIC):].partition(b'\n')
    facts = json.loads(header)
    yield 'it is cut off: 10239 bytes of 10240', data[:-1]
    yield 'it is cut off: 0 bytes of 10240', data[:-len(engine)]
    yield 'it is damaged', data[:-1] + b'\0'
    yield 'it is no engine of this package', engine
    yield 'it is no engine of this package', b''
    yield 'its header cannot be read', data[:len(MAGIC) + 20]
    yield 'it was built for another format', MAGIC + b'[1]\n' + engine
    yield 'it was built for another format', (
        MAGIC + json.dumps({**facts, 'format': 0}).encode() + b'\n' + engine)


def test_what_is_damaged_is_said_and_not_loaded(facts):
    path = write_engine(facts, ENGINE)
    whole = path.read_bytes()
    for words, data in corrupt(whole):
        path.write_bytes(data)
        engine, (line,) = read_engine(facts)
        assert engine is None
        assert words in line
    write_engine(facts, ENGINE)   # and built anew it is good again
    assert read_engine(facts) == (ENGINE, [])


def test_where_the_cache_cannot_be_written_another_folder_is_taken(facts, folders):
    (folders / 'cache').write_text('a file stands in the way')
    path = write_engine(facts, ENGINE)
    assert path.is_relative_to(folders / 'tmp' / f'frm_seg_ros-{os.getuid()}')
    assert read_engine(facts)[0] == ENGINE


def test_where_nothing_can_be_written_one_sentence_says_so(facts, folders):
    for name in ('cache', 'tmp'):
        (folders / name).write_text('a file stands in the way')
    with pytest.raises(ConfigError, match='can be kept nowhere .*: set XDG_CACHE_HOME'):
        write_engine(facts, ENGINE)


def test_an_engine_that_is_removed_is_gone(facts):
    write_engine(facts, ENGINE)
    tensorrt_cache.remove_engine(facts)
    assert read_engine(facts) == (None, [])
    tensorrt_cache.remove_engine(facts)


def test_a_folder_that_others_may_write_is_not_trusted(facts):
    path = write_engine(facts, ENGINE)
    path.parent.chmod(0o777)
    engine, (line,) = read_engine(facts)
    assert engine is None
    assert 'can be written by others' in line
