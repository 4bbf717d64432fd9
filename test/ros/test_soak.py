"""Memory under a steady stream, in short; benchmarks/soak.py is the long form."""
from __future__ import annotations

import importlib.util
import queue
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import SECONDS, Rig, picture

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST, MOST_MB = 500, 5000, 8.0


@pytest.fixture(scope='module')
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location('soak', ROOT / 'benchmarks' / 'soak.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_memory_at_frame_5000_is_that_at_frame_500(
        make_rig: Callable[..., Rig], soak: ModuleType) -> None:
    rig = make_rig()
    came: queue.Queue[int] = queue.Queue()
    rig.listen('label_image', callback=lambda message: came.put(message.header.stamp.sec))
    messages = [rig.message(picture(seed)) for seed in range(8)]
    used = {}
    for number in range(1, LAST + 1):
        message = messages[number % 8]
        message.header.stamp.sec = number
        rig.send(message)
        assert came.get(timeout=SECONDS) == number
        rig.stats.clear()   # what the test itself keeps is no leak
        if number in (FIRST, LAST):
            used[number] = soak.rss_mb()
    print(used)
    assert used[LAST] <= used[FIRST] + MOST_MB


def test_the_trend_of_a_line_with_noise_is_found_and_held_in_its_interval(
        soak: ModuleType) -> None:
    """Of 400 made series the interval has to hold the true slope in about 95 %."""
    times = np.linspace(0, 1, 2000)
    held = 0
    for seed in range(400):
        noise = np.random.default_rng(seed).normal(0, 1, 2000)
        found = soak.trend(times, 3 * times + noise)
        held += found['low'] <= 3 <= found['high']
    # The binomial's standard deviation is 4.4; the widening for r > 0 only holds more.
    assert 367 <= held <= 400


def test_the_interval_is_wider_where_neighbours_go_together(soak: ModuleType) -> None:
    """AR(1) noise whose memory is longer than a block: a plain interval would hold too few."""
    times = np.linspace(0, 1, 2000)
    held = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 1, 2000)
        for i in range(1, 2000):
            noise[i] += 0.98 * noise[i - 1]
        found = soak.trend(times, noise)
        held += found['low'] <= 0 <= found['high']
    assert held >= 0.88 * 200   # AR(1) of blocks is not known exactly: short of 95 %


def test_an_exact_line_has_no_interval(soak: ModuleType) -> None:
    times = np.linspace(0, 2, 100)
    found = soak.trend(times, 5 - 2 * times)
    assert [found[name] for name in ('slope', 'low', 'high')] == pytest.approx([-2, -2, -2])
