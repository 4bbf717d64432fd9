"""The node's engine: its model on a backend, opened anew after it failed."""
from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import rclpy

from frm_seg_ros.core.errors import ConfigError, FrameError, one_line
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.ros.parameters import NodeParameters
from frm_seg_ros.ros.rate import Quiet
from frm_seg_ros.ros.watchdog import Watchdog
from frm_seg_ros.segmenter import Segmenter

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 30.0
BUILDING_S = 10.0   # between two lines of a log about a build
OPENINGS = 10   # an engine may take so many times as long to open again as it took at first
# Errors after which all further CUDA work of the process fails, by the letters of their names and
# texts: those of which the CUDA Runtime API (cudaError_t) says that 'to continue using CUDA, the
# process must be terminated and relaunched', and the one of a destroyed context.
LOST = ('illegaladdress', 'illegalmemoryaccess', 'launchtimeout', 'launchtimedout',
        'devicesideassert', 'cudaerrorassert', 'hardwarestackerror', 'illegalinstruction',
        'misalignedaddress', 'invalidaddressspace', 'globalsharedaddressspace', 'invalidpc',
        'invalidprogramcounter', 'launchfailure', 'launchfailed', 'eccuncorrectable',
        'uncorrectableecc', 'nvlinkuncorrectable', 'uncorrectablenvlink', 'contextisdestroyed')


def is_lost(device: str, error: Exception) -> bool:
    """Tell whether an error means that the process has lost its CUDA context for good."""
    letters = re.sub('[^a-z]', '', str(error).lower())
    return device == 'cuda' and any(words in letters for words in LOST)


class Engine:
    """Labels batches; what fails is closed, and opened anew by `mend` after 1, 2, 4 ... 30 s.

    What `auto` chose at first is kept, so that labels do not change in kind.

    Attributes:
        segmenter: the newest; closed while there is a fault.
        chosen: what was chosen at first, and why.
        fault: why it does not work; empty while it does.
        failures: how often it failed.
        timeout_s: how long a batch may take; 0 sets no bound.
    """

    def __init__(self, card: ModelCard, parameters: NodeParameters, batch: int,
                 give_up: Callable[[str], None], logger: Any) -> None:
        """Open the model and run it once.

        Args:
            card: of the model.
            parameters: which backend, device, precision, size and timeout.
            batch: most images at once.
            give_up: called, from any thread, when only a new process can help; ends this one.
            logger: the node's.

        Raises:
            ConfigError: if the model, backend, device, precision or size is wrong.
        """
        self._card, self._size, self._batch = card, parameters.size, batch
        self._choice = (parameters.backend, parameters.device, parameters.precision)
        self._quiet = Quiet(BUILDING_S)
        self._build = self._tell_building if parameters.build_engine else None
        self._give_up, self._log = give_up, logger
        self.timeout_s = 1e-3 * parameters.engine_timeout_ms
        self.fault, self.failures = '', 0
        self._delay_s, self._due = FIRST_DELAY_S, 0.0
        start = time.monotonic()
        self.segmenter = self._open()
        self._opening_s = time.monotonic() - start
        self.chosen = self.segmenter.chosen
        backend = self.segmenter.backend
        self._choice = (backend.name, backend.device, backend.precision)
        self._watchdog = Watchdog(give_up)

    def __call__(self, images: Sequence[np.ndarray], confidence: bool) -> list[Prediction]:
        """Label a batch, as `Segmenter` does.

        Raises:
            FrameError: while it waits to be opened anew.
            Exception: whatever the backend raises; the engine is closed then.
        """
        if self.fault:
            raise FrameError('engine_error', f'the engine waits to be opened anew: {self.fault}')
        try:
            with self._watchdog.step('labelling a batch', self.timeout_s):
                predictions = self.segmenter(images, confidence)
        except Exception as error:
            self._fail(error)
            self._close()
            raise
        self._delay_s = FIRST_DELAY_S
        return predictions

    @property
    def wait_s(self) -> float | None:
        """Seconds until `mend` is due; None while nothing is to be mended."""
        return max(self._due - time.monotonic(), 0.0) if self.fault else None

    @property
    def busy_s(self) -> float:
        """Seconds that the batch in hand has taken; 0 between batches."""
        return self._watchdog.busy_s

    def mend(self) -> None:
        """Open the engine anew if it failed and the time has come."""
        if self.wait_s != 0:
            return
        limit_s = max(self.timeout_s, OPENINGS * self._opening_s) if self.timeout_s else 0.0
        try:
            with self._watchdog.step('opening the engine anew', limit_s):
                self.segmenter = self._open()
        except Exception as error:   # the runtimes of the models raise anything
            self._fail(error)
        else:
            self.fault = ''
            self._log.info('the engine is open again')

    def close(self) -> None:
        """Free the device."""
        if not self.fault:
            self._close()
        self._watchdog.close()

    def _tell_building(self, progress: str) -> None:
        """Log how far a build is, and end it when the node is told to end."""
        if not rclpy.ok():
            raise ConfigError('the node is ending: no engine was built')
        if self._quiet.allows(progress.split()[0], time.monotonic()):
            self._log.info(progress)

    def _open(self) -> Segmenter:
        """Open the model and run every size of batch once: some runtimes compile for each."""
        backend, device, precision = self._choice
        segmenter = Segmenter(self._card, backend, device, self._size, precision=precision,
                              build_engine=self._build)
        try:
            image = np.zeros((*segmenter.size, 3), np.uint8)
            for count in range(1, self._batch + 1):
                segmenter([image] * count, True)
        except Exception:
            segmenter.close()
            raise
        return segmenter

    def _fail(self, error: Exception) -> None:
        self.fault = one_line(error)
        self.failures += 1
        if is_lost(self.segmenter.backend.device, error):
            self._give_up(f'the engine has lost its CUDA context ({self.fault})')
        self._log.error(f'the engine failed and is opened anew in {self._delay_s:g} s: '
                        f'{self.fault}')
        self._due = time.monotonic() + self._delay_s
        self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)

    def _close(self) -> None:
        """Free the device as far as what is broken lets itself be closed."""
        try:
            with self._watchdog.step('closing the engine', self.timeout_s):
                self.segmenter.close()
        except Exception as error:
            self._log.warning(f'the engine could not be closed: {one_line(error)}')
