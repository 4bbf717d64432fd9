"""What a JPEG or PNG declares about itself, read before anything of it is decoded."""
from __future__ import annotations

import struct
import zlib

from frm_seg_ros.core.bounds import MAX_PIXELS

_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8\xff'
# JPEG markers (ITU T.81, table B.1): start of frame is C0..CF but for the tables DHT, JPG and DAC;
# SOS starts the compressed data; RST0..7, SOI and TEM have no length.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SEQUENTIAL = (0xC0, 0xC1)
_JPEG_SCAN = 0xDA
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}
_JPEG_END = b'\xff\xd9'
# Ours: a sound file has a part for every 8 KB or so, and a progressive JPEG ten scans.
_MOST_PARTS = 1 << 16
_MOST_SCANNED = 16 * MAX_PIXELS


def declared_size(content: memoryview, png_only: bool = False) -> tuple[int, int]:
    """Read (height, width) from the header of a JPEG or PNG and check that the file is whole.

    Raises:
        ValueError: if it is neither, its structure is broken, or decoding it would cost out of all
            proportion to its size in pixels.
        IndexError, struct.error: if it is cut off.
    """
    if bytes(content[:len(_PNG)]) == _PNG:
        return _png_size(content)
    if bytes(content[:len(_JPEG)]) == _JPEG and not png_only:
        return _jpeg_size(content)
    raise ValueError(f'it starts with the bytes {bytes(content[:4]).hex(" ") or "(none)"}')


def _png_size(content: memoryview) -> tuple[int, int]:
    """Read the size from a PNG after checking every chunk's checksum up to the end (IEND)."""
    start, size = len(_PNG), (0, 0)
    for part in range(_MOST_PARTS):
        length, kind = struct.unpack_from('>I4s', content, start)
        body = content[start + 4:start + 8 + length]
        (checksum,) = struct.unpack_from('>I', content, start + 8 + length)
        if zlib.crc32(body) != checksum:
            raise ValueError(f'the checksum of its chunk {kind!r} is wrong')
        if (kind == b'IHDR') != (part == 0):    # a second one could declare another size
            raise ValueError(f'its chunk {part} is {kind!r}, wanted IHDR first and only there')
        if part == 0:
            width, height = struct.unpack_from('>II', body, 4)
            size = (height, width)
        if kind == b'IEND':
            return size
        start += 12 + length
    raise ValueError(f'it has more than {_MOST_PARTS} chunks')


def _jpeg_size(content: memoryview) -> tuple[int, int]:
    """Read the size from a JPEG's frame header; check that its compressed data has an end."""
    start, size, kind, components = 2, (0, 0), 0, 0
    for _ in range(_MOST_PARTS):
        if content[start] != 0xFF:
            raise ValueError(f'its byte {start} is not a marker')
        marker = content[start + 1]
        if marker == 0xFF or marker in _JPEG_BARE:
            start += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from('>H', content, start + 2)
        if marker in _JPEG_FRAMES:
            if size != (0, 0):
                raise ValueError('it declares its size twice')
            kind, size = marker, struct.unpack_from('>HH', content, start + 5)
            components = content[start + 9]
        if marker == _JPEG_SCAN:
            rest = bytes(content[start:])
            if rest.rfind(_JPEG_END) < 0:
                raise ValueError('it is cut off')
            # Decoders read on after the first scan where it lacks a component or some precision.
            if kind not in _JPEG_SEQUENTIAL or content[start + 4] != components:
                _check_scans(rest, size[0] * size[1])
            return size
        start += 2 + length
    raise ValueError(f'it has more than {_MOST_PARTS} segments')


def _check_scans(rest: bytes, pixels: int) -> None:
    """Bound a JPEG's scans: each goes over the whole picture, however few bytes it has."""
    scans = rest.count(bytes((0xFF, _JPEG_SCAN)))
    if scans > max(1, _MOST_SCANNED // max(pixels, 1)):
        raise ValueError(f'it goes over its {pixels} pixels {scans} times')
