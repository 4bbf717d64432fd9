"""Where an ONNX file says that its weights lie, read without any ONNX package.

Runtimes open those files by themselves, so that weights outside the card's hashes would go
unchecked, and older runtimes follow a path to anywhere.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from frm_seg_ros.core.errors import ConfigError

# By message of onnx.proto (IR version 13): the fields on the way to a TensorProto's external_data,
# whose entry with the key `location` names a file.
_FIELDS: dict[str, dict[int, str]] = {
    'Model': {7: 'Graph', 20: 'Training', 25: 'Function'},
    'Training': {1: 'Graph', 2: 'Graph'},
    'Function': {7: 'Node', 11: 'Attribute'},
    'Graph': {1: 'Node', 5: 'Tensor', 15: 'Sparse'},
    'Node': {5: 'Attribute'},
    'Attribute': {5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph', 22: 'Sparse', 23: 'Sparse'},
    'Sparse': {1: 'Tensor', 2: 'Tensor'},
    'Tensor': {13: 'Entry'},
    'Entry': {1: 'key', 2: 'value'},
}


def check_locations(path: Path, files: Collection[str]) -> None:
    """Check that all weights outside an ONNX file lie in files that the card lists.

    Args:
        path: the ONNX file.
        files: names of the model's files, whose hashes are checked.

    Raises:
        ConfigError: if it names another file, or cannot be read.
    """
    try:
        strange = sorted({name for name in _locations(path.read_bytes()) if name not in files})
    except (ValueError, IndexError) as error:
        raise ConfigError(f'{path} is no sound ONNX file ({error}): export the model again'
                          ) from error
    if strange:
        raise ConfigError(f'{path} takes weights from {strange[0][:80]!r}, which its card does '
                          f'not list: it may use {", ".join(sorted(files))}; export the model '
                          'again')


def _locations(content: bytes) -> Iterator[str]:
    """Yield the location of every tensor whose data lie elsewhere."""
    waiting = [('Model', memoryview(content))]
    while waiting:
        kind, part = waiting.pop()
        if kind == 'Entry':
            yield from _location(part)
            continue
        wanted = _FIELDS[kind]
        waiting += [(wanted[number], body) for number, body in _fields(part) if number in wanted]


def _location(entry: memoryview) -> Iterator[str]:
    """Yield the value of an entry where any of its keys is `location`: readers take the last."""
    found: dict[str, list[str]] = {'key': [], 'value': []}
    for number, body in _fields(entry):
        if number in _FIELDS['Entry']:
            found[_FIELDS['Entry'][number]].append(bytes(body).decode('utf-8', 'replace'))
    if 'location' in found['key']:
        yield from found['value'] or ['']


def _fields(part: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of the length-delimited fields of a protobuf message."""
    place = 0
    while place < len(part):
        tag, place = _varint(part, place)
        kind = tag & 7
        if kind == 0:
            _, place = _varint(part, place)
            continue
        if kind == 2:
            length, place = _varint(part, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f'a field of the wire type {kind}')
        if place + length > len(part):
            raise ValueError('it is cut off')
        if kind == 2:
            yield tag >> 3, part[place:place + length]
        place += length


def _varint(part: memoryview, place: int) -> tuple[int, int]:
    """Read a number of at most ten bytes; give it and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = part[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError('a number of more than ten bytes')
