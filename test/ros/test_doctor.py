"""The ROS part of the doctor as a child process, against real publishers."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

import rclpy
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from frm_seg_ros.core.encodings import fill_image
from frm_seg_ros.tools import doctor_facts

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
SECONDS = 2.0
RATE_HZ = 10.0


@pytest.fixture
def node() -> Iterator[Any]:
    context = Context()
    rclpy.init(context=context)
    found = rclpy.create_node('robot', context=context)
    yield found
    found.destroy_node()
    context.try_shutdown()


class Sender:
    """Publishes a message again and again, stamped so many seconds before now."""

    def __init__(self, node: Any, topic: str, message: Any, reliability: ReliabilityPolicy,
                 late_s: int = 0) -> None:
        self._node, self._message, self._late_s = node, message, late_s
        self._publisher = node.create_publisher(type(message), topic,
                                                QoSProfile(depth=2, reliability=reliability))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        while not self._stop.wait(1 / RATE_HZ):
            stamp = self._node.get_clock().now().to_msg()
            stamp.sec -= self._late_s
            self._message.header.stamp = stamp
            self._publisher.publish(self._message)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def picture(height: int, width: int) -> Image:
    import numpy as np
    message = Image()
    message.header.frame_id = 'front'
    fill_image(message, np.zeros((height, width, 3), np.uint8), 'bgr8')
    return message


def look() -> dict[str, Any]:
    found = doctor_facts._child(['frm_seg_ros.ros.doctor', '--seconds', str(SECONDS)], 60)
    assert found['problem'] == ''
    return found


def test_cameras_of_both_kinds(node: Any) -> None:
    """A large best-effort one with stamps that are late, and a reliable compressed one."""
    small = CompressedImage(format='jpeg', data=bytes(1000))
    with Sender(node, '/large/image', picture(720, 1280), BEST_EFFORT, late_s=100), \
            Sender(node, '/small/compressed', small, RELIABLE):
        facts = look()
    large, little = sorted(facts['cameras'], key=lambda one: one['topic'])
    assert (large['topic'], large['node_takes'], large['format']) == (
        '/large/image', 'BEST_EFFORT', 'bgr8')
    assert large['publishers'] == [
        {'node': '/robot', 'reliability': 'BEST_EFFORT', 'durability': 'VOLATILE'}]
    assert (large['height'], large['width'], large['largest_bytes']) == (720, 1280, 2764800)
    # With our profile hardly one of them is lost; half leaves room for a busy machine.
    assert SECONDS * RATE_HZ / 2 <= large['received'] + large['lost'] <= SECONDS * RATE_HZ + 2
    assert large['received'] and 100 <= large['delay_s'] < 105
    assert (large['stamped'], large['frame_id']) == (True, 'front')
    assert (little['node_takes'], little['format'], little['largest_bytes']) == (
        'RELIABLE', 'jpeg', 1000)
    assert RATE_HZ / 2 < little['rate_hz'] < RATE_HZ + 1
    assert facts['rmw'] and facts['messages_problem'] == '' and facts['mismatches'] == []


def test_who_does_not_connect(node: Any) -> None:
    kept = [node.create_publisher(Image, '/camera', QoSProfile(depth=1, reliability=BEST_EFFORT)),
            node.create_subscription(Image, '/camera', print, QoSProfile(depth=1)),
            node.create_publisher(Image, '/good', QoSProfile(depth=1)),
            node.create_subscription(Image, '/good', print, QoSProfile(depth=1)),
            node.create_publisher(Image, '/latched', QoSProfile(depth=1)),
            node.create_subscription(Image, '/latched', print, QoSProfile(
                depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))]
    found = sorted(look()['mismatches'])
    assert len(kept) == 6 and len(found) == 2
    assert found[0] == ('/camera: nothing goes from /robot to /robot (Best effort publisher and '
                        'reliable subscription)')
    assert found[1].startswith('/latched') and 'transient local subscription' in found[1]


def test_our_node_that_nobody_feeds(make_rig: Callable[..., Any]) -> None:
    """Its own outputs are no cameras."""
    make_rig(qos='auto', sender=None)
    facts = look()
    assert (facts['our_nodes'], facts['nobody_publishes']) == (['/frm_seg'], ['/image'])
    assert facts['cameras'] == []


def test_messages_that_are_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'blocked.py').write_text("""
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == 'frm_seg_ros.msg':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Block())
sys.argv = ['doctor', '--seconds', '0.1']
runpy.run_module('frm_seg_ros.ros.doctor', run_name='__main__')
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = doctor_facts._child(['blocked'], 60)
    assert found['problem'] == '' and 'colcon build' in found['messages_problem']
