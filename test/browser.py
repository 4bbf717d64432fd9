"""A headless Chromium, spoken to over its debugging pipe, for tests that look at pages."""
from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)
_TIMEOUT_S = 60.0


class Browser:
    """One page of a browser.

    Attributes:
        events: what the browser told by itself, (method, parameters), since it was opened.
    """

    def __init__(self, profile: Path) -> None:
        """Start it; `profile` is a folder of its own."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        ours, theirs = os.pipe(), os.pipe()     # to the browser, from it
        # not in the way when they become 3 and 4, where the browser looks for them
        far = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (ours[0], theirs[1])]

        def place() -> None:
            os.dup2(far[0], 3)
            os.dup2(far[1], 4)

        self._process = subprocess.Popen(
            [PROGRAM, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
             '--disable-dev-shm-usage', '--disable-background-networking',
             f'--user-data-dir={profile}', '--remote-debugging-pipe'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=place, pass_fds=(3, 4))
        for fd in (*far, ours[0], theirs[1]):
            os.close(fd)
        self._out, self._in = ours[1], theirs[0]
        self._rest, self._number, self._session = b'', 0, ''
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self._session = self.call('Target.attachToTarget', targetId=target,
                                  flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do one thing of the Chrome DevTools Protocol."""
        self._number += 1
        message: dict[str, Any] = {'id': self._number, 'method': method, 'params': params}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._receive()
            if answer.get('id') == self._number:
                assert 'error' not in answer, (method, answer['error'])
                return answer['result']

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _TIMEOUT_S
        while b'\0' not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0))
            assert ready, 'the browser does not answer'
            data = os.read(self._in, 1 << 20)
            assert data, 'the browser ended'
            self._rest += data
        line, _, self._rest = self._rest.partition(b'\0')
        message = json.loads(line)
        if 'method' in message:
            self.events.append((message['method'], message['params']))
        return message

    def show(self, path: Path, width: int, height: int = 800, dark: bool = False) -> None:
        """Open a file in a window of so many pixels, and wait until all of it is there."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.events.clear()
        self.call('Page.navigate', url=path.as_uri())
        while not any(method == 'Page.loadEventFired' for method, _ in self.events):
            self._receive()

    def evaluate(self, expression: str) -> Any:
        """Give the value of a JavaScript expression on the page."""
        return self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                         awaitPromise=True)['result'].get('value')

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        size = self.call('Page.getLayoutMetrics')['cssContentSize']
        clip = {'x': 0, 'y': 0, 'width': size['width'], 'height': size['height'], 'scale': 1}
        shot = self.call('Page.captureScreenshot', captureBeyondViewport=True, clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot['data']))
