"""What is kept on disk comes back whole or not at all."""
import os

import pytest

from frm_seg_ros.core import disk_cache
from frm_seg_ros.core.disk_cache import DiskCache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    return DiskCache('things')


def test_what_was_written_comes_back_under_its_own_facts_only(cache, tmp_path):
    assert cache.read(('a', 1)) is None
    cache.write(('a', 1), b'one')
    cache.write(('a', 2), b'two')
    assert (cache.read(('a', 1)), cache.read(('a', 2))) == (b'one', b'two')
    assert cache.read(('a', '1')) is None
    assert cache.folder == tmp_path / 'frm_seg_ros' / 'things'


def test_a_cut_or_damaged_file_is_not_taken_and_can_be_written_anew(cache):
    data = bytes(range(200))
    cache.write('x', data)
    (path,) = cache.folder.iterdir()
    whole = path.read_bytes()
    for cut in (0, 5, 32, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert cache.read('x') is None
    for place in (0, 31, 32, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        assert cache.read('x') is None
    cache.write('x', data)
    assert cache.read('x') == data


def test_the_oldest_go_and_so_does_what_a_killed_process_left(cache, monkeypatch):
    monkeypatch.setattr(disk_cache, 'KEPT', 3)
    cache.folder.mkdir(parents=True)
    left = cache.folder / '.half.tmp'
    left.mkdir()
    (left / 'part').write_bytes(b'cut')
    os.utime(left, (1, 1))
    for number in range(5):
        cache.write(number, b'data')
        (path,) = {*cache.folder.iterdir()} - {left} - {cache._path(n) for n in range(number)}
        os.utime(path, (10 + number, 10 + number))
    assert [cache.read(number) for number in range(5)] == [None, None, *[b'data'] * 3]
    assert not left.exists()


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('no folder')   # root may write into folders of any mode
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    cache = DiskCache('things')
    cache.write('x', b'data')
    assert cache.read('x') is None


def test_a_relative_path_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', 'here')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert DiskCache('things').folder == tmp_path / '.cache' / 'frm_seg_ros' / 'things'
