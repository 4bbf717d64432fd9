"""Models with random weights: their speed is that of trained ones, their labels are none."""
from __future__ import annotations

import colorsys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch
import yaml

from frm_seg_ros.core.bounds import load_yaml
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.files import atomic_path, sha256
from frm_seg_ros.core.label_space import IGNORE, LABELS, Label, LabelSpace
from frm_seg_ros.core.model_card import ONNX, WEIGHTS, ModelCard
from frm_seg_ros.network.segmentation import VARIANTS, build_network
from frm_seg_ros.network.weights import save_weights
from frm_seg_ros.tools.export import to_onnx

_SPACE = 'camvid'


def export_random(text: str, folder: Path, seed: int = 0) -> ModelCard:
    """Write a model with random weights.

    Args:
        text: `VARIANT,KEY=VALUE,...`, such as `frm_b0_fast,pyramid_width=128`; the keys are those
            of `network.segmentation.VARIANTS` and `classes`, their number (those of CamVid if it
            is left out).
        folder: gets the model.
        seed: of the weights.

    Raises:
        ConfigError: if there is no such variant, or it cannot be built with these values.
    """
    torch.manual_seed(seed)
    architecture = _architecture(text)
    try:
        space = _label_space(architecture['classes'])
        network = build_network(architecture)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f'no network can be built from {text!r} ({error}): choose other '
                          'values') from error
    save_weights(network, folder / WEIGHTS)
    with atomic_path(folder / LABELS) as temporary:
        temporary.write_text(space.to_yaml(), encoding='utf-8')
    card = ModelCard(
        folder=folder, name=text, architecture=architecture,
        files={name: sha256(folder / name) for name in (WEIGHTS, LABELS)}, input_size=(360, 480),
        mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), label_space=space.name,
        trained_on='nothing: random weights', command=f'none: seed {seed}', measured={},
        precisions={}, licence='as the package')
    onnx.save(to_onnx(card), folder / ONNX)
    card = replace(card, files={**card.files, ONNX: sha256(folder / ONNX)})
    card.save()
    return card


def _architecture(text: str) -> dict[str, Any]:
    name, *changes = text.split(',')
    if name not in VARIANTS:
        raise ConfigError(f'no variant is called {name!r}: take one of {", ".join(VARIANTS)}')
    architecture = {**VARIANTS[name], 'classes': len(LabelSpace.load(_SPACE).classes)}
    for change in changes:
        key, _, value = change.partition('=')
        try:
            found = load_yaml(value)
        except yaml.YAMLError:
            key = ''
        if key not in architecture:
            raise ConfigError(f'{change!r} is no KEY=VALUE of the variant {name}: its keys are '
                              f'{", ".join(architecture)}')
        architecture[key] = found
    return architecture


def _label_space(classes: int) -> LabelSpace:
    """Give CamVid where the number fits, else numbered classes with colours around the wheel."""
    space = LabelSpace.load(_SPACE)
    if not 1 <= classes <= IGNORE:
        raise ValueError(f'classes is {classes}, wanted 1 to {IGNORE}')
    if classes == len(space.classes):
        return space
    return LabelSpace(f'numbered_{classes}', tuple(
        Label(f'class_{k}', k, k, 'class',
              tuple(round(255 * part) for part in colorsys.hsv_to_rgb(k / classes, 1.0, 1.0)))
        for k in range(classes)))
