"""What the package takes from others at most, and texts read within these bounds.

The bounds are ours: each is far above anything sound, and small enough that no file or message can
take the machine's memory or its time.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

# Above every camera sold today: a decoded picture takes three bytes for each of them.
MAX_PIXELS = 64 << 20
# One message of a bag, or one of its compressed chunks once decompressed: such a picture as rgba8.
MAX_MESSAGE_BYTES = 4 * MAX_PIXELS
# A hundred times the longest card; PyYAML takes about two seconds for as much.
MAX_YAML_BYTES = 512 << 10
# Results with the counts of every frame; a drive of an hour has some tens of MB of them.
MAX_JSON_BYTES = 256 << 20


def read_text(path: Path | str, most_bytes: int) -> str:
    """Read a file of text in UTF-8.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no UTF-8, or longer than `most_bytes`.
    """
    with open(path, 'rb') as file:
        content = file.read(most_bytes + 1)     # devices have no size that could be asked for
    if len(content) > most_bytes:
        raise ValueError(f'it is longer than {most_bytes >> 10} KB')
    return content.decode('utf-8')


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases: a few of them in a row stand for more than any memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f'the alias *{event.anchor} stands for another part of the text, '
                'which is not read here: write it out', event.start_mark)
        return super().compose_node(parent, index)


def load_yaml(text: str) -> Any:
    """Read a text of YAML: plain values only, no aliases.

    Raises:
        yaml.YAMLError: if it is no YAML, has an alias, is longer than MAX_YAML_BYTES or nested
            deeper than Python goes.
    """
    if len(text) > MAX_YAML_BYTES:
        raise yaml.YAMLError(f'it is longer than {MAX_YAML_BYTES >> 10} KB')
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except RecursionError:
        raise yaml.YAMLError('it is nested too deeply') from None
    except ValueError as error:     # numbers and dates that Python does not take
        raise yaml.YAMLError(str(error)) from error


def read_yaml(path: Path | str) -> Any:
    """Read a file of YAML as `load_yaml` does a text.

    Raises:
        OSError: if it cannot be read.
        yaml.YAMLError: if it is no UTF-8, and as `load_yaml` does.
    """
    try:
        return load_yaml(read_text(path, MAX_YAML_BYTES))
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


def read_json(path: Path | str) -> Any:
    """Read a file of JSON.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON, longer than MAX_JSON_BYTES or nested deeper than Python goes.
    """
    try:
        return json.loads(read_text(path, MAX_JSON_BYTES))
    except RecursionError:
        raise ValueError('it is nested too deeply') from None
