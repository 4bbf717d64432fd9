"""The processes of a replay, and how they find one another."""
from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rclpy.node import Node

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.ros.play import SETTLE_S
from frm_seg_ros.ros.replay_run import Outputs
from frm_seg_ros.sources.bag_topics import COMPRESSED, IMAGE
from frm_seg_ros.tools.processes import Child, child_environment, find_executable


class Stage:
    """The processes of a replay: the node where we start it, the monitor, and ourselves.

    Attributes:
        outputs: what the monitor tells.
        pids: the processes whose use is measured, by their part.
        image: topic to which the frames go.
        output: topic that is watched.
    """

    def __init__(self, args: argparse.Namespace, node: Node, image: str, folder: Path,
                 stop: threading.Event) -> None:
        """Prepare; nothing is started yet."""
        self.outputs = Outputs()
        self.pids = {'player': os.getpid(), **({'node': args.pid} if args.pid else {})}
        self.image, self.output = image, node.resolve_topic_name(args.output)
        self.labels = folder / 'labels'
        self._node, self._stop, self._folder = node, stop, folder
        self._timeout_s = args.wait_timeout
        self._children: list[Child] = []

    def start_node(self, command: str) -> None:
        """Start the node that is to be measured.

        Raises:
            ConfigError: if there is no such program.
        """
        program, *rest = shlex.split(command) or ['']
        program = shutil.which(program) or find_executable(program)
        self._start('node', lambda _: None, program, *rest)

    def start_monitor(self, stamps: Sequence[int]) -> None:
        """Start the monitor once the output is published, and wait until it listens.

        Raises:
            ConfigError: if nobody publishes the output, or several do; lists the topics with
                images.
        """
        def published() -> bool:
            return self._node.count_publishers(self.output) > 0
        self._wait(published, lambda: f'nobody publishes {self.output}: {self._topics(True)}')
        found = dict(self._node.get_topic_names_and_types())[self.output]
        if not {IMAGE, COMPRESSED} & set(found):
            raise ConfigError(f'{self.output} is {found[0]}, no image: {self._topics(True)}')
        self._alone(self.output)
        path = self._folder / 'stamps.json'
        path.write_text(json.dumps(stamps), encoding='utf-8')
        self._monitor = self._start(
            'monitor', self.outputs.on_line, sys.executable, '-m', 'frm_seg_ros.ros.monitor',
            self.output, '--stamps', str(path), '--keep', str(self.labels))
        self._wait(self.outputs.ready.is_set, lambda: 'the monitor does not get ready')

    def wait_listener(self, connected: Callable[[], bool]) -> None:
        """Wait until the node subscribes to the images.

        Raises:
            ConfigError: if nobody does; lists the topics where images are wanted. Also if others
                send images there too.
        """
        self._wait(connected, lambda: f'nobody subscribes to {self.image}: {self._topics(False)}')
        self._stop.wait(SETTLE_S)
        self._alone(self.image)

    def finish_monitor(self) -> None:
        """End the monitor, which writes the labels that it kept."""
        self._monitor.finish()

    def check(self) -> None:
        """Make sure that all processes run and nobody wants to end.

        Raises:
            ChildError: if a process ended.
            KeyboardInterrupt: if told to stop.
        """
        if self._stop.is_set():
            raise KeyboardInterrupt
        for child in self._children:
            child.check()

    def close(self) -> None:
        """End what runs still."""
        for child in reversed(self._children):
            child.kill()

    def _start(self, name: str, on_line: Callable[[str], None], *command: str) -> Child:
        child = Child(name, command, child_environment(), self._folder, on_line)
        self._children.append(child)
        self.pids[name] = child.pid
        return child

    def _wait(self, condition: Callable[[], bool], problem: Callable[[], str]) -> None:
        until = time.monotonic() + self._timeout_s
        while not condition():
            self.check()
            if time.monotonic() > until:
                raise ConfigError(f'{problem()} (waited {self._timeout_s:g} s)')
            self._stop.wait(0.05)

    def _alone(self, topic: str) -> None:
        count = self._node.count_publishers(topic)
        if count > 1:
            raise ConfigError(f'{count} programs publish {topic}, so that nothing can be told of '
                              'one of them: end the others, or take a topic or ROS_DOMAIN_ID of '
                              'your own')

    def _topics(self, published: bool) -> str:
        """List the topics where images are published, or wanted, by others than us."""
        counted = self._node.count_publishers if published else self._node.count_subscribers
        names = sorted(name for name, kinds in self._node.get_topic_names_and_types()
                       if {IMAGE, COMPRESSED} & set(kinds) and counted(name)
                       and name not in (self.image, self.output))
        way = 'published' if published else 'wanted'
        return (f'images are {way} on {", ".join(names)}' if names else
                f'no images are {way} on any topic') + \
            '; is the node running, active, and on the same ROS_DOMAIN_ID?'
