"""Parameters of the node: their names, defaults, ranges and help, here and nowhere else."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from frm_seg_ros.backends.base import BACKENDS, DEVICES
from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.precision import PRECISIONS
from frm_seg_ros.ros.parameter_kinds import TYPES, as_yaml, checked, parameter

# Parameters that rclpy itself declares.
FOREIGN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


@dataclass(frozen=True)
class NodeParameters:
    """Values of all parameters, checked.

    Raises:
        ConfigError: if a value has another type or lies outside its range.
    """

    model: str = parameter(
        'frm_b0_fast', 'A shipped model by its name, or a folder that holds a card.yaml.',
        pattern='.+', wanted='a name or a folder')
    backend: str = parameter(
        'auto', 'What runs the network; auto takes the first that is installed.',
        choices=('auto', *BACKENDS))
    device: str = parameter('auto', 'Where the network runs.', choices=DEVICES)
    precision: str = parameter(
        'auto', 'What the network computes in; auto takes the fastest that keeps its mIoU.',
        choices=('auto', *PRECISIONS))
    build_engine: bool = parameter(
        False, 'Build an engine for TensorRT while configuring where there is none, which takes '
        'minutes; auto then takes TensorRT.')
    cameras: tuple[str, ...] = parameter(
        ('',), "Names of the cameras, whose newest frames form one batch; [''] is one without a "
        'name.', pattern='[A-Za-z][A-Za-z0-9_]*',
        wanted="names of letters, digits and _, each once, or ['']")
    network_size: str = parameter(
        'card', 'Size at which the network runs; card takes that of the model.',
        pattern=r'card|\d{2,5}x\d{2,5}', wanted='card or HEIGHTxWIDTH')
    transport: str = parameter(
        'raw', 'Which topic is subscribed: image, or image/compressed.', own=True,
        choices=('raw', 'compressed'))
    qos: str = parameter(
        'auto', 'Reliability asked of the camera; auto matches what its publisher offers.',
        own=True, choices=('auto', 'reliable', 'best_effort'))
    roi: str = parameter(
        'full', 'The part of the image that is labelled; the rest is 255, unlabelled.', own=True,
        pattern=r'full|[1-9]\d{0,4}x[1-9]\d{0,4}\+\d{1,5}\+\d{1,5}',
        wanted='full or HEIGHTxWIDTH+TOP+LEFT')
    rotate: int = parameter(
        0, 'Degrees by which the image is turned clockwise for the network, so that up is up; the '
        'labels are turned back.', own=True, choices=(0, 90, 180, 270))
    ignore_mask: str = parameter(
        '', "PNG of the camera's size; what is white (128 or more) becomes 255, unlabelled: the "
        "robot's own body.", own=True, pattern='.*', wanted='a file, or empty for none')
    output_size: str = parameter(
        'camera', 'Size of all outputs, labels and confidence by the nearest pixel.',
        pattern=r'camera|network|[1-9]\d{0,3}x[1-9]\d{0,3}',
        wanted='camera, network or HEIGHTxWIDTH')
    masks: tuple[str, ...] = parameter(
        ('',), "Masks of chosen classes, each a topic ~/mask/NAME: 'NAME: CLASS, CLASS'.",
        pattern='[A-Za-z][A-Za-z0-9_]*:[^:]+', wanted="'NAME: CLASS, CLASS' each once, or ['']")
    id_offset: int = parameter(
        0, 'Added to the train ids in ~/label_image, for readers to whom 0 is nothing.',
        low=0, high=254)
    label_ids: tuple[str, ...] = parameter(
        ('',), "Ids in ~/label_image, 'CLASS: ID'; a class that is not named becomes 255.",
        pattern=r'[^:]+: *\d{1,3}', wanted="'CLASS: ID' each once, or ['']")
    overlay_alpha: float = parameter(
        0.5, 'Weight of the colours in ~/overlay.', live=True, low=0.0, high=1.0)
    overlay_max_rate: float = parameter(
        0.0, 'Most overlays a second; 0 sets no bound.', live=True, low=0.0)
    min_confidence: float = parameter(
        0.0, 'Pixels less confident than this become 255, unlabelled, in all outputs.',
        live=True, low=0.0, high=1.0)
    max_rate: float = parameter(
        0.0, 'Most frames a second that are looked at, to save power; 0 sets no bound.',
        live=True, low=0.0)
    max_age_ms: float = parameter(
        0.0, 'A frame whose stamp is older than this is dropped; 0 sets no bound.',
        live=True, low=0.0)
    stale_ms: float = parameter(
        2000.0, 'After so long without an image a camera is STALE on /diagnostics; 0 is never.',
        live=True, low=0.0)
    budget_ms: float = parameter(
        0.0, 'A frame that takes longer, from its arrival to the publication, is a WARN on '
        '/diagnostics; 0 sets no bound.', live=True, low=0.0)
    engine_timeout_ms: float = parameter(
        60000.0, 'A batch that takes longer means that the engine hangs: the process ends with '
        'exit code 3, for respawn by launch; 0 sets no bound.', live=True, low=0.0)
    enabled: bool = parameter(
        True, 'False pauses: the model stays loaded and frames are dropped; see ~/enable.',
        live=True)
    autostart: bool = parameter(
        True, 'Configure and activate at start, without a life-cycle manager.')
    exit_on_failure: bool = parameter(
        False, 'End with exit code 1 when the node cannot configure, for respawn by launch.')

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, checked(item, getattr(self, item.name)))

    @property
    def output_pixels(self) -> tuple[int, int] | None:
        """Output size (height, width) where it is told in pixels, else None."""
        if self.output_size in ('camera', 'network'):
            return None
        height, width = self.output_size.split('x')
        return int(height), int(width)

    @property
    def size(self) -> tuple[int, int] | None:
        """Network size (height, width); None for the card's."""
        if self.network_size == 'card':
            return None
        height, width = self.network_size.split('x')
        return int(height), int(width)

    @classmethod
    def read(cls, node: Node) -> dict[str, NodeParameters]:
        """Read all parameters from the node on which `declare` was called, for each camera.

        Raises:
            ConfigError: if a value is bad, or the user set one that does not exist.
        """
        shared = {name: node.get_parameter(name).value for name in SPECS}
        cameras = cls(**shared).cameras
        own: dict[str, dict[str, Any]] = {camera: {} for camera in cameras}
        for name in node.list_parameters([], 0).names:
            camera, _, base = name.rpartition('.')
            if camera in own and base in OWN:
                own[camera][base] = node.get_parameter(name).value
            elif name not in SPECS and not name.startswith(FOREIGN):
                near = get_close_matches(name, SPECS, 1)
                hint = f'did you mean {near[0]}?' if near else f'there are {", ".join(SPECS)}'
                raise ConfigError(f'there is no parameter {name}: {hint}')
        return {camera: cls(**shared | own[camera]) for camera in cameras}


SPECS: Mapping[str, Field] = {item.name: item for item in fields(NodeParameters)}
# Those that a camera may have a value of its own for, as CAMERA.NAME.
OWN = tuple(name for name, item in SPECS.items() if item.metadata['own'])


def check(name: str, value: Any) -> Any:
    """Check one value; return it, integers as float where a number is wanted.

    Raises:
        ConfigError: if it has another type or lies outside the parameter's range.
    """
    return checked(SPECS[name], value)


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


def table() -> str:
    """Write the table of parameters that docs/node.md shows."""
    rows = ['| parameter | type | default | range | live | own | what |',
            '|---|---|---|---|---|---|---|']
    for name, item in SPECS.items():
        facts = item.metadata
        rows.append(f'| `{name}` | {TYPES[type(item.default)]} | `{as_yaml(item.default)}` | '
                    f'{facts["wanted"]} | {"yes" if facts["live"] else "no"} | '
                    f'{"yes" if facts["own"] else "no"} | {facts["help"]} |')
    return '\n'.join(rows) + '\n'
