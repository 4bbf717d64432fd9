"""A network in an ONNX file from elsewhere: what it takes and gives, found out by running it."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.normalise import normalise

_HALF, _FLOAT = 'tensor(float16)', 'tensor(float)'
# How far the probabilities of a pixel may sum up beside 1: float16 keeps three digits.
_SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class OutputKind:
    """What an output holds.

    Attributes:
        labels: whether it is labels; logits or probabilities otherwise.
        probabilities: whether it is probabilities, which sum up to 1 over the classes.
        channel: whether it is labels with an axis of length 1 for the channel.
    """

    labels: bool
    probabilities: bool = False
    channel: bool = False


class ForeignNetwork:
    """A network from elsewhere in ONNX Runtime.

    Attributes:
        input_name: name of its only input.
        output_name: name of the output that is taken.
        half: whether it takes float16.
        batch: the number of images that it takes; None for any.
        size: (height, width) that it takes, None for any.
    """

    def __init__(self, path: Path, output: str | None, bgr: bool) -> None:
        """Load the file.

        Args:
            path: the ONNX file.
            output: name of the output to take; None where there is but one.
            bgr: whether it takes BGR.

        Raises:
            ConfigError: if the file is no network that takes images, or has no such output.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path.resolve()), options, providers=['CPUExecutionProvider'])
        except Exception as error:  # the runtime raises a dozen kinds of its own
            raise ConfigError(f'ONNX Runtime cannot load {path}, name a whole ONNX file with its '
                              f'external data beside it: {error}') from error
        self._path, self._bgr = path, bgr
        self.output_name = self._find_output(output)
        self.input_name, self.half, shape = self._check_input()
        batch, _, height, width = (side if isinstance(side, int) else None for side in shape)
        self.batch, self.size = batch, (height, width)
        if batch not in (None, 1):
            raise ConfigError(f'{path} takes batches of {batch} images only: export it for a '
                              'batch of 1, or of any number')

    def _find_output(self, wanted: str | None) -> str:
        names = [output.name for output in self._session.get_outputs()]
        if wanted is None and len(names) == 1:
            return names[0]
        if wanted is None or wanted not in names:
            found = f'no output {wanted!r}' if wanted else f'{len(names)} outputs'
            raise ConfigError(f'{self._path} has {found}: choose one with --output from '
                              f'{", ".join(names)}')
        return wanted

    def _check_input(self) -> tuple[str, bool, list]:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ConfigError(f'{self._path} has {len(inputs)} inputs '
                              f'({", ".join(each.name for each in inputs)}): wanted is one, the '
                              'images, export it so')
        (found,) = inputs
        shape = found.shape
        if found.type not in (_FLOAT, _HALF) or len(shape) != 4 or (
                isinstance(shape[1], int) and shape[1] != 3):
            raise ConfigError(f'{self._path} takes {found.type} of shape {shape}: wanted are '
                              'float32 or float16 images (N, 3, height, width), export it so')
        return found.name, found.type == _HALF, shape

    def check_size(self, size: tuple[int, int]) -> None:
        """Make sure that images of this size go in.

        Raises:
            ConfigError: if the file fixes another one.
        """
        if any(fixed not in (None, wanted) for fixed, wanted in zip(self.size, size)):
            fixed = 'x'.join(str(side or 'any') for side in self.size)
            raise ConfigError(f'{self._path} takes {fixed} only, but --size is {size[0]}x{size[1]}'
                              f': give --size {fixed}, or export it for any size')

    def run(self, images: np.ndarray, mean: tuple[float, float, float],
            std: tuple[float, float, float]) -> np.ndarray:
        """Run it on (N, H, W, 3) uint8 RGB images; give the output as it is.

        Raises:
            ConfigError: if the runtime fails.
        """
        pixels = normalise(images, mean, std)
        if self._bgr:
            pixels = pixels[:, ::-1]
        pixels = np.ascontiguousarray(pixels, np.float16 if self.half else np.float32)
        try:
            return self._session.run([self.output_name], {self.input_name: pixels})[0]
        except Exception as error:  # likewise
            size = 'x'.join(map(str, images.shape[1:3]))
            raise ConfigError(f'ONNX Runtime cannot run {self._path} on {len(images)} image of '
                              f'{size}, choose another --size: {error}') from error

    def kind(self, found: np.ndarray, classes: int, space: str) -> OutputKind:
        """Tell what an output holds.

        Args:
            found: the output for one image.
            classes: how many the label space has.
            space: its name.

        Raises:
            ConfigError: if it is neither logits nor labels of that many classes.
        """
        is_float = found.dtype.kind == 'f'
        channel = found.ndim == 4 and found.shape[1] == 1
        if is_float and found.ndim == 4:
            self._check_logits(found, classes, space)
            total = found.astype(np.float32).sum(1)
            return OutputKind(labels=False, probabilities=bool(
                classes > 1 and found.min() >= 0 and np.abs(total - 1).max() <= _SUM_TOLERANCE))
        if found.dtype.kind in 'iu' and (found.ndim == 3 or channel):
            named = found[(found >= 0) & (found != 255)]
            if named.size and named.max() >= classes:
                raise ConfigError(f'the output {self.output_name} has the label {named.max()}, '
                                  f'but {space} has {classes} classes, 0 to {classes - 1}: name '
                                  'the label space of this network with --labels')
            return OutputKind(labels=True, channel=channel)
        raise ConfigError(f'the output {self.output_name} is {found.dtype} of shape {found.shape}:'
                          ' wanted are logits (N, classes, h, w) in floating point or labels '
                          '(N, h, w) in integers, choose another with --output or export it so')

    def _check_logits(self, found: np.ndarray, classes: int, space: str) -> None:
        if found.shape[1] != classes:
            raise ConfigError(f'the output {self.output_name} has {found.shape[1]} classes, the '
                              f'label space {space} has {classes}: name the label space of this '
                              'network with --labels')
        bad = found.size - np.isfinite(found).sum()
        if bad:
            raise ConfigError(f'{bad} of {found.size} values of the output {self.output_name} are '
                              'NaN or infinite: check --mean and --std, or export it in float32')
