"""Under what conditions a benchmark ran: the machine, the versions, and who else was busy."""
from __future__ import annotations

import os
import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

_CPUINFO, _STAT = Path('/proc/cpuinfo'), Path('/proc/stat')
_PACKAGES = ('numpy', 'cv2', 'numba', 'openvino', 'onnxruntime', 'torch')


def conditions() -> dict[str, Any]:
    """List date, CPU, cores and the versions of what is loaded, for JSON."""
    return {
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'cpu': cpu_model(),
        'cores': os.cpu_count(),
        'allowed_cores': allowed_cores(),
        'platform': platform.platform(),
        'versions': {'python': platform.python_version(), **loaded_versions()},
    }


def cpu_model() -> str:
    """Name the CPU as /proc/cpuinfo does; where it does not, its architecture."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def allowed_cores() -> int:
    """Count the cores that this process may use, as `taskset` limits them."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def loaded_versions() -> dict[str, str]:
    """Give the versions of those packages that are loaded and bear on speed."""
    return {name: sys.modules[name].__version__ for name in _PACKAGES if name in sys.modules}


class OtherPrograms:
    """Measures how many cores the rest of the machine keeps busy, from its making on."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._others = self._others_s()

    @staticmethod
    def _others_s() -> float:
        return machine_busy_s() - time.process_time()

    def cores(self) -> float | None:
        """Tell the mean number of cores that other programs kept busy; None where unknown."""
        share = (self._others_s() - self._others) / max(time.perf_counter() - self._wall, 1e-9)
        return max(share, 0.0) if share == share else None


def machine_busy_s() -> float:
    """Give the seconds that all cores together have been busy since boot; NaN where unknown."""
    if not _STAT.is_file():
        return float('nan')
    # proc(5): cpu user nice system idle iowait irq softirq steal guest ...; guest is in user too.
    ticks = [int(word) for word in _STAT.read_text().split('\n', 1)[0].split()[1:9]]
    return (sum(ticks[:3]) + sum(ticks[5:])) / os.sysconf('SC_CLK_TCK')
