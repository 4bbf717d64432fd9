"""Results of slow work, such as compiled networks, kept on disk for the next start."""
from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from frm_seg_ros.core.files import atomic_path

# One model compiled for a few sizes of image and batch; about 20 MB each.
KEPT = 16
_DIGEST_SIZE = 32   # bytes of SHA-256


class DiskCache:
    """A folder of results in `$XDG_CACHE_HOME/frm_seg_ros`, by default `~/.cache/frm_seg_ros`.

    A file begins with the SHA-256 of its data and is renamed into place: one that was cut off or
    damaged is not taken. Where nothing can be written nothing is kept, and that is no error.
    """

    def __init__(self, name: str) -> None:
        """Keep the results in the folder `name`; it need not exist."""
        root = os.environ.get('XDG_CACHE_HOME', '')
        if not os.path.isabs(root):   # the XDG specification: to be ignored
            root = os.path.expanduser('~/.cache')
        self.folder = Path(root) / 'frm_seg_ros' / name

    def read(self, facts: object) -> bytes | None:
        """Give what was kept under these facts; None where there is nothing, or damage."""
        try:
            kept = self._path(facts).read_bytes()
        except OSError:
            return None
        data = kept[_DIGEST_SIZE:]
        return data if hashlib.sha256(data).digest() == kept[:_DIGEST_SIZE] else None

    def write(self, facts: object, data: bytes) -> None:
        """Keep the data under facts whose `repr` tells all that it depends on.

        Of all results those that were written last are kept, `KEPT` of them.
        """
        try:
            with atomic_path(self._path(facts)) as temporary:
                temporary.write_bytes(hashlib.sha256(data).digest() + data)
            self._prune()
        except OSError:
            return

    def _path(self, facts: object) -> Path:
        return self.folder / hashlib.sha256(repr(facts).encode()).hexdigest()

    def _prune(self) -> None:
        """Remove the oldest; also what was being written when a process was killed."""
        newest = sorted(self.folder.iterdir(), key=lambda path: -path.stat().st_mtime_ns)
        for path in newest[KEPT:]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
