"""A small renderer of street scenes with exact labels: for the demo, tests and first weights.

Every picture is drawn from numbers alone: a seed decides street, weather, camera and traffic, and
the same seed gives the same bytes on the same versions of NumPy and OpenCV. A drive is a camera
path at 10 Hz down a street without end; it is a pure function of seed and frame number.

Seeds below 1 000 000 are for demos and evaluation (ours use 0..999), seeds from `TRAINING_SEED` on
are for training, through `render_scene`. Who keeps to that never scores on what was trained on.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import atan, sin
from random import Random

import numpy as np

from frm_seg_ros.core.errors import ConfigError
from frm_seg_ros.core.frame import Frame
from frm_seg_ros.core.label_space import LabelSpace
from frm_seg_ros.sources.synthetic_canvas import Camera, Canvas
from frm_seg_ros.sources.synthetic_car import draw_car
from frm_seg_ros.sources.synthetic_ground import draw_ground, draw_sky, draw_skyline
from frm_seg_ros.sources.synthetic_people import draw_person
from frm_seg_ros.sources.synthetic_render import draw_barrier, draw_building, draw_post, draw_tree
from frm_seg_ros.sources.synthetic_street import Street
from frm_seg_ros.sources.synthetic_world import (
    LANE_M,
    Barrier,
    Building,
    Car,
    Look,
    Person,
    Post,
    Tree,
)

TRAINING_SEED = 1_000_000
RATE_HZ = 10.0
PERIOD_NS = 100_000_000
_USAGE = 'write it as synthetic:SEED:COUNT, such as synthetic:7:200, with SEED >= 0 and COUNT >= 1'
_DRAW = {Barrier: draw_barrier, Building: draw_building, Car: draw_car, Person: draw_person,
         Post: draw_post, Tree: draw_tree}


class SyntheticSource:
    """A drive down one random street, as a FrameSource.

    Args:
        seed: decides everything, 0 or more.
        count: frames, 1 or more.

    Attributes:
        label_space: CamVid's.
        rate_hz: 10.
    """

    rate_hz = RATE_HZ

    def __init__(self, seed: int, count: int) -> None:
        self.label_space = LabelSpace.load('camvid')
        self.seed, self.count = seed, count

    def __len__(self) -> int:
        """Count the frames."""
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames: image (360, 480, 3) RGB, truth (360, 480) CamVid train ids."""
        street = Street(self.seed)
        for index in range(self.count):
            image, truth = _render(street, _camera(street.look, index / RATE_HZ),
                                   index / RATE_HZ, index)
            yield Frame(image, index * PERIOD_NS, truth=truth)


def open_synthetic(arguments: str) -> SyntheticSource:
    """Open `SEED:COUNT`: COUNT frames, 10 a second, of the drive that SEED decides.

    Raises:
        ConfigError: if the text is something else; says how it should look.
    """
    parts = arguments.split(':')
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts) \
            or int(parts[1]) < 1:
        raise ConfigError(f'synthetic:{arguments} is not a drive: {_USAGE}')
    return SyntheticSource(int(parts[0]), int(parts[1]))


def render_scene(seed: int) -> Frame:
    """Render one frame of a fresh street, seen from a more varied place than in a drive.

    Args:
        seed: decides everything; training takes `TRAINING_SEED` + n.

    Returns:
        image (360, 480, 3) RGB, stamp 0, truth (360, 480) CamVid train ids.
    """
    rng = Random(f'scene {seed}')
    street = Street(seed)
    seconds = rng.uniform(0, 100)
    camera = _camera(street.look, seconds)
    camera = replace(camera, x=camera.x + rng.gauss(0, 0.7), y=camera.y + rng.gauss(0, 0.12),
                     yaw=camera.yaw + rng.gauss(0, 0.05) * rng.choice([1, 1, 2, 5]),
                     horizon=camera.horizon + rng.gauss(0, 10))
    image, truth = _render(street, camera, seconds, 0)
    return Frame(image, 0, truth=truth)


def _camera(look: Look, seconds: float) -> Camera:
    """Place the camera: the lane kept roughly, the speed varied, some jolts."""
    rng = Random(f'camera {look.seed}')
    phase = [rng.uniform(0, 6) for _ in range(6)]
    z = look.speed * (seconds + 1.5 * sin(0.35 * seconds + phase[0]))
    jolt = sin(7.1 * seconds + phase[1]) + sin(11.3 * seconds + phase[2])
    wander = sin(0.31 * seconds + phase[3])
    return Camera(
        x=-LANE_M / 2 + 0.25 * wander, y=look.camera_y + 0.008 * jolt, z=z,
        yaw=atan(look.bend.slope(z + 6)) + 0.02 * sin(0.6 * seconds + phase[4]),
        focal=look.focal, horizon=look.horizon + 0.5 * jolt + 2 * sin(0.8 * seconds + phase[5]),
        bend=look.bend)


def _render(street: Street, camera: Camera, seconds: float,
            index: int) -> tuple[np.ndarray, np.ndarray]:
    canvas = Canvas(camera, street.look.light)
    draw_sky(canvas)
    draw_skyline(canvas, street.look)
    draw_ground(canvas, street.look, street.tables(camera.z))
    for thing in street.things(camera.x, camera.z, seconds):
        _DRAW[type(thing)](canvas, thing)
    return street.look.light.expose(canvas.image, street.look.seed * 7919 + index), canvas.truth
