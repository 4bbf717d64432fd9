"""Other nodes that have our name, or publish on our topics."""
from __future__ import annotations

from collections import Counter

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from frm_seg_ros.ros.diagnostics import WARN, status

SHARED = ('/diagnostics', '/rosout', '/parameter_events')   # topics that many nodes publish on
UNKNOWN = '_NODE_NAME_UNKNOWN_'   # what rmw says of a node that it only begins to hear of


class Clashes:
    """Tells of other nodes in the place of a node, once in its log."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen = self._told = ''

    def look(self) -> DiagnosticStatus | None:
        """Give a warning while there are any; log it when no more of it comes to light."""
        before, self._seen = self._seen, find_clashes(self._node)
        if self._seen == before != self._told:
            self._told = self._seen
            if self._seen:
                self._node.get_logger().warning(self._seen)
        if not self._seen:
            return None
        return status(f'{self._node.get_name()}: names', WARN, self._seen, {})


def find_clashes(node: Node) -> str:
    """Say which other nodes publish on our topics or have our services; empty when none does."""
    ours = node.get_fully_qualified_name()
    own_topics = Counter(one.topic_name for one in node.publishers)
    topics: dict[str, list[str]] = {}
    for topic, own in own_topics.items():
        if topic in SHARED:
            continue
        found = Counter(f'{info.node_namespace.rstrip("/")}/{info.node_name}'
                        for info in node.get_publishers_info_by_topic(topic)
                        if info.node_name != UNKNOWN)
        for name in found - Counter({ours: own}):
            topics.setdefault(name, []).append(topic)
    names = Counter(f'{namespace.rstrip("/")}/{name}'
                    for name, namespace in node.get_node_names_and_namespaces())
    told = [f'{"another" if name == ours else "node"} {name} publishes on '
            f'{", ".join(sorted(found))} too' for name, found in sorted(topics.items())]
    if names[ours] > 1:
        services = ', '.join(sorted(node.resolve_service_name(service.srv_name)
                                    for service in node.services))
        told.append(f'{names[ours]} nodes are called {ours} and answer its services {services}')
    if not told:
        return ''
    return (f'{"; ".join(told)}: give each a name or a namespace of its own, -r __node:=NAME or '
            '-r __ns:=/NAME (one that was killed is listed for some 20 s more)')
