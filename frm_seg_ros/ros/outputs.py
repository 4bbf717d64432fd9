"""What the node publishes of every frame."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np

from frm_seg_ros.core.draw import colorize, overlay
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Prediction
from frm_seg_ros.core.label_space import IGNORE, LabelSpace
from frm_seg_ros.core.model_card import ModelCard
from frm_seg_ros.core.resize import resize_image


@dataclass(frozen=True)
class Labelled:
    """One frame with its labels: all that an output is made of.

    Attributes:
        camera_image: (h, w, 3) uint8 RGB, as the camera sees.
        labels: (H, W) uint8 train ids, 255 = unlabelled; H x W is the size of the outputs.
        confidence: (H, W) uint8; None when no output wanted it.
        label_space: the space of the labels.
        alpha: weight of the colours in the overlay, 0..1.
        pixel_ids: (256,) uint8: what a train id becomes in ~/label_image.
    """

    camera_image: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray | None
    label_space: LabelSpace
    alpha: float
    pixel_ids: np.ndarray

    @cached_property
    def overlay(self) -> np.ndarray:
        """The colours of the labels over the camera's image: (H, W, 3) uint8 RGB."""
        image = resize_image(self.camera_image, self.labels.shape)
        return overlay(image, self.labels, self.label_space, self.alpha)


@dataclass(frozen=True)
class Output:
    """One topic: its encoding, and the function that makes its (H, W) or (H, W, 3) uint8.

    Encodings are those of sensor_msgs/Image, and `jpeg`, a sensor_msgs/CompressedImage.
    """

    encoding: str
    make: Callable[[Labelled], np.ndarray | None]


OUTPUTS = {
    'label_image': Output('mono8', lambda frame: cv2.LUT(frame.labels, frame.pixel_ids)),
    'confidence': Output('mono8', lambda frame: frame.confidence),
    'color': Output('rgb8', lambda frame: colorize(frame.labels, frame.label_space)),
    'overlay': Output('rgb8', lambda frame: frame.overlay),
    'overlay/compressed': Output('jpeg', lambda frame: frame.overlay),
}
OVERLAYS = {'overlay', 'overlay/compressed'}


def outputs_of(card: ModelCard, masks: Sequence[str], space: LabelSpace) -> dict[str, Output]:
    """List the outputs that a model can have, by topic: no confidence where it gives labels alone.

    Args:
        card: of the model.
        masks: each `NAME: CLASS, CLASS, ...`, which makes a topic `mask/NAME`, 255 where the pixel
            is of one of the classes, else 0.
        space: the label space of the model.

    Raises:
        ConfigError: if a class is not in the label space, or two masks have one name.
    """
    outputs = {topic: output for topic, output in OUTPUTS.items()
               if topic != 'confidence' or card.has_confidence}
    for mask in filter(None, masks):
        name, _, classes = mask.partition(':')
        if f'mask/{name}' in outputs:
            raise ConfigError(f'parameter masks has two that are called {name}: rename one')
        table = np.zeros(256, np.uint8)
        for one in classes.split(','):
            table[train_id(space, one.strip(), 'masks')] = 255
        outputs[f'mask/{name}'] = Output('mono8', partial(_look_up, table))
    return outputs


def _look_up(table: np.ndarray, frame: Labelled) -> np.ndarray:
    return cv2.LUT(frame.labels, table)


def train_id(space: LabelSpace, name: str, parameter: str) -> int:
    """Give the train id of a class that a parameter names.

    Raises:
        ConfigError: if there is no such class.
    """
    if name not in space.names:
        raise ConfigError(f'parameter {parameter} names the class {name!r}, but {space.name} has '
                          f'only {", ".join(space.names)}: take one of these')
    return space.names.index(name)


def pixel_ids(space: LabelSpace, offset: int, ids: Sequence[str]) -> np.ndarray:
    """Say which value each train id becomes in ~/label_image: (256,) uint8, 255 stays 255.

    Args:
        space: the label space of the model.
        offset: added to every train id; only where `ids` names none.
        ids: each `CLASS: ID`; a class that is not named becomes 255, unlabelled.

    Raises:
        ConfigError: if a class is not in the label space, or ids do not fit or coincide.
    """
    table = np.full(256, IGNORE, np.uint8)
    count = len(space.classes)
    named = [one.partition(':') for one in ids if one]
    if named and offset:
        raise ConfigError(f'parameter id_offset is {offset} and label_ids names ids too: set only '
                          'one of them')
    if count + offset > IGNORE:
        raise ConfigError(f'parameter id_offset is {offset}, but with {count} classes it is at '
                          f'most {IGNORE - count}, since 255 is unlabelled: lower it')
    if not named:
        table[:count] = np.arange(offset, offset + count)
    for name, _, number in named:
        value = int(number)
        if value >= IGNORE or value in table[:count]:
            raise ConfigError(f'parameter label_ids gives {name} the id {value}: wanted 0 to 254, '
                              'each once')
        table[train_id(space, name, 'label_ids')] = value
    return table


def check_min_confidence(card: ModelCard, min_confidence: float) -> None:
    """Make sure that a model can tell which pixels are below `min_confidence`, 0..1.

    Raises:
        ConfigError: if it gives labels alone.
    """
    if min_confidence > 0 and not card.has_confidence:
        raise ConfigError(f'parameter min_confidence is {min_confidence:g}, but model {card.name} '
                          'gives labels without confidence: set it to 0, or import the network '
                          'with its logits as output')


def masked(prediction: Prediction, min_confidence: float) -> np.ndarray:
    """Give the labels (H, W) uint8, 255 where the confidence is below `min_confidence`, 0..1."""
    if min_confidence <= 0:
        return prediction.labels
    unsure = prediction.confidence < 255 * min_confidence
    return np.where(unsure, np.uint8(IGNORE), prediction.labels)


def shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """Give the share of the pixels that each class holds: (classes,) float32, 0..1."""
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel()
    return counts[:classes] / np.float32(labels.size)


def at_size(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring labels or confidence, (h, w) uint8, to another size by the nearest pixel.

    Half-pixel centres: output pixel x takes the input pixel at floor((x + 0.5) * w / W).
    """
    if array.shape == size:
        return array
    # Not OpenCV's INTER_NEAREST_EXACT, whose fixed-point steps miss by one now and then.
    rows, columns = ((2 * np.arange(wanted) + 1) * found // (2 * wanted)
                     for wanted, found in zip(size, array.shape))
    return array.take(rows, 0).take(columns, 1)
