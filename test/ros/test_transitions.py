"""All transitions in any order: state, topics and images are what the state says."""
from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rig import Rig, picture, pixels
from sensor_msgs.msg import Image

from frm_seg_ros.segmenter import Segmenter

MakeRig = Callable[..., Rig]
# The states of a managed node (design.ros2.org/articles/node_lifecycle.html).
NEXT = {('unconfigured', 'configure'): 'inactive', ('inactive', 'activate'): 'active',
        ('active', 'deactivate'): 'inactive', ('inactive', 'cleanup'): 'unconfigured',
        ('unconfigured', 'shutdown'): 'finalized', ('inactive', 'shutdown'): 'finalized',
        ('active', 'shutdown'): 'finalized'}
ALL = ('configure', 'activate', 'deactivate', 'cleanup')


class Walker:
    """A rig, the state that it should be in, and the images that should have come out."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.state = 'unconfigured'
        self.labels: list[Image] = rig.listen('label_image')
        self.sent: list[Image] = []

    def go(self, transition: str) -> None:
        """Ask for a transition, which is refused where there is none."""
        wanted = NEXT.get((self.state, transition))
        assert self.rig.change(transition) == (wanted is not None), (self.state, transition)
        self.state = wanted or self.state
        assert self.rig.state() == self.state
        if wanted == 'unconfigured':   # the counts begin anew
            self.rig.wait(lambda: not self.rig.peer.count_publishers('/frm_seg/stats'),
                          'the statistics to end')
            self.rig.stats.clear()

    def look(self) -> None:
        """Hold topics, subscription and images to the state."""
        rig, publisher = self.rig, self.rig.publisher('/frm_seg/label_image')
        topics = [one.topic_name for one in rig.node.publishers]
        assert len(topics) == len(set(topics))
        assert (publisher is not None) == (self.state in ('inactive', 'active'))
        image = rig.message(picture(len(self.sent)))
        if self.state == 'active':
            rig.wait(publisher.get_subscription_count, 'the listener to be seen')
            rig.send(image)
            self.sent.append(image)
            rig.wait(lambda: len(self.labels) >= len(self.sent), 'the labels')
        else:
            rig.wait(lambda: not rig.connected(), 'the subscription to end')
            rig._senders[''].publish(image)
            if self.state == 'inactive':
                rig.publisher('/frm_seg/label_image').publish(Image())   # managed: goes nowhere

    def check(self, model: Path) -> None:
        """Compare all that came with what was sent while active."""
        assert [one.header for one in self.labels] == [one.header for one in self.sent]
        segmenter = Segmenter.open(model, 'onnxruntime')
        for number, found in enumerate(self.labels):
            np.testing.assert_array_equal(pixels(found), segmenter([picture(number)])[0].labels)
        segmenter.close()


@pytest.mark.parametrize('seed, steps', [
    (70, 40), pytest.param(2, 1000, marks=pytest.mark.long)])
def test_a_random_walk(make_rig: MakeRig, model: Path, seed: int, steps: int) -> None:
    walker = Walker(make_rig(autostart=False))
    chance = random.Random(seed)
    gone = set()
    for _ in range(steps):
        before = walker.state
        choices = [one for one in ALL if (before, one) in NEXT]
        transition = chance.choice(choices if chance.random() < 0.6 else ALL)
        walker.go(transition)
        gone.add((before, transition))
        walker.look()
    assert gone == {(state, one) for state in ('unconfigured', 'inactive', 'active')
                    for one in ALL}   # the seed makes it go all ways
    walker.check(model)


@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'active'])
def test_shutdown_from_every_state_is_for_good(
        make_rig: MakeRig, model: Path, state: str) -> None:
    walker = Walker(make_rig(autostart=False))
    for transition in {'unconfigured': [], 'inactive': ['configure'],
                       'active': ['configure', 'activate']}[state]:
        walker.go(transition)
    walker.look()
    walker.go('shutdown')
    walker.look()
    for transition in (*ALL, 'shutdown'):
        walker.go(transition)
    walker.look()
    walker.check(model)
    success, reason = walker.rig.set('model', '/elsewhere')
    assert not success and 'only while the node is unconfigured' in reason


def test_a_transition_that_nobody_knows_is_refused(make_rig: MakeRig) -> None:
    rig = make_rig()
    assert not rig.change('levitate')
    assert rig.state() == 'active'


def test_configure_with_bad_and_good_parameters_in_turn(make_rig: MakeRig, model: Path) -> None:
    walker = Walker(make_rig(autostart=False))
    for _ in range(5):
        assert walker.rig.set('model', '/no/such/model')[0]
        assert not walker.rig.change('configure') and walker.rig.state() == 'unconfigured'
        assert walker.rig.set('model', str(model))[0]
        for transition in ('configure', 'activate'):
            walker.go(transition)
        walker.look()
        for transition in ('deactivate', 'cleanup'):
            walker.go(transition)
        walker.look()
    walker.check(model)
