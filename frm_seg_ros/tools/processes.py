"""Child processes: where they are found, how they are watched, and ended in order."""
from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import share_dir

PROFILES = 'FASTRTPS_DEFAULT_PROFILES_FILE'
_STOP_S = 10.0
_KILL_S = 3.0
_TAIL_LINES = 8


class ChildError(RuntimeError):
    """A child ended early, badly or not at all, or something did not happen in time."""


def find_executable(name: str) -> str:
    """Find an executable of this package in the sourced workspace.

    Raises:
        ConfigError: if it is not there.
    """
    for prefix in filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        path = Path(prefix) / 'lib' / 'frm_seg_ros' / name
        if os.access(path, os.X_OK):
            return str(path)
    raise ConfigError(f'there is no executable {name} in AMENT_PREFIX_PATH: run colcon build and '
                      'source install/setup.bash, or use make demo')


def child_environment() -> dict[str, str]:
    """Make an environment in which large images reach the children.

    The profile, unless the user chose one, lets best-effort images above 480 KB arrive; the two
    glibc settings keep large messages from being mapped afresh, which takes longer than receiving
    them.
    """
    return {
        PROFILES: str(share_dir() / 'config' / 'fastdds_shm.xml'),
        **os.environ,
        'MALLOC_MMAP_THRESHOLD_': str(32 << 20),
        'MALLOC_TRIM_THRESHOLD_': str(256 << 20),
        'PYTHONUNBUFFERED': '1',
    }


class Child:
    """A process whose output is kept: stdout in memory, stderr in a file.

    Attributes:
        name: what it is called in errors.
        lines: lines of stdout so far, without their ends, unless `on_line` takes them.
        pid: of the process.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str],
                 folder: Path, on_line: Callable[[str], None] | None = None) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches it through us only.

        Args:
            name: as above; also of the file of its stderr.
            command: the program and its arguments.
            env: its environment.
            folder: where that file goes.
            on_line: called with every line of stdout, from a thread; they are kept when None.
        """
        self.name = name
        self.lines: list[str] = []
        self._on_line = on_line or self.lines.append
        self._log = folder / f'{name}.log'
        with open(self._log, 'wb') as log:
            self._process = subprocess.Popen(
                list(command), stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL,
                env=dict(env), text=True, start_new_session=True)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._on_line(line.rstrip('\n'))

    @property
    def exit_code(self) -> int | None:
        """Tell the exit code; None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ChildError: if it ended; says how, with its last words.
        """
        if self.exit_code is not None:
            raise ChildError(f'the {self.name} ended early with exit code {self.exit_code}'
                             f'{self.last_words()}')

    def last_words(self) -> str:
        """Quote the end of its stderr for an error message."""
        lines = self._log.read_text(encoding='utf-8', errors='replace').splitlines()
        return ':\n  ' + '\n  '.join(lines[-_TAIL_LINES:]) if lines else ' and said nothing'

    def finish(self) -> None:
        """Send SIGINT and wait for the end.

        Raises:
            ChildError: if it had ended before, does not end in time, or ends with an error.
        """
        self.check()
        self._process.send_signal(signal.SIGINT)
        self.join(_STOP_S)

    def join(self, timeout_s: float) -> None:
        """Wait for the end.

        Raises:
            ChildError: if that takes longer, or the exit code is not 0.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ChildError(f'the {self.name} did not end within {timeout_s:g} s') from error
        self._reader.join(_STOP_S)
        if code:
            raise ChildError(f'the {self.name} ended with exit code {code}{self.last_words()}')

    def kill(self) -> None:
        """End it if it runs still: by SIGINT, so that it cleans up, and if need be by SIGKILL."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_KILL_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


def wait_until(condition: Callable[[], bool], timeout_s: float, children: Sequence[Child]) -> bool:
    """Wait until the condition holds; tell whether it did in time.

    Raises:
        ChildError: if one of the children ends meanwhile.
    """
    until = time.monotonic() + timeout_s
    while not condition():
        for child in children:
            child.check()
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
