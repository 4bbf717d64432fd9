"""Files written whole or not at all, and where the package's own files are found."""
from __future__ import annotations

import hashlib

import pytest

from frm_seg_ros.core import files
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256, share_dir


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_alone(tmp_path):
    out = tmp_path / 'deep' / 'a.onnx'
    with atomic_path(out) as path:
        path.write_text('half')
        assert not out.exists() and path.suffix == '.onnx'
        path.write_text('whole')
    assert out.read_text() == 'whole' and names(out.parent) == ['a.onnx']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_what_was_there_survives_an_error(tmp_path, error):
    out = tmp_path / 'a.json'
    out.write_text('before')
    with pytest.raises(error), atomic_path(out) as path:
        path.write_text('half')
        raise error
    assert out.read_text() == 'before' and names(tmp_path) == ['a.json']


def test_nothing_appears_after_an_error(tmp_path):
    with pytest.raises(ValueError), atomic_path(tmp_path / 'bag') as path:
        path.mkdir()
        (path / 'half').touch()
        raise ValueError
    assert names(tmp_path) == []


def test_a_folder_replaces_a_folder(tmp_path):
    out = tmp_path / 'bag'
    out.mkdir()
    (out / 'old').touch()
    with atomic_path(str(out)) as path:
        path.mkdir()
        (path / 'new').touch()
    assert names(out) == ['new'] and names(tmp_path) == ['bag']


def test_a_file_replaces_a_file(tmp_path):
    out = tmp_path / 'a.txt'
    out.write_text('old')
    with atomic_path(out) as path:
        path.write_text('new')
    assert out.read_text() == 'new' and names(tmp_path) == ['a.txt']


def test_sha256_of_several_blocks(tmp_path):
    content = bytes(range(256)) * 10000     # 2.4 blocks of 1 MiB
    (tmp_path / 'a').write_bytes(content)
    assert sha256(tmp_path / 'a') == hashlib.sha256(content).hexdigest()


def make_install(root, module, share):
    """Lay out an installation; return the path that files.py would have."""
    labels = root / share / 'config' / 'labels'
    labels.mkdir(parents=True)
    (labels / 'camvid.yaml').touch()
    place = root / module / 'frm_seg_ros' / 'core'
    place.mkdir(parents=True)
    return str(place / 'files.py')


@pytest.mark.parametrize('module, share', [
    ('', ''),                                               # source checkout
    ('lib/python3.11/site-packages', 'share/frm_seg_ros'),  # pip or colcon
    ('local/lib/python3.10/dist-packages', 'share/frm_seg_ros'),
])
def test_share_dir(tmp_path, monkeypatch, module, share):
    monkeypatch.setattr(files, '__file__', make_install(tmp_path, module, share))
    assert share_dir() == tmp_path / share


def test_share_dir_of_a_broken_installation(tmp_path, monkeypatch):
    monkeypatch.setattr(files, '__file__', str(tmp_path / 'frm_seg_ros' / 'core' / 'files.py'))
    with pytest.raises(ConfigError, match='incomplete, install'):
        share_dir()
