"""The fields of frm_seg_ros/LabelSpace, whatever library makes the message of them."""
from __future__ import annotations

from typing import Any

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.label_space import Label, LabelSpace
from frm_seg_ros.core.model_card import ModelCard


def label_space_fields(card: ModelCard, space: LabelSpace) -> dict[str, Any]:
    """Say what the labels of a model mean: the fields by name, as str, int and lists of them."""
    count = len(space.classes)
    return {
        'name': space.name,
        'model': card.name,
        'model_sha256': card.sha256,
        'names': space.names,
        'ids': space.to_id[:count].tolist(),
        'categories': [label.category for label in space.classes],
        'colors': space.palette[:count].ravel().tolist(),
        'pixels': list(range(count)),
    }


def read_label_space(message: Any, where: str) -> LabelSpace:
    """Read the classes from a message; ignored labels do not stand there.

    Args:
        message: has the fields of frm_seg_ros/LabelSpace.
        where: what it is, for the sentence of an error.

    Raises:
        ConfigError: if the fields do not form a label space.
    """
    count = len(message.names)
    if not count == len(message.ids) == len(message.categories) == len(message.colors) / 3:
        raise ConfigError(f'{where} is no label space: it has {count} names, {len(message.ids)} '
                          f'ids, {len(message.categories)} categories and {len(message.colors)} '
                          'parts of colours (wanted three a name): record it again')
    if list(getattr(message, 'pixels', range(count))) != list(range(count)):
        raise ConfigError(f'{where} goes with label images of other ids than the train ids: '
                          'record it again with id_offset 0 and without label_ids')
    colors = [int(part) for part in message.colors]
    return LabelSpace(message.name, tuple(
        Label(name, int(message.ids[index]), index, message.categories[index],
              (colors[3 * index], colors[3 * index + 1], colors[3 * index + 2]))
        for index, name in enumerate(message.names)))
