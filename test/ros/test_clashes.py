"""Nodes in one another's place are told of, with what they share."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rig import Rig, picture
from sensor_msgs.msg import Image

from frm_seg_ros.ros.clashes import find_clashes

MakeRig = Callable[..., Rig]


def test_two_nodes_of_one_name_name_their_topics_and_services(
        make_rig: MakeRig, capfd: pytest.CaptureFixture[str]) -> None:
    rig = make_rig()
    found: list[DiagnosticStatus] = []
    rig.peer.create_subscription(DiagnosticArray, '/diagnostics',
                                 lambda message: found.extend(message.status), 10)
    rig.wait(lambda: len(found) > 6, 'diagnostics')
    assert not find_clashes(rig.node)
    assert {one.name for one in found} <= {'frm_seg: engine', 'frm_seg: camera',
                                           'frm_seg: machine'}
    other = make_rig(sender=None)
    rig.wait(lambda: find_clashes(rig.node) and find_clashes(other.node), 'both to see the other')
    rig.wait(lambda: any(one.name == 'frm_seg: names' for one in found), 'the warning')
    text = next(one for one in found if one.name == 'frm_seg: names')
    assert text.level == DiagnosticStatus.WARN
    rig.wait(lambda: '/frm_seg/color' in find_clashes(rig.node), 'all topics to be seen')
    words = find_clashes(rig.node)
    assert words.startswith('another /frm_seg publishes on /frm_seg/')
    for name in ('/frm_seg/label_image', '/frm_seg/stats', '/frm_seg/change_state',
                 '/frm_seg/enable', '/frm_seg/set_parameters', '2 nodes are called /frm_seg',
                 '-r __node:=NAME'):
        assert name in words
    assert '/rosout' not in words and '/diagnostics' not in words
    told: list[str] = []
    rig.wait(lambda: told.append(capfd.readouterr().err) or words in ''.join(told), 'the log')


def test_another_node_on_one_of_our_topics_is_named(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.peer.create_publisher(Image, '/frm_seg/color', 1)
    rig.wait(lambda: find_clashes(rig.node), 'the clash')
    assert find_clashes(rig.node).startswith('node /peer publishes on /frm_seg/color too: give')


def test_a_clash_does_not_keep_it_from_working(make_rig: MakeRig) -> None:
    rig = make_rig()
    labels: list[Any] = rig.listen('label_image')
    rig.peer.create_publisher(Image, '/frm_seg/label_image', 1)
    rig.wait(lambda: find_clashes(rig.node), 'the clash')
    rig.send(rig.message(picture()))
    rig.wait_messages(labels, 1)
