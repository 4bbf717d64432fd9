"""Figures of a replay, by hand-made times and against plain arithmetic."""
from __future__ import annotations

import statistics

import numpy as np
import pytest

from frm_seg_ros.tools.latency import (
    Run,
    accounts,
    basic_performance,
    conclude,
    find_peak,
    jitter_ms,
    percentiles,
    run_line,
    summarise,
    sustained,
)

MS = 1_000_000
# Sent every 100 ms; the third is lost, the others come back after 10, 20, 40 and 10 ms.
RUN = Run({stamp: 100 * MS * stamp for stamp in range(5)},
          {0: 10 * MS, 1: 120 * MS, 3: 340 * MS, 4: 410 * MS})


def test_the_metrics_are_those_of_ros2_benchmark() -> None:
    found = basic_performance(RUN)
    gaps = [110.0, 220.0, 70.0]
    jitters = [abs(later - former) for former, later in zip(gaps, gaps[1:])]
    assert found == pytest.approx({
        'NUM_FRAMES_SENT': 5, 'NUM_MISSED_FRAMES': 1,
        'MEAN_PLAYBACK_FRAME_RATE': 5 / 0.4, 'MEAN_FRAME_RATE': 4 / 0.4,
        'RECEIVED_DURATION': 400, 'FIRST_SENT_RECEIVED_LATENCY': 10,
        'LAST_SENT_RECEIVED_LATENCY': 10, 'FIRST_INPUT_LATENCY': 10, 'LAST_INPUT_LATENCY': 10,
        'MAX_LATENCY': 40, 'MIN_LATENCY': 10, 'MEAN_LATENCY': 20,
        'MAX_JITTER': max(jitters), 'MIN_JITTER': min(jitters),
        'MEAN_JITTER': statistics.mean(jitters), 'STD_DEV_JITTER': statistics.pstdev(jitters)})
    assert jitter_ms(RUN) == pytest.approx(jitters)


def test_a_run_without_outputs_has_no_times() -> None:
    run = Run({0: 0, 1: MS}, {})
    assert basic_performance(run) == {'NUM_FRAMES_SENT': 2, 'NUM_MISSED_FRAMES': 2,
                                      'MEAN_PLAYBACK_FRAME_RATE': 2000.0}
    assert summarise([run])['latency_ms'] is None
    assert run.loss == 1.0 and 'nothing came back' in run_line('10 Hz', run)


def test_percentiles() -> None:
    assert percentiles(range(101)) == {'p50': 50, 'p90': 90, 'p99': 99, 'max': 100, 'mean': 50}
    assert percentiles([]) is None


def test_runs_are_put_together_as_ros2_benchmark_does() -> None:
    runs = [{'MEAN_LATENCY': value, 'MAX_LATENCY': value, 'MIN_LATENCY': value, 'A': 1}
            for value in (9.0, 1.0, 4.0, 2.0)]
    del runs[2]['A']
    assert conclude(runs) == {'MEAN_LATENCY': 3.0, 'MAX_LATENCY': 4.0, 'MIN_LATENCY': 2.0}
    assert conclude(runs[:2])['MEAN_LATENCY'] == 5.0     # too few to drop any


def counts(received: int, processed: int, overwritten: int, lost: int) -> dict[str, object]:
    return {'received': received, 'processed': processed, 'lost_in_transport': lost,
            'dropped': {'overwritten': overwritten, 'paused': 3}, 'pending': 0}


def test_accounts_are_differences_of_the_nodes_counts() -> None:
    run = Run(RUN.sent, RUN.received, 1, counts(10, 5, 2, 1), counts(15, 10, 3, 1))
    assert accounts(run) == {
        'sent': 5, 'came_back': 4, 'missed': 1, 'repeated': 1,
        'node': {'received': 5, 'processed': 5, 'lost_in_transport': 0, 'pending': 0,
                 'dropped': {'overwritten': 1}, 'lost_before': 0, 'lost_after': 0}}
    assert accounts(RUN)['node'] is None
    assert 'dropped: 1 overwritten' in run_line('10 Hz', run)


def test_a_summary_takes_all_frames_of_all_runs_together() -> None:
    stages = [{'wait': 1.0, 'pre': 2.0, 'inference': 3.0, 'post': 4.0, 'publish': 5.0}]
    found = summarise([RUN, Run({9: 0}, {9: 50 * MS}, stages=stages)])
    assert found['latency_ms']['max'] == 50 and found['latency_ms']['p50'] == 20
    assert found['loss'] == pytest.approx(1 / 6) and found['repeats'] == 2
    assert found['in_node_ms']['p50'] == 15 and found['stages_ms']['post']['max'] == 4
    assert found['BasicPerformanceMetrics.NUM_FRAMES_SENT'] == 3    # the mean
    assert summarise([RUN])['stages_ms'] is None and summarise([RUN])['in_node_ms'] is None


def run_at(rate_hz: float, limit_hz: float, sender_hz: float = 1e9) -> Run:
    """Make what a node gives that takes `limit_hz`, from a sender that reaches `sender_hz`."""
    times = np.arange(1000) * 1e9 / min(rate_hz, sender_hz)
    sent = {index: int(time) for index, time in enumerate(times)}
    kept = int(1000 * min(1.0, limit_hz / rate_hz))
    return Run(sent, dict(list(sent.items())[:kept]))


def test_a_rate_is_sustained_with_five_per_cent_loss() -> None:
    assert sustained(run_at(100, 95.0), 100) and not sustained(run_at(100, 94.8), 100)
    assert not sustained(run_at(100, 100, 90), 100)      # the sender did not reach it


@pytest.mark.parametrize('limit_hz', [0.8, 7.0, 33.0, 119.0, 500.0])
def test_the_peak_is_found_within_five_per_cent(limit_hz: float) -> None:
    rate_hz, tried = find_peak(120, lambda rate_hz: run_at(rate_hz, limit_hz))
    true_hz = min(limit_hz / 0.95, 120)
    assert true_hz / 1.06 <= rate_hz <= true_hz * 1.001
    assert {'rate_hz': 120, 'loss': pytest.approx(max(0, 1 - limit_hz / 120), abs=1e-3)} \
        == tried[0]


def test_a_node_that_sustains_nothing_has_no_peak() -> None:
    rate_hz, tried = find_peak(120, lambda rate_hz: run_at(rate_hz, 0.01))
    assert rate_hz is None and tried[-1]['rate_hz'] == 0.5
