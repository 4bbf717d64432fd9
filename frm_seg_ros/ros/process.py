"""What the node wants of its process."""
from __future__ import annotations

import ctypes
import os
import sys

from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor
from rclpy.task import Future

EXIT_CODE = 3   # of a process whose engine only a new process can get back


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of images instead of giving it back after each.

    Fresh pages cost more than the copy of an image: taking one of 2048x1024 falls from 8 to 1 ms.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):   # another C library
        return
    mallopt(-3, 32 << 20)   # M_MMAP_THRESHOLD
    mallopt(-1, 256 << 20)   # M_TRIM_THRESHOLD


def spin(executor: Executor, finished: Future) -> None:
    """Spin until the future is done or the context ends.

    Humble's executors raise when a subscription that was ready is destroyed before it is taken
    (rclpy 1206), which is no reason to end.
    """
    while executor.context.ok() and not finished.done():
        try:
            executor.spin_until_future_complete(finished)
        except InvalidHandle:
            continue


def end() -> None:
    """End at once with EXIT_CODE: a thread that hangs can be neither ended nor waited for."""
    sys.stdout.flush()
    os._exit(EXIT_CODE)
