"""What processes and the machine use, from /proc, and the GPU, from nvidia-smi.

Names in capitals are the keys of ros2_benchmark 4.5 (ResourceMetrics).
"""
from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.tools.conditions import machine_busy_s

PROC = Path('/proc')
EVERY_S = 0.5
NO_GPU = 'nvidia-smi tells of no GPU'
_QUERY = ('nvidia-smi', '--query-gpu=utilization.gpu,memory.used,memory.total',
          '--format=csv,noheader,nounits')


def check_pid(pid: int) -> None:
    """Make sure that a process is there.

    Raises:
        ConfigError: if it is not.
    """
    if not (PROC / str(pid) / 'stat').is_file():
        raise ConfigError(f'there is no process {pid}: name the process of the node, as '
                          '`pgrep -f segmentation_node` tells it')


def family(pid: int, others: Collection[int] = ()) -> list[int]:
    """List a process and all that descend from it, such as what `ros2 run` starts.

    Those in `others` and what descends from them are left out.
    """
    found = [pid]
    for one in found:                      # grows as it goes
        for file in PROC.glob(f'{one}/task/*/children'):
            try:
                children = map(int, file.read_text().split())
            except OSError:                # it ended meanwhile
                continue
            found += [child for child in children if child not in others]
    return found


def _fields(pid: int) -> list[str]:
    """Give the fields of /proc/PID/stat after the name, which may hold spaces and brackets."""
    return (PROC / str(pid) / 'stat').read_text().rpartition(')')[2].split()


def cpu_s(pid: int) -> float:
    """Give the CPU seconds of a process and of its ended children; NaN once it is gone.

    proc(5): after the name come state, ppid, ... utime, stime, cutime, cstime at places 11 to 14.
    """
    try:
        return sum(map(int, _fields(pid)[11:15])) / os.sysconf('SC_CLK_TCK')
    except (OSError, IndexError):
        return float('nan')


def memory_mb(pid: int) -> float:
    """Give the resident memory of a process in MiB; 0 once it is gone."""
    try:
        pages = int((PROC / str(pid) / 'statm').read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def gpu() -> tuple[float, float] | None:
    """Give use of the busiest GPU and of its memory, each in per cent; None where there is none.

    A GPU that does not tell one of them counts as 0 there.
    """
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [[_float(word) for word in line.split(',')] for line in done.stdout.splitlines()]
    rows = [row for row in rows if len(row) == 3]
    if not rows:
        return None
    return (max(row[0] for row in rows),
            max(100 * row[1] / row[2] if row[2] else 0.0 for row in rows))


def _float(word: str) -> float:
    try:
        return float(word)
    except ValueError:      # `[N/A]`
        return 0.0


class Resources:
    """Watches named processes, the machine and the GPU from a thread; see `stop`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Begin; `pids` are the processes by their part.

        Their descendants count with them, but for those that are a part of their own.
        """
        self._pids = dict(pids)
        self._cpu_s = {name: self._family_cpu_s(pid) for name, pid in pids.items()}
        self._start = time.monotonic()
        self._memory_mb = dict.fromkeys(pids, 0.0)
        self._see_memory()
        self._machine: list[float] = []
        self._gpu: list[tuple[float, float]] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True)
                         for target in (self._watch, self._watch_gpu)]
        for thread in self._threads:
            thread.start()

    def _family(self, pid: int) -> list[int]:
        return family(pid, set(self._pids.values()) - {pid})

    def _family_cpu_s(self, pid: int) -> float:
        """Add up; a descendant that ended stands in what its parent tells."""
        return cpu_s(pid) + float(np.nansum([cpu_s(one) for one in self._family(pid)[1:]]))

    def _see_memory(self) -> None:
        for name, pid in self._pids.items():
            now = sum(map(memory_mb, self._family(pid)))
            self._memory_mb[name] = max(self._memory_mb[name], now)

    def _watch(self) -> None:
        last, then, ended = machine_busy_s(), time.monotonic(), False
        while not ended:
            ended = self._done.wait(EVERY_S)
            busy, now = machine_busy_s(), time.monotonic()
            if not ended or not self._machine:      # a short run has one sample at least
                self._machine.append(100 * (busy - last) / (now - then) / (os.cpu_count() or 1))
            last, then = busy, now
            self._see_memory()

    def _watch_gpu(self) -> None:
        while (found := gpu()) is not None:
            self._gpu.append(found)
            if self._done.wait(1.0):
                break

    def stop(self) -> dict[str, Any]:
        """End; give for JSON what was used since the making.

        By part: `cpu_cores`, the mean number of cores kept busy (None where the process ended),
        and `memory_mb`, the largest resident memory seen. `machine`: ResourceMetrics of the whole
        machine; `gpu`: of the GPU, or NO_GPU.
        """
        wall = time.monotonic() - self._start
        used = {name: (self._family_cpu_s(pid) - self._cpu_s[name]) / wall
                for name, pid in self._pids.items()}
        self._done.set()
        for thread in self._threads:
            thread.join()
        told: dict[str, Any] = {
            name: {'cpu_cores': cores if cores == cores else None,
                   'memory_mb': self._memory_mb[name]} for name, cores in used.items()}
        told['machine'] = _metrics('OVERALL_CPU_UTILIZATION', self._machine)
        told['gpu'] = {**_metrics('DEVICE_UTILIZATION', [one for one, _ in self._gpu]),
                       **_metrics('DEVICE_MEMORY_UTILIZATION', [one for _, one in self._gpu])
                       } if self._gpu else NO_GPU
        return told


def _metrics(name: str, values: list[float]) -> dict[str, float]:
    if not values or not np.isfinite(values).all():
        return {}
    return {f'ResourceMetrics.{kind}_{name}': float(reduce(values)) for kind, reduce in (
        ('MEAN', np.mean), ('MAX', np.max), ('MIN', np.min), ('STDDEV', np.std))}
