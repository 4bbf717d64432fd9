"""Figures of a replay: what was sent, what came back, and when.

Names in capitals are the keys of ros2_benchmark 4.5 (BasicPerformanceMetrics), computed as there,
with messages matched by their stamp.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

R2B = 'BasicPerformanceMetrics.'
STAGES = ('wait', 'pre', 'inference', 'post', 'publish')
# ros2_benchmark's binary_search_acceptable_frame_loss_fraction, and how close the search gets.
LOSS, CLOSE = 0.05, 1.05
_LOWEST_HZ = 0.5
_MAXIMA = ('MAX_LATENCY', 'MAX_JITTER', 'MEAN_JITTER')
_MINIMA = ('MIN_LATENCY', 'MIN_JITTER')


@dataclass(frozen=True)
class Run:
    """One sending of frames at one rate.

    Attributes:
        sent: time of sending by stamp, in that order; both in ns.
        received: time of receipt in the monitor by stamp, in the order of arrival; both in ns, by
            the clock of `sent`.
        repeated: outputs whose stamp had come before.
        before: counts of the node's statistics before the run; None where it publishes none.
        after: the same after it.
        stages: stage times in ms of the frames that the node told of.
        processes: what the processes used.
    """

    sent: dict[int, int]
    received: dict[int, int]
    repeated: int = 0
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    stages: Sequence[Mapping[str, float]] = ()
    processes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def latencies_ms(self) -> np.ndarray:
        """From sending to receipt in ms, in the order of sending, for all that came back."""
        return np.array([1e-6 * (self.received[stamp] - sent)
                         for stamp, sent in self.sent.items() if stamp in self.received])

    @property
    def loss(self) -> float:
        """Share of the frames sent that did not come back, 0..1."""
        return 1 - len(self.received) / len(self.sent)


def percentiles(values: Sequence[float] | np.ndarray) -> dict[str, float] | None:
    """Give p50, p90, p99, max and mean; None of no values."""
    if not len(values):
        return None
    ranks = {f'p{rank}': float(np.percentile(values, rank)) for rank in (50, 90, 99)}
    return {**ranks, 'max': float(np.max(values)), 'mean': float(np.mean(values))}


def jitter_ms(run: Run) -> np.ndarray:
    """Give by how many ms the distance of two outputs differs from that of the two before.

    |diff(diff(times of receipt))|, as ros2_benchmark's BasicPerformanceCalculator has it.
    """
    return 1e-6 * np.abs(np.diff(list(run.received.values()), n=2))


def basic_performance(run: Run) -> dict[str, float]:
    """Give the metrics of ros2_benchmark; those that need more frames than came are left out."""
    sent, received = list(run.sent.values()), list(run.received.values())
    found: dict[str, float] = {'NUM_FRAMES_SENT': len(sent),
                               'NUM_MISSED_FRAMES': len(sent) - len(received)}
    if len(sent) > 1:
        found['MEAN_PLAYBACK_FRAME_RATE'] = 1e9 * len(sent) / (sent[-1] - sent[0])
    if received:
        latencies = run.latencies_ms
        found |= {'RECEIVED_DURATION': 1e-6 * (received[-1] - received[0]),
                  'FIRST_SENT_RECEIVED_LATENCY': 1e-6 * (received[0] - sent[0]),
                  'LAST_SENT_RECEIVED_LATENCY': 1e-6 * (received[-1] - sent[-1]),
                  'FIRST_INPUT_LATENCY': float(latencies[0]),
                  'LAST_INPUT_LATENCY': float(latencies[-1]),
                  'MAX_LATENCY': float(latencies.max()), 'MIN_LATENCY': float(latencies.min()),
                  'MEAN_LATENCY': float(latencies.mean())}
    if len(received) > 1:
        found['MEAN_FRAME_RATE'] = 1e9 * len(received) / (received[-1] - received[0])
    jitters = jitter_ms(run)
    if len(jitters):
        found |= {'MAX_JITTER': float(jitters.max()), 'MIN_JITTER': float(jitters.min()),
                  'MEAN_JITTER': float(jitters.mean()), 'STD_DEV_JITTER': float(jitters.std())}
    return found


def conclude(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Put the metrics of several runs into one, as ros2_benchmark does.

    Of three runs or more the best and the worst are dropped; then the mean is taken, for the
    metrics of _MAXIMA the maximum, of _MINIMA the minimum. A metric that a run lacks is left out.
    """
    together = {}
    for name in found[0]:
        values = sorted(one[name] for one in found if name in one)
        if len(values) < len(found):
            continue
        if len(values) > 2:
            values = values[1:-1]
        reduce = max if name in _MAXIMA else min if name in _MINIMA else np.mean
        together[name] = float(reduce(values))
    return together


def accounts(run: Run) -> dict[str, Any]:
    """Tell what became of the frames that were sent; `node` as its statistics have it."""
    told = {'sent': len(run.sent), 'came_back': len(run.received),
            'missed': len(run.sent) - len(run.received), 'repeated': run.repeated, 'node': None}
    if run.before is None or run.after is None:
        return told
    counts = {name: run.after[name] - run.before[name]
              for name in ('received', 'processed', 'lost_in_transport')}
    dropped = {reason: count - run.before['dropped'].get(reason, 0)
               for reason, count in run.after['dropped'].items()}
    told['node'] = {
        **counts, 'dropped': {reason: count for reason, count in dropped.items() if count},
        'pending': run.after['pending'],
        'lost_before': told['sent'] - counts['received'],
        'lost_after': counts['processed'] - told['came_back'] - told['repeated']}
    return told


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Put the runs of one rate into a dict for JSON; times in milliseconds."""
    stages = [stages for run in runs for stages in run.stages]
    received = sum(len(run.received) for run in runs)
    return {
        **{R2B + name: value
           for name, value in conclude([basic_performance(run) for run in runs]).items()},
        'repeats': len(runs),
        'loss': 1 - received / sum(len(run.sent) for run in runs),
        'latency_ms': percentiles(np.concatenate([run.latencies_ms for run in runs])),
        'jitter_ms': percentiles(np.concatenate([jitter_ms(run) for run in runs])),
        'stages_ms': {stage: percentiles([one[stage] for one in stages]) for stage in STAGES}
        if stages else None,
        'in_node_ms': percentiles([sum(one[stage] for stage in STAGES) for one in stages]),
        'accounts': [accounts(run) for run in runs],
        'processes': [run.processes for run in runs],
    }


def sustained(run: Run, rate_hz: float) -> bool:
    """Tell whether a rate was reached, and at most LOSS of the frames lost, rounded up."""
    reached = basic_performance(run).get('MEAN_PLAYBACK_FRAME_RATE', 0.0)
    missed = len(run.sent) - len(run.received)
    return missed <= math.ceil(LOSS * len(run.sent)) and reached >= (1 - LOSS) * rate_hz


def find_peak(highest_hz: float, probe: Callable[[float], Run]
              ) -> tuple[float | None, list[dict[str, float]]]:
    """Find the highest rate that is sustained, to within a factor of CLOSE.

    The rate is halved until it is sustained; then the interval is halved, by its ratio.

    Args:
        highest_hz: where to begin.
        probe: sends at a rate.

    Returns:
        The rate in Hz, None where not even half a frame a second is sustained; and `rate_hz` and
        `loss` of every run.
    """
    tried: list[dict[str, float]] = []

    def try_rate(rate_hz: float) -> bool:
        run = probe(rate_hz)
        tried.append({'rate_hz': rate_hz, 'loss': run.loss})
        return sustained(run, rate_hz)

    low, high = highest_hz, highest_hz
    while not try_rate(low):
        if low <= _LOWEST_HZ:
            return None, tried
        low, high = max(low / 2, _LOWEST_HZ), low
    while high / low > CLOSE:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if try_rate(middle) else (low, middle)
    return low, tried


def run_line(name: str, run: Run) -> str:
    """Tell of one run in a line."""
    figures = percentiles(run.latencies_ms)
    rate = basic_performance(run).get('MEAN_FRAME_RATE')
    times = ' '.join(f'{rank} {figures[rank]:.1f}' for rank in ('p50', 'p90', 'p99', 'max')
                     ) if figures else 'nothing came back'
    counted = accounts(run)['node']
    dropped = ', '.join(f'{count} {reason}' for reason, count in counted['dropped'].items()
                        ) if counted else ''
    return (f'{name:<16}{len(run.sent):>6} sent{len(run.received):>6} back'
            f'{100 * run.loss:>7.1f} % lost{rate or 0:>8.2f} fps  ms: {times}'
            f'{f"  dropped: {dropped}" if dropped else ""}')
