"""How a command with a ROS node of its own begins and ends."""
from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from frm_seg_ros.core.errors import ConfigError


def run_with_node(name: str, work: Callable[[Node, threading.Event], None]) -> int:
    """Call `work` with a node `frm_seg_<name>` and an event that SIGINT and SIGTERM set.

    Returns:
        The exit code: 0; 2 with one sentence on stderr for what is wrong; 130 when `work` raises
        KeyboardInterrupt because it was stopped before it had begun.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f'frm_seg_{name}')
    try:
        work(node, stop)
    except KeyboardInterrupt:
        return 130
    except (ConfigError, OSError, ImportError) as error:
        print(f'{name}: {error}', file=sys.stderr)
        return 2
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
