"""The reader of rosbags, with bounds on what a bag unpacks to.

It has none of its own, and a few bytes of zstd or LZ4 can stand for gigabytes, as can one row of
SQLite. They are set into the tables of rosbags, for all who read bags in this process.
"""
from __future__ import annotations

import shutil
import tempfile
from typing import Any

import apsw
from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import Reader, reader, storage_mcap
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from frm_seg_ros.core.bounds import MAX_MESSAGE_BYTES

_zstd = reader.zstd     # of the standard library or backported, as rosbags found it
__all__ = ['BagBoundError', 'Reader']


class BagBoundError(ValueError):
    """Something in the bag is larger than it may be."""


class _Zstd:
    """What rosbags uses of its module zstd, with bounds.

    A message's size is bounded by MAX_MESSAGE_BYTES, that of a file, which is unpacked to the
    disk, by half of what is free there.
    """

    @staticmethod
    def decompress(data: bytes) -> bytes:
        return _unpack(_zstd.ZstdDecompressor, data, MAX_MESSAGE_BYTES)

    @staticmethod
    def open(*args: Any) -> _BoundedFile:
        return _BoundedFile(_zstd.open(*args), shutil.disk_usage(tempfile.gettempdir()).free // 2)


class _BoundedFile:
    """A file of which no more than so many bytes can be read."""

    def __init__(self, file: Any, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def __enter__(self) -> _BoundedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BagBoundError(f'it unpacks to more than {self._most >> 20} MB, half of what is '
                                f'free in {tempfile.gettempdir()}')
        return data


def _unpack(make: Any, data: bytes, most: int) -> bytes:
    """Decompress all frames of `data`, to `most` bytes together."""
    parts, size = [], 0
    while data:
        decompressor = make()
        part = decompressor.decompress(data, max_length=most - size + 1)
        parts.append(part)
        size += len(part)
        if size > most:
            raise BagBoundError(f'a message or chunk unpacks to more than {most >> 20} MB')
        if not decompressor.eof:
            raise ValueError('compressed data is cut off')
        data = decompressor.unused_data
    return b''.join(parts)


def _unpack_chunk(make: Any, data: bytes, size: int) -> bytes:
    """Decompress a chunk of MCAP that declares its size."""
    if size > MAX_MESSAGE_BYTES:
        raise BagBoundError(f'a chunk declares {size >> 20} MB, the most is '
                            f'{MAX_MESSAGE_BYTES >> 20} MB')
    return _unpack(make, data, size)


class _Sqlite(Sqlite3Reader):
    """SQLite that gives no row above MAX_MESSAGE_BYTES."""

    def open(self) -> None:
        super().open()
        self.dbconn.limit(apsw.SQLITE_LIMIT_LENGTH, MAX_MESSAGE_BYTES)


def _set_bounds() -> None:
    reader.zstd = _Zstd
    storage_mcap.DECOMPRESSORS.update({
        'zstd': lambda data, size: _unpack_chunk(_zstd.ZstdDecompressor, data, size),
        'lz4': lambda data, size: _unpack_chunk(LZ4FrameDecompressor, data, size)})
    reader.DirectoryReader.STORAGE_PLUGINS['sqlite3'] = _Sqlite
    Reader.STORAGE_PLUGINS['.db3'] = _Sqlite


_set_bounds()
