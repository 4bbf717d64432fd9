"""TensorRT engines from the command line: built, held against the CPU, and kept."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frm_seg_ros.backends.base import BACKENDS, Backend, open_backend
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.plugins import load_plugin
from frm_seg_ros.core.resize import resize_image
from frm_seg_ros.sources.base import open_source

# Of the labels, by precision: what rounding may change. An engine that computes something else
# agrees on half of them or less.
LEAST_AGREEMENT = {'float32': 0.995, 'float16': 0.99, 'int8': 0.8}


def export_engine(model: str | Path, sizes: Sequence[tuple[int, int]], precision: str, batch: int,
                  check_source: str) -> list[str]:
    """Build an engine for each size, and keep those that agree with the model on the CPU.

    Args:
        model: name or folder of a model.
        sizes: (height, width) of the images; the model's own when empty.
        precision: `auto` or one that TensorRT does with this model.
        batch: most images at a time.
        check_source: frames to compare on, such as `synthetic:11:2`.

    Returns:
        A line about each engine.

    Raises:
        ConfigError: if there is no device or TensorRT, or an engine cannot be built or is wrong.
        ImportError: if a package is missing.
    """
    from frm_seg_ros.backends.tensorrt_backend import make_engine
    from frm_seg_ros.backends.tensorrt_cache import remove_engine
    card = ModelCard.load(model)
    lines = []
    for size in sizes or [card.input_size]:
        facts, _ = make_engine(card, precision, size, batch, _show)
        engine = load_plugin('backend', 'tensorrt', BACKENDS)(card, 'cuda', facts['precision'],
                                                              tuple(facts['size']))
        try:
            agreement = compare(engine, card, check_source)
        except ConfigError:
            remove_engine(facts)
            raise
        finally:
            engine.close()
        lines.append('{size[0]}x{size[1]}, {precision}, up to {batch} at a time: '.format(**facts)
                     + f'{agreement:.2%} of the labels as on the CPU')
    return lines


def compare(engine: Backend, card: ModelCard, check_source: str) -> float:
    """Hold a backend against the CPU on frames; give the share of equal labels.

    Raises:
        ConfigError: if it is too small, or there are no frames.
    """
    reference, _ = open_backend('auto', card, 'cpu', 'float32')
    size = engine.size
    equal = [np.mean(_labels(engine, frame.image, size) == _labels(reference, frame.image, size))
             for frame in open_source(check_source)]
    reference.close()
    if not equal:
        raise ConfigError(f'{check_source} has no frames to compare on: name another source')
    least = LEAST_AGREEMENT[engine.precision]
    if min(equal) < least:
        raise ConfigError(
            f'the engine disagrees with {reference.name} on the CPU: {min(equal):.2%} of the '
            f'labels of a frame are equal (wanted {least:.1%}): it is not kept, choose precision '
            'float32 or another backend, and please report this')
    return float(np.mean(equal))


def _labels(backend: Backend, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return backend.run(resize_image(image, size)[None], [size])[0][0]


def _show(text: str) -> None:
    """Keep one line up to date where a terminal is, else write each."""
    end = '\r' if sys.stderr.isatty() and text.startswith('building') else '\n'
    print(f'{text:<78}', end=end, file=sys.stderr, flush=True)
