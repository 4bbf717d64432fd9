"""The SROS 2 policy against what a running node has: nothing missing, nothing too much."""
from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('frm_seg_ros.msg', reason='the messages are not built')

POLICY = Path(__file__).resolve().parents[2] / 'config' / 'sros2' / 'frm_seg.policy.xml'
# Topics of a choice: simulated time, depth while somebody reads the points, and labels for those
# who have vision_msgs.
CHOICES = {'/clock', '/depth', '/frm_seg/label_info'}


def allowed(kind: str, rule: str) -> set[str]:
    """List the full names to which the policy gives a rule, such as topics and publish."""
    profile = ElementTree.parse(POLICY).getroot().find('enclaves/enclave/profiles/profile')
    assert (profile.get('ns'), profile.get('node')) == ('/', 'frm_seg')
    names = {item.text for group in profile.findall(kind) if group.get(rule) == 'ALLOW'
             for item in group}
    return {name.replace('~', '/frm_seg') if name[0] == '~' else '/' + name.lstrip('/')
            for name in names}


def graph_of(node: Any) -> dict[tuple[str, str], set[str]]:
    """List what a node publishes, subscribes to, serves and calls."""
    name = (node.get_name(), node.get_namespace())
    found = {('topics', 'publish'): node.get_publisher_names_and_types_by_node(*name),
             ('topics', 'subscribe'): node.get_subscriber_names_and_types_by_node(*name),
             ('services', 'reply'): node.get_service_names_and_types_by_node(*name),
             ('services', 'request'): node.get_client_names_and_types_by_node(*name)}
    return {key: {topic for topic, _ in items} for key, items in found.items()}


def test_the_policy_allows_what_the_node_has_and_no_more(make_rig: Callable[..., Any]) -> None:
    rigs = [make_rig(masks=['drivable: road'], transport=transport)
            for transport in ('raw', 'compressed')]
    graphs = [graph_of(rig.node) for rig in rigs]
    for rule in graphs[0]:
        known = allowed(*rule)
        used = graphs[0][rule] | graphs[1][rule]
        missing = {name for name in used if not any(fnmatchcase(name, one) for one in known)}
        unused = {one for one in known if not any(fnmatchcase(name, one) for name in used)}
        assert not missing and unused <= CHOICES, rule
    assert graphs[0]['topics', 'publish'] and not graphs[0]['services', 'request']
