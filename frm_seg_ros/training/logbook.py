"""What a run tells of itself: a line on stderr, and TensorBoard."""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.metrics import Scores
from frm_seg_ros.training.config import TrainingConfig

EVERY = 10   # steps between figures: reading one makes the device wait


class Logbook:
    """Tell how a run goes, in the first of its processes; the others stay silent.

    Args:
        config: of the run.
        folder: gets the sub-folder `tensorboard`, if the configuration wants it.
        done: steps that earlier legs did.
        first: whether this is the first process.

    Attributes:
        start: when this leg began, on the monotonic clock.

    Raises:
        ConfigError: if TensorBoard is wanted but not installed.
    """

    def __init__(self, config: TrainingConfig, folder: Path, done: int, first: bool) -> None:
        self.start = time.monotonic()
        self._config = config
        self._done = done
        self._first = first
        self._terminal = sys.stderr.isatty()
        self._writer = _writer(folder, done) if config.tensorboard and first else None

    @property
    def seconds(self) -> float:
        """Seconds of this leg so far."""
        return time.monotonic() - self.start

    def step(self, step: int, **figures: Tensor) -> None:
        """Note figures of the step that makes `step` of them; most steps are passed over."""
        last = step == self._config.steps
        if not self._first or step % EVERY and not last:
            return
        values = {name: figure.item() for name, figure in figures.items()}
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(f'training/{name}', value, step)
        if self._terminal or last or step % self._config.checkpoint_every == 0:
            self._print(f'{self._progress(step)}, ' + ', '.join(
                f'{name} {value:.3g}' for name, value in values.items()), last)

    def validation(self, step: int, scores: Scores,
                   pictures: Callable[[], list[np.ndarray]]) -> None:
        """Note scores after `step` steps.

        Args:
            step: number of steps done.
            scores: of the validation.
            pictures: makes (H, W, 3) uint8 RGB pictures; called only where they are kept.
        """
        if not self._first:
            return
        self._print(f'validation after {step} steps: mIoU {scores.miou:.4f}', True)
        if self._writer:
            self._writer.add_scalar('validation/miou', scores.miou, step)
            for name, value in scores.iou.items():
                self._writer.add_scalar(f'validation/iou/{name}', value, step)
            for number, picture in enumerate(pictures()):
                self._writer.add_image(f'validation/{number}', picture, step, dataformats='HWC')

    def close(self) -> None:
        """Write what is still to be written."""
        if self._writer:
            self._writer.close()

    def _progress(self, step: int) -> str:
        each = self.seconds / max(1, step - self._done)
        minutes = round(each * (self._config.steps - step) / 60)
        bar = '#' * (20 * step // self._config.steps)
        return (f'{bar:.<20} {step}/{self._config.steps}, {each:.2f} s a step, '
                f'{minutes // 60}:{minutes % 60:02} h left')

    def _print(self, text: str, stays: bool) -> None:
        """Print a line; on a terminal the next one takes its place, unless it stays."""
        start = '\r\x1b[K' if self._terminal else ''
        end = '' if self._terminal and not stays else '\n'
        print(f'{start}{self._config.name}: {text}', end=end, file=sys.stderr, flush=True)


def _writer(folder: Path, done: int):   # noqa: ANN202
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError('tensorboard is true, but the package tensorboard is not installed: '
                          'pip install tensorboard, or set tensorboard=false') from error
    return SummaryWriter(str(folder / 'tensorboard'), purge_step=done)
