"""Reliability of the input, against real publishers."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import Rig, picture
from sensor_msgs.msg import Image

MakeRig = Callable[..., Rig]
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


def asked(rig: Rig) -> list[ReliabilityPolicy]:
    """Give the reliability of all subscriptions to the camera, as others see them."""
    found = rig.peer.get_subscriptions_info_by_topic('image')
    return [one.qos_profile.reliability for one in found]


@pytest.mark.parametrize('offered', [RELIABLE, BEST_EFFORT])
def test_auto_matches_the_publisher(make_rig: MakeRig, offered: ReliabilityPolicy) -> None:
    rig = make_rig(qos='auto', sender=offered)
    rig.wait(lambda: asked(rig) == [offered], f'a subscription with {offered.name}')
    found = rig.listen('label_image')
    rig.wait(lambda: rig.connected(), 'a connection')
    message = rig.message(picture())
    # Best effort promises nothing of the first messages: send until one is through.
    rig.wait(lambda: rig.send(message) or found, 'a label image')
    assert found[0].header == message.header


def test_auto_follows_publishers_that_come_and_go(make_rig: MakeRig) -> None:
    rig = make_rig(qos='auto', sender=None)
    rig.wait(lambda: asked(rig) == [BEST_EFFORT], 'best effort while there is no publisher')
    reliable = rig.peer.create_publisher(Image, 'image', QoSProfile(depth=1))
    rig.wait(lambda: asked(rig) == [RELIABLE], 'a reliable one for a reliable publisher')
    weak = rig.peer.create_publisher(Image, 'image', QoSProfile(depth=1, reliability=BEST_EFFORT))
    rig.wait(lambda: asked(rig) == [BEST_EFFORT], 'best effort as soon as one offers it')
    rig.wait(lambda: weak.get_subscription_count() and reliable.get_subscription_count(),
             'both to connect')
    rig.peer.destroy_publisher(weak)
    rig.wait(lambda: asked(rig) == [RELIABLE], 'reliable again')


def test_auto_keeps_its_subscription_while_nothing_changes(make_rig: MakeRig) -> None:
    rig = make_rig(qos='auto')
    rig.wait(lambda: asked(rig) == [RELIABLE], 'a reliable subscription')
    (kept,) = (one for one in rig.node.subscriptions if one.topic_name == '/image')
    rig.peer.create_publisher(Image, 'image', QoSProfile(depth=1))
    rig.wait(lambda: kept.get_publisher_count() == 2, 'the second publisher')
    seen = len(rig.stats)
    rig.wait(lambda: len(rig.stats) >= seen + 10, 'the timer to have looked')
    assert [one for one in rig.node.subscriptions if one.topic_name == '/image'] == [kept]


@pytest.mark.parametrize('qos', ['reliable', 'best_effort'])
def test_forced(make_rig: MakeRig, qos: str) -> None:
    rig = make_rig(qos=qos)
    rig.wait(lambda: asked(rig) == [ReliabilityPolicy[qos.upper()]], qos)


def test_a_mismatch_is_logged_once_with_its_cure(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig(qos='reliable', sender=BEST_EFFORT)
    printed = []

    def warned() -> bool:
        printed.append(capfd.readouterr().err)
        return 'set it to auto or best_effort' in ''.join(printed)

    rig.wait(warned, 'the warning')
    rig.peer.create_publisher(Image, 'image', QoSProfile(depth=1, reliability=BEST_EFFORT))
    seen = len(rig.stats)
    rig.wait(lambda: len(rig.stats) >= seen + 10, 'another event')
    warned()
    assert ''.join(printed).count('a publisher of /image offers a QoS') == 1


def test_quality_overrides_touch_their_topic_only(make_rig: MakeRig) -> None:
    rig = make_rig(**{'qos_overrides./frm_seg/label_image.publisher.reliability': 'best_effort'})
    (info,) = rig.peer.get_publishers_info_by_topic('/frm_seg/label_image')
    assert info.qos_profile.reliability == BEST_EFFORT
    (info,) = rig.peer.get_publishers_info_by_topic('/frm_seg/color')
    assert info.qos_profile.reliability == RELIABLE


SENDER = """
import array, sys, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera')
publisher = node.create_publisher(
    Image, 'image', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
message = Image(height=720, width=1280, encoding='rgb8', step=3840,
                data=array.array('B', bytes(720 * 3840)))
while not publisher.get_subscription_count():
    time.sleep(0.01)
time.sleep(0.5)
for _ in range(100):
    publisher.publish(message)
    time.sleep(0.01)
sys.stdin.read()
"""


def test_what_the_middleware_lost_is_told_and_no_part_of_received(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    # Fast DDS's own shared-memory segment is too small for these images: most are lost.
    environment = {name: value for name, value in os.environ.items()
                   if name != 'FASTRTPS_DEFAULT_PROFILES_FILE'}
    rig = make_rig(qos='best_effort', sender=None)
    with subprocess.Popen([sys.executable, '-c', SENDER], stdin=subprocess.PIPE,
                          env=environment) as sender:
        try:
            rig.wait(lambda: rig.stats and rig.stats[-1].lost_in_transport > 20, 'losses')
            rig.wait(lambda: len({(one.received, one.lost_in_transport)
                                  for one in rig.stats[-20:]}) == 1, 'the end')
        finally:
            sender.stdin.close()
            sender.wait()
    assert rig.stats[-1].received + rig.stats[-1].lost_in_transport <= 100
    assert capfd.readouterr().err.count('config/fastdds_shm.xml') == 1
