"""Accounting, mailbox and rate limits by themselves."""
from __future__ import annotations

import threading

import pytest

from frm_seg_ros.ros.accounting import Accounting
from frm_seg_ros.ros.mailbox import Arrival, Mailbox
from frm_seg_ros.ros.rate import Quiet, RateLimit


def test_counts_add_up_in_every_snapshot_taken_from_another_thread() -> None:
    accounting = Accounting()
    done = threading.Event()
    wrong = []

    def look() -> None:
        while not done.is_set():
            counts = accounting.snapshot()
            sums = counts.processed + sum(counts.dropped.values()) + counts.pending
            if counts.received != sums or not 0 <= counts.pending <= 2:
                wrong.append(counts)

    def work() -> None:
        for number in range(3000):
            accounting.receive()
            if number % 3:
                accounting.drop(('overwritten', 'rate')[number % 2])
            else:
                accounting.process()

    looker = threading.Thread(target=look)
    workers = [threading.Thread(target=work) for _ in range(2)]
    for thread in (looker, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    looker.join()
    accounting.lose(7)
    counts = accounting.snapshot()
    assert not wrong
    assert (counts.received, counts.processed, counts.pending) == (6000, 2000, 0)
    assert counts.dropped == {'overwritten': 2000, 'rate': 2000} and counts.lost_in_transport == 7


def test_the_mailbox_keeps_the_newest_of_each_camera_only() -> None:
    mailbox = Mailbox()
    first, second, other = (Arrival(name, 0.0, 0.0) for name in ('first', 'second', 'other'))
    assert mailbox.put('front', first) is None
    assert mailbox.put('left', other) is None
    assert mailbox.put('front', second) is first
    assert mailbox.take() == {'front': second, 'left': other}
    assert mailbox.put('left', first) is None
    assert mailbox.close() == {'left': first}
    assert mailbox.take() is None
    assert mailbox.put('left', other) is other   # nobody will take it
    assert mailbox.close() == {}


def test_closing_the_mailbox_wakes_who_waits() -> None:
    mailbox = Mailbox()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()))
    thread.start()
    assert mailbox.close() == {}
    thread.join(10)
    assert taken == [None]


def test_the_mailbox_waits_no_longer_than_it_is_told() -> None:
    mailbox = Mailbox()
    assert mailbox.take(0.01) == {}
    arrival = Arrival('first', 0.0, 0.0)
    assert mailbox.put('front', arrival) is None
    assert mailbox.take(0.0) == {'front': arrival}


@pytest.mark.parametrize('arriving, rate, passing', [
    (30.0, 10.0, 10.0), (30.0, 12.0, 12.0), (10.0, 30.0, 10.0), (25.0, 0.0, 25.0)])
def test_the_rate_is_met_in_spite_of_jitter(arriving: float, rate: float, passing: float) -> None:
    limit = RateLimit()
    jitter = (0.0, 0.004, -0.003, 0.002)
    times = [number / arriving + jitter[number % 4] for number in range(600)]
    passed = [now for now in times if limit.allows(now, rate)]
    assert len(passed) / (600 / arriving) == pytest.approx(passing, rel=0.02)
    if rate:
        gaps = [later - sooner for sooner, later in zip(passed, passed[1:])]
        assert min(gaps) >= 0.5 / rate - 1e-9


def test_after_a_pause_no_burst_passes() -> None:
    limit = RateLimit()
    assert limit.allows(0.0, 1.0)
    assert [limit.allows(100 + 0.1 * number, 1.0) for number in range(5)] == [
        True, False, False, False, False]


def test_log_lines_are_kept_apart_by_kind() -> None:
    quiet = Quiet(5.0)
    asked = [('a', 0.0), ('b', 1.0), ('a', 4.9), ('a', 5.0), ('b', 5.5), ('b', 6.0)]
    assert [quiet.allows(kind, now) for kind, now in asked] == [
        True, True, False, True, False, True]
