"""The conditions of a benchmark, from a machine made up for the purpose."""
from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest

from frm_seg_ros.tools import conditions


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """Let the module read a /proc that the test writes; the file of CPU times is `proc.stat`."""
    ticks = os.sysconf('SC_CLK_TCK')

    def write_busy(user_s, nice_s, system_s, irq_s, softirq_s, steal_s):
        idle, iowait, guest = 777, 888, 999
        values = (user_s, nice_s, system_s, idle, iowait, irq_s, softirq_s, steal_s, guest, 0)
        (tmp_path / 'stat').write_text(
            f'cpu  {" ".join(str(value * ticks) for value in values)}\ncpu0 1 2 3\n')

    monkeypatch.setattr(conditions, '_CPUINFO', tmp_path / 'cpuinfo')
    monkeypatch.setattr(conditions, '_STAT', tmp_path / 'stat')
    return SimpleNamespace(folder=tmp_path, write_busy=write_busy)


def test_busy_seconds_are_all_but_idle_and_waiting(proc):
    proc.write_busy(1, 2, 4, 8, 16, 32)
    assert conditions.machine_busy_s() == 63


def test_cores_of_other_programs_leave_out_our_own(proc, monkeypatch):
    wall, own = [100.0], [3.0]
    monkeypatch.setattr(conditions, 'time', SimpleNamespace(
        perf_counter=lambda: wall[0], process_time=lambda: own[0]))
    proc.write_busy(1000, 0, 0, 0, 0, 0)
    others = conditions.OtherPrograms()
    proc.write_busy(1020, 0, 5, 0, 0, 0)
    wall[0], own[0] = 110.0, 13.0
    assert others.cores() == 1.5  # 25 s busy, 10 s of them ours, in 10 s
    own[0] = 99.0  # clocks differ a little: never below nothing
    assert others.cores() == 0


def test_without_proc_nothing_is_claimed(proc):
    assert conditions.OtherPrograms().cores() is None
    assert conditions.cpu_model() == conditions.platform.machine()


def test_the_cpu_is_named_as_proc_names_it(proc):
    (proc.folder / 'cpuinfo').write_text(
        'processor\t: 0\nmodel name\t: Abacus 3: fast\nprocessor\t: 1\nmodel name\t: Abacus 3\n')
    assert conditions.conditions()['cpu'] == 'Abacus 3: fast'
    (proc.folder / 'cpuinfo').write_text('processor\t: 0\n')
    assert conditions.cpu_model() == conditions.platform.machine()


def test_cores_are_those_of_the_machine_and_those_allowed(monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 64)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {3, 5, 9}, raising=False)
    found = conditions.conditions()
    assert (found['cores'], found['allowed_cores']) == (64, 3)
    monkeypatch.delattr(os, 'sched_getaffinity')
    assert conditions.allowed_cores() == 64


def test_versions_are_those_of_what_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, 'numba', SimpleNamespace(__version__='7.8.9'))
    monkeypatch.delitem(sys.modules, 'openvino', raising=False)
    versions = conditions.conditions()['versions']
    assert versions['numba'] == '7.8.9'
    assert 'openvino' not in versions
    assert versions['python'] == '.'.join(map(str, sys.version_info[:3]))


def test_the_date_is_now_with_its_zone():
    date = conditions.conditions()['date']
    assert date.endswith('+00:00')
    assert abs((datetime.now(timezone.utc) - datetime.fromisoformat(date)).total_seconds()) < 60
