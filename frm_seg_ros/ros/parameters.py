"""Parameters of the node: their names, defaults, ranges and help, here and nowhere else."""
from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from frm_seg_ros.backends.base import BACKENDS, DEVICES
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.precision import PRECISIONS

# Parameters that rclpy itself declares.
FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')
TYPES = {bool: 'true or false', float: 'number', str: 'text', tuple: 'list of texts'}


def _parameter(default: Any, text: str, *, live: bool = False, choices: Iterable[str] = (),
               low: float | None = None, high: float | None = None, pattern: str = '',
               wanted: str = '') -> Any:
    """Define one parameter; `wanted` says its range in words where the other facts do not."""
    choices = tuple(choices)
    if choices:
        wanted = 'one of ' + ', '.join(choices)
    elif high is not None:
        wanted = f'{low:g} to {high:g}'
    elif low is not None:
        wanted = f'at least {low:g}'
    return field(default=default, metadata={
        'help': text, 'live': live, 'choices': choices, 'low': low, 'high': high,
        'pattern': pattern, 'wanted': wanted})


@dataclass(frozen=True)
class NodeParameters:
    """Values of all parameters, checked.

    Raises:
        ConfigError: if a value has another type or lies outside its range.
    """

    model: str = _parameter(
        'frm_b0_fast', 'A shipped model by its name, or a folder that holds a card.yaml.',
        pattern='.+', wanted='a name or a folder')
    backend: str = _parameter(
        'auto', 'What runs the network; auto takes the first that is installed.',
        choices=('auto', *BACKENDS))
    device: str = _parameter('auto', 'Where the network runs.', choices=DEVICES)
    precision: str = _parameter(
        'auto', 'What the network computes in; auto takes the fastest that keeps its mIoU.',
        choices=('auto', *PRECISIONS))
    cameras: tuple[str, ...] = _parameter(
        ('',), "Names of the cameras, whose newest frames form one batch; [''] is one without a "
        'name.', pattern='[A-Za-z][A-Za-z0-9_]*',
        wanted="names of letters, digits and _, each once, or ['']")
    network_size: str = _parameter(
        'card', 'Size at which the network runs; card takes that of the model.',
        pattern=r'card|\d{2,5}x\d{2,5}', wanted='card or HEIGHTxWIDTH')
    transport: str = _parameter(
        'raw', 'Which topic is subscribed: image, or image/compressed.',
        choices=('raw', 'compressed'))
    qos: str = _parameter(
        'auto', 'Reliability asked of the camera; auto matches what its publisher offers.',
        choices=('auto', 'reliable', 'best_effort'))
    overlay_alpha: float = _parameter(
        0.5, 'Weight of the colours in ~/overlay.', live=True, low=0.0, high=1.0)
    overlay_max_rate: float = _parameter(
        0.0, 'Most overlays a second; 0 sets no bound.', live=True, low=0.0)
    min_confidence: float = _parameter(
        0.0, 'Pixels less confident than this become 255, unlabelled, in all outputs.',
        live=True, low=0.0, high=1.0)
    max_rate: float = _parameter(
        0.0, 'Most frames a second that are looked at, to save power; 0 sets no bound.',
        live=True, low=0.0)
    max_age_ms: float = _parameter(
        0.0, 'A frame whose stamp is older than this is dropped; 0 sets no bound.',
        live=True, low=0.0)
    stale_ms: float = _parameter(
        2000.0, 'After so long without an image a camera is STALE on /diagnostics; 0 is never.',
        live=True, low=0.0)
    budget_ms: float = _parameter(
        0.0, 'A frame that takes longer, from its arrival to the publication, is a WARN on '
        '/diagnostics; 0 sets no bound.', live=True, low=0.0)
    enabled: bool = _parameter(
        True, 'False pauses: the model stays loaded and frames are dropped; see ~/enable.',
        live=True)
    autostart: bool = _parameter(
        True, 'Configure and activate at start, without a life-cycle manager.')
    exit_on_failure: bool = _parameter(
        False, 'End with exit code 1 when the node cannot configure, for respawn by launch.')

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))

    @property
    def size(self) -> tuple[int, int] | None:
        """Network size (height, width); None for the card's."""
        if self.network_size == 'card':
            return None
        height, width = self.network_size.split('x')
        return int(height), int(width)

    @classmethod
    def read(cls, node: Node) -> NodeParameters:
        """Read all parameters from the node on which `declare` was called.

        Raises:
            ConfigError: if a value is bad, or the user set one that does not exist.
        """
        for name in node.list_parameters([], 0).names:
            if name not in SPECS and not name.startswith(FOREIGN):
                near = get_close_matches(name, SPECS, 1)
                hint = f'did you mean {near[0]}?' if near else f'there are {", ".join(SPECS)}'
                raise ConfigError(f'there is no parameter {name}: {hint}')
        return cls(**{name: node.get_parameter(name).value for name in SPECS})


SPECS: Mapping[str, Field] = {item.name: item for item in fields(NodeParameters)}


def check(name: str, value: Any) -> Any:
    """Check one value; return it, integers as float where a number is wanted.

    Raises:
        ConfigError: if it has another type or lies outside the parameter's range.
    """
    return _checked(SPECS[name], value)


def _checked(item: Field, value: Any) -> Any:
    kind = type(item.default)
    facts = item.metadata
    if kind is float and type(value) is int:
        value = float(value)
    if kind is tuple and isinstance(value, (list, tuple)):
        value = tuple(value)
    fits = type(value) is kind
    if fits and kind is tuple and value != ('',):
        fits = 0 < len(set(value)) == len(value) and all(
            isinstance(one, str) and re.fullmatch(facts['pattern'], one) for one in value)
    if fits and kind is str:
        fits = value in facts['choices'] or bool(
            facts['pattern'] and re.fullmatch(facts['pattern'], value))
    if fits and kind is float:
        low, high = facts['low'], facts['high']
        fits = math.isfinite(value) and value >= low and (high is None or value <= high)
    if not fits:
        wanted = f'{TYPES[kind]}, {facts["wanted"]}' if facts['wanted'] else TYPES[kind]
        found = list(value) if type(value) is tuple else value
        raise ConfigError(f'parameter {item.name} is {found!r}: wanted {wanted}')
    return value


def declare(node: Node) -> None:
    """Declare all parameters on a node that was made with all overrides declared.

    Bad values are kept, so that the node comes up and can say what is wrong with them.
    """
    for name, item in SPECS.items():
        value = list(item.default) if isinstance(item.default, tuple) else item.default
        if node.has_parameter(name):
            value = node.get_parameter(name).value
            node.undeclare_parameter(name)
        node.declare_parameter(name, value, ParameterDescriptor(
            description=item.metadata['help'], additional_constraints=item.metadata['wanted'],
            dynamic_typing=True), ignore_override=True)


def _plain(value: Any) -> str:
    """Write a value as YAML does."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value) if isinstance(value, tuple) else value)


def table() -> str:
    """Write the table of parameters that docs/node.md shows."""
    rows = ['| parameter | type | default | range | live | what |', '|---|---|---|---|---|---|']
    for name, item in SPECS.items():
        facts = item.metadata
        rows.append(f'| `{name}` | {TYPES[type(item.default)]} | `{_plain(item.default)}` | '
                    f'{facts["wanted"]} | {"yes" if facts["live"] else "no"} | {facts["help"]} |')
    return '\n'.join(rows) + '\n'
