"""An evaluation divided among processes on one machine: its parts, run side by side."""
from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.tools.shards import Shard

Sum = TypeVar('Sum')
_SPAWN = multiprocessing.get_context('spawn')   # runtimes and CUDA do not outlive a fork


def run_jobs(work: Callable[..., Any], jobs: int, add_up: Callable[[Sequence[Path]], Sum]) -> Sum:
    """Run every part in a process of its own, and add the parts up.

    All processes end with this one, however it ends, and as soon as one of them fails.

    Args:
        work: called in each as work(shard=..., json_path=...); can be pickled.
        jobs: how many processes.
        add_up: takes the JSON files of all parts.

    Raises:
        ConfigError: as a part raised it, or if one ended otherwise.
    """
    with TemporaryDirectory(prefix='frm_seg_eval_') as folder, ExitStack() as stack:
        paths = [Path(folder) / f'{index}.json' for index in range(jobs)]
        running = {}
        for index, path in enumerate(paths):
            part = _Part(work, Shard(index, jobs), path)
            stack.callback(part.end)
            running[part.process.sentinel] = part
        while running:
            for ended in wait(list(running)):
                running.pop(ended).check()
        return add_up(paths)


class _Part:
    """One part in its process."""

    def __init__(self, work: Callable[..., Any], shard: Shard, path: Path) -> None:
        self.name = f'part {shard.index}/{shard.count}'
        self._words, theirs = _SPAWN.Pipe(duplex=False)
        self.process = _SPAWN.Process(target=_run, args=(work, shard, str(path), theirs),
                                      daemon=True)
        with _without_interrupt():
            self.process.start()
        theirs.close()

    def check(self) -> None:
        """Raise what ended it, if it did not end well."""
        self.process.join()
        if self.process.exitcode:
            try:
                text = self._words.recv()
            except EOFError:
                text = f'{self.name} ended with exit code {self.process.exitcode}'
            raise ConfigError(text)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self._words.close()


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the one that started them ends them."""
    resource_tracker.ensure_running()   # its start, else a part of ours, would end the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(work: Callable[..., Any], shard: Shard, path: str, words: Connection) -> None:
    """Do one part; the last, which reads its source to the end, speaks for all."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if shard.index + 1 < shard.count:
        sys.stderr = open(os.devnull, 'w', encoding='utf-8')    # noqa: SIM115  as long as we live
    try:
        work(shard=shard, json_path=path)
    except ConfigError as error:
        words.send(str(error))
        sys.exit(2)
    except Exception as error:      # noqa: BLE001  whatever it is, the caller wants one sentence
        words.send(f'part {shard.index}/{shard.count}: {type(error).__name__}: {error}: run it '
                   'again with --jobs 1 --debug for the traceback')
        sys.exit(2)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
