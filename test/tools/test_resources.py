"""What processes use, held to processes whose use is known."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.tools.resources import (
    NO_GPU,
    Resources,
    check_pid,
    cpu_s,
    family,
    gpu,
    memory_mb,
)

if not Path('/proc/self/stat').is_file():
    pytest.skip('there is no /proc', allow_module_level=True)
BUSY = 'import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass\n'


def test_the_use_of_a_process_and_its_children_is_counted() -> None:
    code = f'import subprocess, sys\nprint(flush=True)\nsubprocess.run([sys.executable, "-c", ' \
           f'{BUSY!r}])\nprint(flush=True)\nsys.stdin.read()'
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        watch, start = Resources({'node': process.pid, 'idle': os.getppid()}), time.monotonic()
        process.stdout.readline()
        found, wall = watch.stop(), time.monotonic() - start
        process.stdin.close()
    # 0.6 s and the start of Python; a tick of the clock is 10 ms.
    assert 0.58 <= found['node']['cpu_cores'] * wall <= 1.5
    assert 2 < found['node']['memory_mb'] < 500
    told = found['machine']
    mean = told['ResourceMetrics.MEAN_OVERALL_CPU_UTILIZATION']
    assert told['ResourceMetrics.MIN_OVERALL_CPU_UTILIZATION'] <= mean
    assert 0 < mean <= told['ResourceMetrics.MAX_OVERALL_CPU_UTILIZATION']


def test_descendants_belong_to_the_family() -> None:
    script = 'sleep 30 & echo $!; wait'
    with subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        found, without = family(process.pid), family(process.pid, [child])
        os.kill(child, 9)
        assert found == [process.pid, child] and without == [process.pid]


def test_a_child_that_is_a_part_of_its_own_counts_there_only() -> None:
    code = BUSY + 'print(flush=True)\ninput()'
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        watch, start = Resources({'player': os.getpid(), 'node': process.pid}), time.monotonic()
        process.stdout.readline()
        found, wall = watch.stop(), time.monotonic() - start
        process.communicate(b'\n')
    assert found['node']['cpu_cores'] * wall >= 0.58
    assert found['player']['cpu_cores'] * wall < 0.4


def test_memory_grows_with_what_is_held() -> None:
    before = memory_mb(os.getpid())
    held = bytearray(os.urandom(64 << 20))
    assert 60 < memory_mb(os.getpid()) - before < 70 and len(held)


def test_a_process_that_is_gone_has_no_figures() -> None:
    with subprocess.Popen(['true']) as process:
        process.wait()
    assert cpu_s(process.pid) != cpu_s(process.pid) and memory_mb(process.pid) == 0
    with pytest.raises(ConfigError, match=f'no process {process.pid}'):
        check_pid(process.pid)
    assert Resources({'node': process.pid}).stop()['node']['cpu_cores'] is None


@pytest.mark.parametrize('said, wanted', [
    ('30, 500, 1000\n70, 100, 1000\n', (70, 50)), ('[N/A], 250, 1000\n', (0, 25)), ('', None)])
def test_the_busiest_gpu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str,
                                 wanted: tuple[float, float] | None) -> None:
    program = tmp_path / 'nvidia-smi'
    program.write_text(f'#!/bin/sh\nprintf "{said}"\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    assert gpu() == wanted
    told = Resources({}).stop()['gpu']
    if wanted is None:
        assert told == NO_GPU
    else:
        assert told['ResourceMetrics.MEAN_DEVICE_UTILIZATION'] == wanted[0]
        assert told['ResourceMetrics.MAX_DEVICE_MEMORY_UTILIZATION'] == wanted[1]


def test_a_short_run_has_a_sample() -> None:
    watch = Resources({'me': os.getpid()})
    time.sleep(0.05)
    found = watch.stop()
    assert found['machine']['ResourceMetrics.MAX_OVERALL_CPU_UTILIZATION'] >= 0
    assert found['me']['memory_mb'] > 10


def test_no_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', '/nowhere')
    assert gpu() is None and Resources({}).stop()['gpu'] == NO_GPU
