"""What can still be read of MCAP and SQLite files that were cut off in the middle."""
from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from frm_seg_ros.core.bounds import MAX_MESSAGE_BYTES

# The MCAP specification: 8 bytes of magic at both ends; a record is an opcode, a length of 8 bytes
# and that many bytes; the data section ends with DataEnd; an all-zero footer means `no summary`.
_MAGIC = b'\x89MCAP0\r\n'
_RECORD_HEAD = 9
_DATA_END, _FOOTER = 0x0F, 0x02
_BARE_END = bytes([_FOOTER]) + (20).to_bytes(8, 'little') + bytes(20) + _MAGIC


class CutMcap:
    """Path-like of an MCAP file without its end: its whole records, and a footer to close them.

    It has what rosbags asks of a path.
    """

    suffix = '.mcap'

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        """Say yes."""
        return True

    def is_dir(self) -> bool:
        """Say no."""
        return False

    def open(self, *_: Any) -> io.BufferedReader:
        """Open for reading bytes, whatever the mode."""
        return io.BufferedReader(_WithEnd(self._path))


class _WithEnd(io.RawIOBase):
    """The whole records of an MCAP file followed by a footer that names no summary."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, 'rb')       # noqa: SIM115  closed in close()
        self._place = 0
        self._size = _whole_records(self._file, path.stat().st_size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._place, self._size + len(_BARE_END))[whence]
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place < self._size:
            self._file.seek(self._place)
            data = self._file.read(min(len(buffer), self._size - self._place))
        else:
            start = self._place - self._size
            data = _BARE_END[start:start + len(buffer)]
        buffer[:len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _whole_records(file: io.BufferedReader, size: int) -> int:
    """Find where the last whole record of the data section ends."""
    end = len(_MAGIC)
    while True:
        file.seek(end)
        head = file.read(_RECORD_HEAD)
        after = end + _RECORD_HEAD + int.from_bytes(head[1:], 'little')
        if len(head) < _RECORD_HEAD or after > size or head[0] in (_DATA_END, _FOOTER):
            return end
        end = after


def recover_sqlite(path: Path, copy: Path) -> Path:
    """Copy the rows of a damaged SQLite file that can still be read.

    Raises:
        sqlite3.DatabaseError: if not even the list of its tables can be read.
    """
    with closing(sqlite3.connect(f'{path.absolute().as_uri()}?immutable=1', uri=True)) as source, \
            closing(sqlite3.connect(copy)) as target:
        source.execute('PRAGMA writable_schema=ON')     # or SQLite refuses too short a file
        if hasattr(source, 'setlimit'):     # Python 3.11; before, SQLite's own limit of 1 GB holds
            source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_MESSAGE_BYTES)
        tables = source.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND "
                                "name NOT LIKE 'sqlite_%'").fetchall()
        for (name,) in tables:
            try:
                rows = source.execute(f'SELECT * FROM {_quoted(name)}')
                columns = [_quoted(column) for column, *_ in rows.description]
                # Not by the file's own SQL, which can be any statement at all.
                target.execute(f'CREATE TABLE {_quoted(name)} ({", ".join(columns)})')
                places = ', '.join('?' for _ in columns)
                for row in rows:
                    target.execute(f'INSERT INTO {_quoted(name)} VALUES ({places})', row)
            except sqlite3.DatabaseError:
                continue    # the damage begins here; what came before it is kept
        target.commit()
    return copy


def _quoted(name: str) -> str:
    """Write a name of SQL."""
    return '"' + name.replace('"', '""') + '"'
