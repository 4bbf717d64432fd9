"""Files of the package, and files written whole or not at all."""
from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from frm_seg_ros.core.errors import ConfigError


def share_dir() -> Path:
    """Find the folder that holds `config` and `models`.

    That is the root of a source checkout, else `share/frm_seg_ros` of the prefix into which colcon
    or pip installed the package.

    Raises:
        ConfigError: if neither is there.
    """
    here = Path(__file__).resolve()
    for parent in here.parents:
        for candidate in (parent, parent / 'share' / 'frm_seg_ros'):
            if (candidate / 'config' / 'labels' / 'camvid.yaml').is_file():
                return candidate
    raise ConfigError(
        f'no config/labels found above {here}: the installation is incomplete, '
        'install frm_seg_ros again')


def sha256(path: Path) -> str:
    """Hash a file; return lower-case hexadecimal SHA-256."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def check_new_files(paths: Iterable[str | None], force: bool) -> None:
    """Make sure that results go into files of their own, and that none is there already.

    Args:
        paths: where they go; None where nothing is written.
        force: whether files that are there may be replaced.

    Raises:
        ConfigError: if one is there and `force` is not given, or two results have one path.
    """
    known: set[Path] = set()
    for path in (Path(path) for path in paths if path):
        if path.resolve() in known:
            raise ConfigError(f'{path} is named for two results: name a file for each')
        known.add(path.resolve())
        if path.is_dir():
            raise ConfigError(f'{path} is a folder: name a file')
        if path.exists() and not force:
            raise ConfigError(f'{path} is there already: name another file, or add --force to '
                              'replace it')


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it there when the block ends well.

    Works for files and folders alike; keeps the suffix, since many writers look at it. When the
    block raises, what was there before stays and the temporary is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f'.{path.name}.', dir=path.parent))
    temporary = holder / path.name
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            path.rename(holder / 'replaced')
        os.replace(temporary, path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)
