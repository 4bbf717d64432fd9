"""Pedestrians and cyclists of the synthetic source, drawn from limbs."""
from __future__ import annotations

from math import cos, hypot, pi, sin
from random import Random

import numpy as np

from frm_seg_ros.sources.synthetic_canvas import WIDTH, Canvas
from frm_seg_ros.sources.synthetic_light import Color, color
from frm_seg_ros.sources.synthetic_world import Person

PEDESTRIAN, BICYCLIST = 9, 10
MIN_TALL_PX = 14.0
_Point = tuple[float, float]
_CIRCLE = np.array([(cos(k * pi / 6), sin(k * pi / 6)) for k in range(12)])


class _Figure:
    """A person's plane: metres right of and above where they stand, to px."""

    def __init__(self, canvas: Canvas, person: Person, place: tuple[float, float, float]) -> None:
        self.canvas = canvas
        self.column, self.row, self.depth = place
        self.scale = canvas.camera.focal / self.depth
        self.label = BICYCLIST if person.bike else PEDESTRIAN
        self.lit = canvas.light.side(1 if person.x > 0 else -1)

    def shape(self, points: np.ndarray, rgb: Color, lit: float = 1.0) -> None:
        """Fill a polygon given in metres, (N, 2)."""
        pixels = np.asarray(points) * (self.scale, -self.scale) + (self.column, self.row)
        shade = self.canvas.light.shade(rgb, self.depth, self.lit * lit)
        self.canvas.fill(pixels, shade, self.label)

    def limb(self, a: _Point, b: _Point, thick: tuple[float, float], rgb: Color,
             lit: float = 1.0) -> None:
        """Draw a limb from `a` to `b`, `thick` metres at either end, at least 1.5 px."""
        (x0, y0), (x1, y1) = a, b
        length = hypot(x1 - x0, y1 - y0) + 1e-6
        x, y = (x1 - x0) / length, (y1 - y0) / length
        w0, w1 = (max(width, 1.5 / self.scale) / 2 for width in thick)
        cap = 0.6 * min(w0, w1)
        self.shape(np.array([(x0 - y * w0, y0 + x * w0), (x1 - y * w1, y1 + x * w1),
                             (x1 + x * cap, y1 + y * cap), (x1 + y * w1, y1 - x * w1),
                             (x0 + y * w0, y0 - x * w0), (x0 - x * cap, y0 - y * cap)]), rgb, lit)

    def disc(self, center: _Point, size: _Point, rgb: Color) -> None:
        """Draw an ellipse with half axes `size` metres."""
        self.shape(_CIRCLE * size + center, rgb)


def draw_person(canvas: Canvas, person: Person) -> None:
    """Draw a walker or cyclist, unless too small to see."""
    place = canvas.camera.point(person.x, 0, person.z)
    if place[2] < 2.2 or 1.75 * canvas.camera.focal / place[2] < MIN_TALL_PX:
        return
    if not -60 < place[0] < WIDTH + 60:
        return
    figure, rng = _Figure(canvas, person, place), Random(person.seed)
    spot = figure.scale * 0.3
    ground = np.array([[-1, 0], [-0.5, -0.3], [0.5, -0.3], [1, 0], [0.5, 0.3], [-0.5, 0.3]])
    canvas.fill(ground * spot + place[:2], canvas.light.shade((34, 34, 36), place[2], 1), None)
    if person.bike:
        _cyclist(figure, person, rng)
    else:
        _walker(figure, person, rng)


def _clothes(rng: Random) -> tuple[Color, Color, Color, Color]:
    """Draw colours of coat, trousers, skin and hair; most people dress dark."""
    coat = color(rng, 20, 75, 10) if rng.random() < 0.6 else color(rng, 60, 215, 45)
    trousers = color(rng, 18, 75, 12) if rng.random() < 0.8 else color(rng, 80, 170, 15)
    tone = rng.uniform(0.4, 1)
    return coat, trousers, (205 * tone, 160 * tone, 135 * tone), color(rng, 15, 110, 14)


def _walker(figure: _Figure, person: Person, rng: Random) -> None:
    coat, trousers, skin, hair = _clothes(rng)
    tall, fat = rng.uniform(1.5, 1.9) / 1.75, rng.uniform(0.85, 1.25)
    swing = sin(2 * pi * person.pace)
    step = swing * (0.3 if person.side_on else 0.07)
    hip, neck = 0.86 * tall, 1.44 * tall
    wide = (0.28 if person.side_on else 0.44) * fat
    for foot, lit in ((-step, 0.8), (step, 1.0)):
        spread = 0.0 if person.side_on else (0.1 if foot == step else -0.1)
        knee = (foot * 0.5 + spread, hip * 0.52)
        figure.limb((spread * 0.7, hip), knee, (0.19 * fat, 0.15), trousers, lit)
        figure.limb(knee, (foot + spread, 0.06 + 0.05 * abs(swing)), (0.15, 0.11), trousers, lit)
        figure.limb((foot + spread - 0.06, 0.03), (foot + spread + 0.1, 0.03), (0.08, 0.07),
                    (24, 22, 22))
    long = rng.choice([0.0, 0.0, 0.25]) * tall
    figure.limb((0, hip - 0.05 - long), (0, neck), (wide * 0.9, wide), coat)
    for side in (-1, 1):
        shoulder = (side * wide * (0.1 if person.side_on else 0.52), neck - 0.05)
        hand = (shoulder[0] - side * step * 0.9 + side * 0.04, hip - 0.02)
        figure.limb(shoulder, hand, (0.13, 0.1), coat, 0.85 if side < 0 else 1.0)
        figure.disc(hand, (0.05, 0.06), skin)
    if rng.random() < 0.3:
        bag = color(rng, 20, 140, 30)
        figure.limb((wide * 0.5, hip), (wide * 0.5, hip - 0.35), (0.26, 0.28), bag)
    figure.disc((0, neck + 0.17 * tall), (0.105, 0.14), hair)
    if rng.random() < 0.6:
        figure.disc((0.02, neck + 0.14 * tall), (0.08, 0.11), skin)


def _cyclist(figure: _Figure, person: Person, rng: Random) -> None:
    coat, trousers, skin, hair = _clothes(rng)
    if rng.random() < 0.25:
        coat = (190, 215, 60)
    if person.side_on:
        _bike_side(figure, person, (coat, trousers, skin, hair), rng)
        return
    tread = sin(2 * pi * person.pace)
    figure.disc((0, 0.34), (0.05, 0.34), (24, 24, 26))
    figure.limb((-0.27, 1.0), (0.27, 1.0), (0.05, 0.05), (40, 40, 44))
    for side in (-1, 1):
        knee = (side * 0.15, 0.68 + side * 0.1 * tread)
        figure.limb((side * 0.1, 0.96), knee, (0.2, 0.15), trousers)
        figure.limb(knee, (side * 0.13, 0.28 + side * 0.12 * tread), (0.14, 0.1), trousers)
        figure.limb((side * 0.2, 1.42), (side * 0.28, 1.02), (0.13, 0.1), coat, 0.85)
    figure.limb((0, 0.88), (0, 1.5), (0.38, 0.44), coat)
    figure.disc((0, 0.62), (0.07, 0.05), (190, 30, 30))
    helmet = color(rng, 40, 220, 40) if rng.random() < 0.5 else hair
    figure.disc((0, 1.68), (0.11, 0.14), helmet)


def _bike_side(figure: _Figure, person: Person, colors: tuple[Color, ...],
               rng: Random) -> None:
    coat, trousers, skin, hair = colors
    way = person.side_on
    frame = color(rng, 30, 170, 50)
    for wheel in (-0.5, 0.5):
        figure.disc((wheel, 0.34), (0.34, 0.34), (32, 32, 34))
        figure.disc((wheel, 0.34), (0.27, 0.27), (96, 96, 98))
    for a, b in (((-0.5, 0.34), (-0.15, 0.8)), ((-0.15, 0.8), (0.42, 0.8)),
                 ((0.42, 0.95), (0.5, 0.34)), ((0.0, 0.3), (0.42, 0.8))):
        figure.limb((a[0] * way, a[1]), (b[0] * way, b[1]), (0.05, 0.05), frame)
    turn = 2 * pi * person.pace
    for phase, lit in ((pi, 0.8), (0.0, 1.0)):
        foot = (0.17 * cos(turn + phase) * way, 0.3 + 0.17 * sin(turn + phase))
        knee = (0.22 * way, 0.72 + 0.1 * sin(turn + phase))
        figure.limb((-0.18 * way, 0.93), knee, (0.19, 0.15), trousers, lit)
        figure.limb(knee, foot, (0.14, 0.1), trousers, lit)
    figure.limb((-0.18 * way, 0.9), (0.12 * way, 1.42), (0.28, 0.34), coat)
    figure.limb((0.12 * way, 1.35), (0.42 * way, 0.98), (0.12, 0.09), coat, 0.85)
    figure.disc((0.2 * way, 1.6), (0.11, 0.14), hair)
    figure.disc((0.24 * way, 1.57), (0.07, 0.1), skin)
