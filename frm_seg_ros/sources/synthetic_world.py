"""The random street of the synthetic source: what stands where, and how it looks."""
from __future__ import annotations

from dataclasses import dataclass
from math import pi
from random import Random

from frm_seg_ros.sources.synthetic_canvas import Bend
from frm_seg_ros.sources.synthetic_light import Color, Light, color

LANE_M = 3.2


@dataclass(frozen=True)
class Building:
    """A house: its front stands at `front` metres from the middle, from z0 to z1 along."""

    side: int
    z0: float
    z1: float
    front: float
    height: float
    roof: float
    wall: str
    seed: int
    color: Color
    trim: Color
    shop: bool


@dataclass(frozen=True)
class Barrier:
    """A fence or hedge along the street, `kind` as in the textures or `hedge`."""

    x: float
    z0: float
    z1: float
    height: float
    kind: str
    color: Color


@dataclass(frozen=True)
class Tree:
    """A tree, `crown` the index of its crown's texture; trunk 0 for a bush."""

    x: float
    z: float
    trunk: float
    height: float
    width: float
    crown: int
    color: Color


@dataclass(frozen=True)
class Post:
    """Lamp post, bollard, sign, traffic light, or a sign on a wall (`shop`)."""

    x: float
    z: float
    kind: str
    height: float
    seed: int
    color: Color


@dataclass(frozen=True)
class Car:
    """A car whose rear is at z; `heading` radians, 0 away from us, pi towards us."""

    x: float
    z: float
    heading: float
    kind: str
    color: Color


@dataclass(frozen=True)
class Person:
    """A pedestrian, or a cyclist when `bike`; `side_on` seen from the side; `pace` in steps."""

    x: float
    z: float
    bike: bool
    side_on: int
    pace: float
    seed: int


Thing = Building | Barrier | Tree | Post | Car | Person


class Look:
    """What one seed decides for the whole street: its light, width, colours and habits.

    Args:
        seed: of the random numbers, 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = Random(f'street {seed}')
        self.light = Light.draw(rng)
        self.bend = Bend(rng.uniform(0, 14), rng.uniform(260, 520), rng.uniform(0, 2 * pi))
        self.pavement_m = rng.uniform(1.9, 3.8)
        self._parking = {side: rng.random() < 0.55 for side in (-1, 1)}
        self.green = rng.uniform(0.15, 0.75)
        self.height = rng.uniform(5, 14)
        self.crowd = rng.uniform(0.45, 0.9)
        self.cars = rng.uniform(0.5, 0.9)
        self.speed = 7.0 * rng.uniform(0.8, 1.25)
        self.focal = rng.uniform(390, 540)
        self.horizon = rng.gauss(163, 12)
        self.camera_y = rng.uniform(1.25, 1.75)
        self.skyline_shift = rng.randrange(512)
        self.tree_color = color(rng, 45, 95)
        self.house_color = color(rng, 70, 150)
        self._draw_ground(rng)

    def _draw_ground(self, rng: Random) -> None:
        self.road_color = color(rng, 62, 130, 4)
        self.pavement_color = color(rng, 62, 140, 6)
        self.kerb_color = color(rng, 60, 150, 5)
        self.yard_color = color(rng, 70, 140, 8)
        green = rng.uniform(60, 105)
        self.grass_color = (green * rng.uniform(0.75, 1.05), green, green * rng.uniform(0.5, 0.8))
        self.slab = rng.choice([0.4, 0.6, 1.0])
        self.mended = rng.random()
        self.solid = rng.random() < 0.15
        self.dash_m = rng.choice([4.0, 6.0, 9.0])
        self.edge_lines = rng.random() < 0.45
        self.paint = rng.uniform(0.35, 0.95)
        self.paint_color = (215, 205, 150) if rng.random() < 0.2 else (215, 215, 212)
        self.dapple = rng.choice([0.2, 1.0, 2.5])

    def parking(self, side: int) -> bool:
        """Tell whether cars park along the `side` (-1 left, 1 right)."""
        return self._parking[side]

    def half_road(self, side: int) -> float:
        """Give the metres from the middle to the kerb of a side."""
        return LANE_M + 2.1 * self._parking[side]

    def fence_line(self, side: int) -> float:
        """Give the metres from the middle to the pavement's far edge."""
        return self.half_road(side) + self.pavement_m
