"""What a parameter can be: its type, range and help, and how a value is checked against them."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import Field, field
from typing import Any

from frm_seg_ros.core.errors import ConfigError

TYPES = {bool: 'true or false', float: 'number', int: 'whole number', str: 'text',
         tuple: 'list of texts'}


def parameter(default: Any, text: str, *, live: bool = False, own: bool = False,
              choices: Iterable[Any] = (), low: float | None = None, high: float | None = None,
              pattern: str = '', wanted: str = '') -> Any:
    """Define one parameter as a field of a dataclass; its type is that of the default.

    Args:
        default: value where the user sets none; a list as a tuple.
        text: help.
        live: whether it can change at any time.
        own: whether each camera can have its own.
        choices: the values there are.
        low: least value of a number.
        high: largest value of a number.
        pattern: regular expression of a text, or of each in a list.
        wanted: says the range in words where the other facts do not.
    """
    choices = tuple(choices)
    if choices:
        wanted = 'one of ' + ', '.join(map(str, choices))
    elif high is not None:
        wanted = f'{low:g} to {high:g}'
    elif low is not None:
        wanted = f'at least {low:g}'
    return field(default=default, metadata={
        'help': text, 'live': live, 'own': own, 'choices': choices, 'low': low, 'high': high,
        'pattern': pattern, 'wanted': wanted})


def checked(item: Field, value: Any) -> Any:
    """Check a value of a parameter; return it, integers as float where a number is wanted.

    Raises:
        ConfigError: if it has another type or lies outside the range.
    """
    kind = type(item.default)
    if kind is float and type(value) is int:
        value = float(value)
    if kind is tuple and isinstance(value, (list, tuple)):
        value = tuple(value)
    if type(value) is not kind or not _in_range(item.metadata, value):
        facts = item.metadata
        wanted = f'{TYPES[kind]}, {facts["wanted"]}' if facts['wanted'] else TYPES[kind]
        found = list(value) if type(value) is tuple else value
        raise ConfigError(f'parameter {item.name} is {found!r}: wanted {wanted}')
    return value


def _in_range(facts: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, tuple):
        return value == ('',) or 0 < len(set(value)) == len(value) and all(
            isinstance(one, str) and re.fullmatch(facts['pattern'], one) for one in value)
    if facts['choices'] or isinstance(value, str):
        return value in facts['choices'] or bool(
            facts['pattern'] and re.fullmatch(facts['pattern'], value))
    low, high = facts['low'], facts['high']
    return math.isfinite(value) and value >= low and (high is None or value <= high)


def as_yaml(value: Any) -> str:
    """Write a value as YAML does; an empty text as two quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if value == '':
        return "''"
    return str(list(value) if isinstance(value, tuple) else value)
