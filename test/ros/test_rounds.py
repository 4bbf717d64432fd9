"""Configuring and cleaning up, again and again, leaves nothing behind."""
from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig

MODEL = Path(__file__).resolve().parents[2] / 'models/frm_b0_fast'
RSS_MB = 20.0   # issue 6


class Used(NamedTuple):
    """What the process has: resident memory in MiB, open files, threads."""

    rss_mb: float
    files: int
    threads: int


def used() -> Used:
    gc.collect()
    # Without this the C library's heap jumps by some 15 MB at some round or other, and stays.
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return Used(pages * os.sysconf('SC_PAGE_SIZE') / 2**20, len(os.listdir('/proc/self/fd')),
                len(os.listdir('/proc/self/task')))


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime', 'torch'])
@pytest.mark.parametrize('first, last', [
    (4, 12), pytest.param(20, 200, marks=pytest.mark.long)])
def test_memory_files_and_threads_do_not_grow(
        make_rig: Callable[..., Rig], backend: str, first: int, last: int) -> None:
    pytest.importorskip(backend, reason=f'{backend} is not installed')
    rig = make_rig(autostart=False, model=str(MODEL), backend=backend, device='cpu',
                   network_size='64x64', sender=None)
    seen = {}
    for number in range(1, last + 1):
        assert rig.change('configure') and rig.change('cleanup')
        if number in (first, last):
            seen[number] = used()
    print(f'{backend}: after round {first} {seen[first]}, after round {last} {seen[last]}')
    assert seen[last].rss_mb <= seen[first].rss_mb + RSS_MB
    assert seen[last][1:] == seen[first][1:]
