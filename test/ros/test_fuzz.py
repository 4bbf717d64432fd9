"""Whatever messages hold and parameters are set to, the node lives, counts true and labels right.

`make test` sends FUZZ=4000 mutations, `make fuzz` 100 000; one in twenty goes through DDS.
"""
from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from fuzz_messages import FLOATS, TEXTS, camera_info, mutated
from rclpy.parameter import Parameter
from rig import Rig, picture, pixels
from sensor_msgs.msg import CameraInfo

from frm_seg_ros.ros.camera import Camera
from frm_seg_ros.ros.parameters import OWN, SPECS
from frm_seg_ros.segmenter import Segmenter

COUNT = int(os.environ.get('FUZZ', '4000'))
LEAST = COUNT // 500   # of every reason: 200 of 100 000
SEED = 20240601
REASONS = ('overwritten', 'too_old', 'bad_size', 'bad_step', 'bad_data', 'bad_encoding',
           'bad_compressed', 'paused', 'no_listener', 'inactive', 'rate', 'engine_error')
VALUES = (True, False, 0, 1, -1, 90, 254, 255, 2**62, -2**62, 0.5, *FLOATS, *TEXTS, [1, 2], [0.5],
          [True], ['', ''], ['x: road'], [b'x'], None, '0x0', '1x1', '9999x9999', '99x99+0+0')
GOOD = picture(7, (24, 32))


class Fuzz:
    """A node with the cameras raw, jpeg and deaf (nobody listens to it), and its counts.

    Attributes:
        sent: how many images went to each camera.
        mutations: how many mutations were tried, by kind.
    """

    def __init__(self, rig: Rig, wanted: np.ndarray) -> None:
        self.rig = rig
        self.sent: Counter[str] = Counter()
        self.mutations: Counter[str] = Counter()
        self.chance = np.random.default_rng(SEED)
        self._wanted = wanted
        self._labels = rig.listen('raw/label_image', callback=self._take, qos=2000)
        rig.listen('jpeg/label_image', callback=lambda _: None, qos=2000)
        rig.listen('raw/camera_info', CameraInfo, callback=lambda _: None, qos=2000)
        self._awaited = ''
        self._good: list[Any] = []
        self._defaults = {name: rig.node.get_parameter(name).value for name, item in SPECS.items()
                          if item.metadata['live']}

    def _take(self, message: Any) -> None:
        if message.header.frame_id == self._awaited:
            self._good.append(message)

    def camera(self, name: str) -> Camera:
        return self.rig.node._cameras[name]

    def put(self, name: str, message: Any, wait: bool = True) -> None:
        """Let a message enter the callback of a camera's subscription."""
        self.camera(name)._on_message(message)
        self.sent[name] += 1
        if wait:
            self.settle(name)

    def settle(self, name: str) -> None:
        """Wait until nothing is pending; hold every snapshot to the accounting."""
        deadline = time.monotonic() + 20
        while self.check(name):
            assert time.monotonic() < deadline, 'a frame stays pending'
            time.sleep(0)

    def check(self, name: str) -> int:
        """Hold a snapshot to the accounting; give the number of pending frames."""
        counts = self.camera(name).accounting.snapshot()
        total = counts.processed + sum(counts.dropped.values()) + counts.pending
        assert counts.received == total == self.sent[name] and 0 <= counts.pending <= 2, counts
        assert set(counts.dropped) <= set(REASONS), counts
        return counts.pending

    def good(self) -> None:
        """Send a good frame and compare its labels."""
        message = self.rig.message(GOOD)
        message.header.frame_id = self._awaited = f'good {self.sent["raw"]}'
        self._good.clear()
        self.put('raw', message)
        self.rig.wait(lambda: self._good, 'the labels of a good frame')
        np.testing.assert_array_equal(pixels(self._good[0]), self._wanted)

    def mutate(self, kind: str, name: str = 'raw', count: int = 100, wait: bool = True) -> None:
        """Send mutations of a kind."""
        self.mutations[kind] += count
        for message in [mutated(kind, self.chance) for _ in range(count)]:
            self.put(name, message, wait)
        self.settle(name)

    def infos(self) -> None:
        """Let mutated calibrations enter, each followed by a frame now and then."""
        self.mutations['camera_info'] += 100
        for number in range(100):
            self.camera('raw')._outlet.info._take(mutated('camera_info', self.chance))
            if number % 5 == 0:
                self.put('raw', self.rig.message(GOOD))
        self.camera('raw')._outlet.info._take(camera_info(self.chance))

    def parameters(self) -> None:
        """Set parameters to all sorts of values; what is refused says why."""
        names = [*SPECS, *(f'raw.{name}' for name in OWN)]
        self.mutations['parameter'] += 100
        for _ in range(100):
            name = names[self.chance.integers(len(names))]
            value = VALUES[self.chance.integers(len(VALUES))]
            if not self.rig.node.has_parameter(name):   # rclpy itself refuses those
                continue
            before = self.rig.node.get_parameter(name).value
            (result,) = self.rig.node.set_parameters([Parameter(name, value=value)])
            after = self.rig.node.get_parameter(name).value
            assert result.successful or (result.reason and _same(after, before)), (name, value)
        with self.live():
            pass

    @contextmanager
    def live(self, **values: Any) -> Iterator[None]:
        """Set live parameters; then all go back to what they were."""
        for name, value in values.items():
            (result,) = self.rig.node.set_parameters([Parameter(name, value=value)])
            assert result.successful, result.reason
        yield
        self.rig.node.set_parameters([Parameter(name, value=value)
                                      for name, value in self._defaults.items()])

    def paused(self) -> None:
        with self.live(enabled=False):
            self.mutate('image')

    def old(self) -> None:
        with self.live(max_age_ms=1.0):
            self.mutate('image')

    def rate(self) -> None:
        with self.live(max_rate=1.0):
            self.mutate('compressed', 'jpeg')
        self.camera('raw')._rate._due = self.camera('jpeg')._rate._due = float('-inf')

    def inactive(self) -> None:
        """Callbacks that come late: after the deactivation."""
        assert self.rig.change('deactivate')
        self.mutate('image')
        assert self.rig.change('activate')
        self.rig.wait(self.heard, 'the listener to be seen')

    def heard(self) -> bool:
        return all(self.rig.publisher(f'/frm_seg/{name}/label_image').get_subscription_count()
                   for name in ('raw', 'jpeg'))

    def broken(self) -> None:
        """An engine that raises while mutations come."""
        real = Segmenter.__call__

        def broken(*_: Any) -> Any:
            raise RuntimeError('the runtime says no')

        Segmenter.__call__ = broken
        try:
            self.mutate('compressed', 'jpeg')
        finally:
            Segmenter.__call__ = real
        self.rig.wait_engine()

    def dds(self, count: int) -> None:
        """Let a process of its own send mutations through DDS."""
        paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name('fuzz_messages.py'), str(SEED), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {'PYTHONPATH': paths})
        try:
            kinds = Counter(process.stdout.readline().strip() for _ in range(count))
            for kind, name in (('image', 'raw'), ('compressed', 'jpeg')):
                self.sent[name] += kinds[kind]
                self.rig.wait(lambda name=name: self.camera(name).accounting.snapshot().received
                              >= self.sent[name], f'all {kind} of {kinds} to come')
                self.settle(name)
            self.mutations['DDS'] += count
            process.communicate('', timeout=20)
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait()

    def dropped(self) -> Counter[str]:
        """Give the drops of all cameras by reason."""
        total: Counter[str] = Counter()
        for name in ('raw', 'jpeg', 'deaf'):
            total.update(self.camera(name).accounting.snapshot().dropped)
        return total


def _same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def test_mutated_messages_and_parameters(make_rig: Callable[..., Rig], model: Path,
                                         tell: Callable[..., None]) -> None:
    rig = make_rig(cameras=['raw', 'jpeg', 'deaf'], sender=None,
                   **{'jpeg.transport': 'compressed'})
    segmenter = Segmenter.open(model, 'onnxruntime')
    fuzz = Fuzz(rig, segmenter([GOOD])[0].labels)
    segmenter.close()
    rig.wait(fuzz.heard, 'the listeners to be seen')
    plain = [lambda: fuzz.mutate('image'), lambda: fuzz.mutate('compressed', 'jpeg'),
             fuzz.infos, fuzz.parameters]
    rare = [fuzz.paused, fuzz.old, fuzz.rate, fuzz.inactive, fuzz.broken,
            lambda: fuzz.mutate('image', wait=False), lambda: fuzz.mutate('image', 'deaf')]
    through_dds = COUNT // 20
    fuzz.good()
    turn = 0
    while sum(fuzz.mutations.values()) < COUNT - through_dds:
        step = rare[turn // 4 % len(rare)] if turn % 4 == 3 else plain[turn * 7 // 4 % 4]
        step()
        fuzz.good()
        turn += 1
    for _ in range(max(1, through_dds // 600)):
        fuzz.dds(through_dds // max(1, through_dds // 600))
        fuzz.good()
    dropped = fuzz.dropped()
    processed = sum(fuzz.camera(name).accounting.snapshot().processed
                    for name in ('raw', 'jpeg', 'deaf'))
    fuzz.mutations['all'] = sum(fuzz.mutations.values())
    print(f'{dict(fuzz.mutations)}: {processed} processed, dropped {dict(dropped)}')
    assert all(dropped[reason] >= max(LEAST, 1) for reason in REASONS), dropped
    assert threading.active_count() < 20
    assert rig.state() == 'active'
    tell(mutations=dict(fuzz.mutations), processed=processed, dropped=dict(dropped))
