"""Engines on disk: each says in its first lines what it was made of and for, and is held to it.

An engine runs only with the very TensorRT and kind of GPU that it was built with.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frm_seg_ros.core.disk_cache import DiskCache
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path
from frm_seg_ros.core.model_card import ModelCard

MAGIC = b'frm_seg_ros TensorRT engine\n'
# Of what is built from the same model; rises when tensorrt_network or tensorrt_builder change it.
FORMAT = 1
LARGEST_HEADER = 1 << 16

Facts = Mapping[str, Any]


def engine_facts(card: ModelCard, precision: str, size: tuple[int, int], batch: int,
                 machine: Facts) -> Facts:
    """List all that an engine depends on.

    Args:
        card: of the model.
        precision: of the engine.
        size: (height, width) of the network's input.
        batch: most images at a time.
        machine: TensorRT, GPU and compute capability; see `tensorrt_device.machine_facts`.
    """
    return {'format': FORMAT, 'model': card.name, 'files': dict(card.files),
            'mean': list(card.mean), 'std': list(card.std), 'precision': precision,
            'size': list(size), 'batch': batch, **machine}


def folders() -> list[Path]:
    """List the folders that may hold engines: the user's cache, and one in /tmp."""
    return [DiskCache('tensorrt').folder,
            Path(tempfile.gettempdir()) / f'frm_seg_ros-{os.getuid()}' / 'tensorrt']


def read_engine(facts: Facts) -> tuple[bytes | None, list[str]]:
    """Read the engine that was built for `facts`.

    Returns:
        The engine, or None; and a line about each file that was there and is of no use.
    """
    passed: list[str] = []
    for folder in folders():
        path = folder / file_name(facts)
        if path.is_file():
            try:
                return _read(path, facts), passed
            except (OSError, ValueError) as error:
                passed.append(f'{path} is not used: {error}')
    return None, passed


def write_engine(facts: Facts, engine: bytes) -> Path:
    """Write an engine into the first folder that can be written, whole or not at all.

    Raises:
        ConfigError: if there is none.
    """
    header = json.dumps({**facts, 'bytes': len(engine),
                         'sha256': hashlib.sha256(engine).hexdigest()})
    problems = []
    for folder in folders():
        path = folder / file_name(facts)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(folder)
            with atomic_path(path) as temporary:
                temporary.write_bytes(MAGIC + header.encode() + b'\n' + engine)
            return path
        except (OSError, ValueError) as error:
            problems.append(str(error))
    raise ConfigError(f'the engine can be kept nowhere ({"; ".join(problems)}): set '
                      'XDG_CACHE_HOME to a folder that can be written')


def remove_engine(facts: Facts) -> None:
    """Remove the engine for `facts` wherever it is."""
    for folder in folders():
        (folder / file_name(facts)).unlink(missing_ok=True)


def file_name(facts: Facts) -> str:
    """Name the file: readable, and another one for other facts."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    model = re.sub(r'[^\w.-]', '_', str(facts['model']))
    height, width = facts['size']
    return (f'{model}-{height}x{width}-batch{facts["batch"]}-{facts["precision"]}-'
            f'{digest[:12]}.engine')


def _read(path: Path, facts: Facts) -> bytes:
    """Give the engine of a file; a ValueError says why it must not be loaded."""
    _check_owner(path.parent)
    with open(path, 'rb') as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError('it is no engine of this package')
        header = _parse(file.readline(LARGEST_HEADER))
        engine = file.read()
    for key, what in _differences(header, facts):
        raise ValueError(f'it was built for another {key} ({what})')
    if len(engine) != header.get('bytes'):
        raise ValueError(f'it is cut off: {len(engine)} bytes of {header.get("bytes")}')
    if hashlib.sha256(engine).hexdigest() != header.get('sha256'):
        raise ValueError('it is damaged: its SHA-256 is another one')
    return engine


def _parse(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        raise ValueError('its header cannot be read') from None
    return header if isinstance(header, dict) else {}


def _differences(header: Facts, facts: Facts) -> Iterator[tuple[str, str]]:
    for key, value in facts.items():
        if header.get(key) != value:
            yield key, f'{header.get(key)}, wanted {value}'


def _check_owner(folder: Path) -> None:
    """Refuse a folder that others may write: an engine is code."""
    facts = folder.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise ValueError(f'{folder} belongs to another user or can be written by others')
