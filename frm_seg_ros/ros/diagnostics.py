"""The words of /diagnostics."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from frm_seg_ros.ros.accounting import Counts
from frm_seg_ros.ros.engine import Engine
from frm_seg_ros.ros.health import Health, Recent
from frm_seg_ros.ros.parameters import NodeParameters

OK, WARN, ERROR, STALE = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR,
                          DiagnosticStatus.STALE)
FROZEN_SECONDS = 5.0
# Drops that are no fault of a frame; all other reasons are.
HARMLESS = {'overwritten', 'rate', 'paused', 'no_listener', 'inactive', 'too_old'}


def status(name: str, level: bytes, message: str, values: dict[str, Any]) -> DiagnosticStatus:
    """Make a status; floats are written with one decimal."""
    return DiagnosticStatus(name=name, level=level, message=message, values=[
        KeyValue(key=key, value=f'{value:.1f}' if isinstance(value, float) else str(value))
        for key, value in values.items()])


def engine_status(node: str, engine: Engine) -> DiagnosticStatus:
    """Tell what runs the network.

    ERROR: it failed and is to be opened anew. WARN: it has been at work for more than half of the
    time after which it is taken to hang.
    """
    segmenter, busy_s, wait_s = engine.segmenter, engine.busy_s, engine.wait_s
    height, width = segmenter.size
    values = {'model': segmenter.card.name, 'model_sha256': segmenter.card.sha256,
              'label_space': segmenter.label_space.name, 'backend': segmenter.backend.name,
              'device': segmenter.backend.device, 'precision': segmenter.backend.precision,
              'network size (height x width)': f'{height}x{width}', 'failures': engine.failures,
              'work in hand s': busy_s}
    level, message = OK, engine.chosen
    if 0 < 0.5 * engine.timeout_s < busy_s:
        level, message = WARN, (f'the work in hand has taken {busy_s:.1f} s, after '
                                f'{engine.timeout_s:g} s the engine is taken to hang')
    elif wait_s is not None:
        level, message = ERROR, f'{engine.fault}; it is opened anew in {wait_s:.0f} s'
    return status(f'{node}: engine', level, message, values)


@dataclass(frozen=True)
class Input:
    """Facts of a camera's subscription: topic, number of publishers, reliability asked for."""

    topic: str
    publishers: int
    reliability: str


def camera_status(name: str, health: Health, counts: Counts, source: Input | None,
                  parameters: NodeParameters, now: float) -> DiagnosticStatus:
    """Tell how a camera is doing; `now` in seconds of `time.monotonic`.

    STALE: no image comes. ERROR: images come and none can be labelled. WARN: some cannot, they
    are old or always the same, or they take longer than `budget_ms`.
    """
    recent = health.look(counts, now)
    level, message = _judge(health, recent, source, parameters, now)
    values: dict[str, Any] = {}
    if source is not None:
        values |= {'topic': source.topic, 'publishers': source.publishers,
                   'reliability': source.reliability}
    if health.arrived is not None:
        values['last image before s'] = now - health.arrived
    values |= {'received Hz': recent.rate(recent.received),
               'labelled Hz': recent.rate(recent.processed),
               'received': counts.received, 'processed': counts.processed,
               'pending': counts.pending, 'lost_in_transport': counts.lost_in_transport}
    values |= {f'dropped {reason}': count for reason, count in sorted(counts.dropped.items())}
    if health.times_ms:
        values |= {f'{stage} ms': value for stage, value in health.times_ms.items()}
        values['total ms'] = total_ms(health)
    if parameters.budget_ms:
        values['budget ms'] = parameters.budget_ms
    if health.error is not None:
        when, reason, why = health.error
        values |= {'last error': f'{reason}: {why}', 'last error before s': now - when}
    return status(name, level, message, values)


def total_ms(health: Health) -> float:
    """Give the time from the arrival of the last labelled frame to its publication."""
    return sum(value for stage, value in health.times_ms.items() if stage != 'age')


def _judge(health: Health, recent: Recent, source: Input | None, parameters: NodeParameters,
           now: float) -> tuple[bytes, str]:
    """Say the most important thing first."""
    if source is None or health.since is None:
        return OK, 'inactive'
    silent_s = now - (health.since if health.arrived is None else health.arrived)
    if silent_s > 1e-3 * parameters.stale_ms > 0:
        return STALE, (f'no image for {silent_s:.1f} s: {source.topic} has {source.publishers} '
                       'publishers')
    failed = {reason: count for reason, count in recent.dropped.items() if reason not in HARMLESS}
    if failed:
        reasons = ', '.join(f'{reason} {count}' for reason, count in sorted(failed.items()))
        some = 'some images' if recent.processed else 'no image'
        told = f': {health.error[2]}' if health.error else ''
        verb = 'could not be labelled' if recent.processed else 'could be labelled'
        return WARN if recent.processed else ERROR, f'{some} {verb} ({reasons}){told}'
    if not parameters.enabled:
        return OK, 'paused'
    return _judge_quality(health, recent, parameters)


def _judge_quality(health: Health, recent: Recent,
                   parameters: NodeParameters) -> tuple[bytes, str]:
    if old := recent.dropped.get('too_old'):
        return WARN, (f'{old} of {recent.received} images were older than max_age_ms, '
                      f'{parameters.max_age_ms:g}')
    if health.stamp.frozen_s > FROZEN_SECONDS:
        return WARN, ('the stamp of the images has not changed for '
                      f'{health.stamp.frozen_s:.1f} s: is the camera frozen?')
    if recent.processed and health.picture.frozen_s > FROZEN_SECONDS:
        return WARN, (f'the picture has not changed for {health.picture.frozen_s:.1f} s: is the '
                      'camera frozen or covered?')
    if recent.lost_in_transport:
        return WARN, f'{recent.lost_in_transport} images were lost on the way here'
    if recent.processed and 0 < parameters.budget_ms < total_ms(health):
        return WARN, (f'a frame took {total_ms(health):.1f} ms, budget_ms is '
                      f'{parameters.budget_ms:g}')
    if recent.dropped.get('no_listener') and not recent.processed:
        return OK, f'{recent.rate(recent.received):.1f} images a second, and nobody listens'
    return OK, (f'{recent.rate(recent.received):.1f} images a second, '
                f'{recent.rate(recent.processed):.1f} labelled')
