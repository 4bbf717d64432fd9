"""Where things stand along the synthetic street."""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import pi
from random import Random

import numpy as np

from frm_seg_ros.sources.synthetic_light import color, leafy, warm
from frm_seg_ros.sources.synthetic_traffic import moving, random_car
from frm_seg_ros.sources.synthetic_world import Barrier, Building, Car, Look, Post, Thing, Tree

CHUNK_M = 40  # the street is made in pieces of this length, each from its own seed
CELL_M = 0.25  # length of one cell of the tables along the street
BACK_CELLS, CELLS = 160, 960  # the tables reach from 40 m behind the camera to 200 m ahead
SIDE_ROAD, PAVED, GRASS, YARD = 0, 1, 2, 3  # ground behind the pavement
VISIBLE_M = 130.0
_FENCES = ('railing', 'railing', 'panel', 'mesh', 'picket')


@dataclass
class Chunk:
    """One piece of street.

    Attributes:
        things: what stands there, each with its place in the painter's order: far is large.
        plots: (side, z0, z1, ground behind the pavement, height of what throws a shadow).
        zebra: where a crossing starts, metres; or None.
    """

    things: list[tuple[float, Thing]] = field(default_factory=list)
    plots: list[tuple[int, float, float, int, float]] = field(default_factory=list)
    zebra: float | None = None


@dataclass(frozen=True)
class Tables:
    """The ground by cells along the street.

    Attributes:
        ground: (2, CELLS) uint8, ground behind the pavement, left and right.
        reach: (2, CELLS) float32, metres that shadows reach from the pavement's far edge.
        zebra: (CELLS,) bool, a crossing.
    """

    ground: np.ndarray
    reach: np.ndarray
    zebra: np.ndarray


class Street:
    """A street without end, made piece by piece; the same seed gives the same street."""

    def __init__(self, seed: int) -> None:
        self.look = Look(seed)
        self.chunk = lru_cache(maxsize=16)(self._make)

    def things(self, x: float, z: float, seconds: float) -> list[Thing]:
        """List what may be seen by a camera at (x, z) metres, far to near."""
        pieces = range(int(z // CHUNK_M) - 1, int((z + VISIBLE_M) // CHUNK_M) + 1)
        found = [pair for index in pieces for pair in self.chunk(index).things]
        found += [(thing.z, thing) for thing in moving(self.look, z, seconds)]
        found = [pair for pair in found if z - 14 < pair[0] < z + VISIBLE_M]
        return [thing for _, thing in sorted(found, key=lambda pair: -_far(*pair, x))]

    def tables(self, z: float) -> Tables:
        """Make the ground's tables around `z`."""
        first = int(z // CELL_M) - BACK_CELLS
        tables = Tables(np.full((2, CELLS), PAVED, np.uint8), np.zeros((2, CELLS), np.float32),
                        np.zeros(CELLS, bool))
        low = int(first * CELL_M // CHUNK_M)
        for index in range(low, low + int(CELLS * CELL_M // CHUNK_M) + 2):
            chunk = self.chunk(index)
            for side, z0, z1, ground, height in chunk.plots:
                cells = slice(*(max(int(place / CELL_M) - first, 0) for place in (z0, z1)))
                tables.ground[int(side > 0), cells] = ground
                tables.reach[int(side > 0), cells] = height * 0.55
            if chunk.zebra is not None:
                start = max(int(chunk.zebra / CELL_M) - first, 0)
                tables.zebra[start:max(start + 12, 0)] = True
        return tables

    def _make(self, index: int) -> Chunk:
        rng = Random(f'chunk {self.look.seed} {index}')
        chunk = Chunk()
        start = float(index * CHUNK_M)
        for side in (-1, 1):
            open_z = _plots(chunk, self.look, rng, side, start)
            _furniture(chunk, self.look, rng, side, start, open_z)
            if self.look.parking(side):
                _parked(chunk, self.look, rng, side, start, open_z)
        if rng.random() < 0.2:
            chunk.zebra = start + rng.uniform(4, 30)
        return chunk


def _far(order: float, thing: Thing, x: float) -> float:
    """Rank a thing for painting: along the street and, side by side, away from the camera."""
    if isinstance(thing, Building):
        return order + 0.8 * thing.front
    return order + 0.8 * abs(thing.x - x) + (2.0 if isinstance(thing, Car) else 0.0)


def _plots(chunk: Chunk, look: Look, rng: Random, side: int,
           start: float) -> tuple[float, float]:
    """Fill one side with plots; return where its side road lies, or an empty stretch."""
    z, end = start, start + CHUNK_M
    open_z = (end, end)
    while end - z > 1:
        depth = min(rng.uniform(7, 15), end - z)
        if end - z - depth < 5:
            depth = end - z
        span = (z, z + depth)
        if rng.random() < 0.14 and depth < 12 and open_z[0] == end:
            chunk.plots.append((side, *span, SIDE_ROAD, 0.0))
            open_z = span
            _corner(chunk, look, rng, side, span)
        elif rng.random() < look.green:
            _garden(chunk, look, rng, side, span)
        else:
            height = _house(chunk, look, rng, side, span, rng.uniform(0, 0.5))
            chunk.plots.append((side, *span, PAVED, height))
        z += depth
    return open_z


def _house(chunk: Chunk, look: Look, rng: Random, side: int, span: tuple[float, float],
           setback: float) -> float:
    height = max(rng.gauss(look.height, 2.2), 4.5)
    modern = rng.random() < 0.25
    kinds = ['glass', 'stone', 'plaster'] if modern else ['brick', 'brick', 'stone', 'plaster']
    kind = rng.choice(kinds)
    rgb = warm(color(rng, 45, 215, 12), rng.uniform(5, 30) if kind == 'brick' else 4)
    chunk.things.append((span[1] + 0.2, Building(
        side, span[0], span[1] - rng.choice([0, 0, 0, 1.5]), look.fence_line(side) + setback,
        height, 0.0 if modern else rng.uniform(1.5, 4), kind, rng.randrange(1 << 30), rgb,
        color(rng, 50, 220, 14), rng.random() < (0.55 if setback < 1 else 0.0))))
    return height


def _garden(chunk: Chunk, look: Look, rng: Random, side: int,
            span: tuple[float, float]) -> None:
    """Lay out grass or a yard behind a fence or hedge, with trees, perhaps a house behind."""
    edge = look.fence_line(side)
    ground = rng.choice([GRASS, GRASS, YARD])
    height = 0.0
    if rng.random() < 0.6:
        height = max(_house(chunk, look, rng, side, span, rng.uniform(4, 9)) - 5, 0)
    chunk.plots.append((side, *span, ground, max(height, 2.0)))
    for _ in range(rng.randint(0, 3)):
        _tree(chunk, rng, side * (edge + rng.uniform(1.8, 4)), rng.uniform(*span), span[1] + 0.1)
    kind = 'hedge' if rng.random() < 0.3 else rng.choice(_FENCES)
    shade = color(rng, 25, 140, 10) if kind != 'hedge' else leafy(color(rng, 35, 85, 6), 18)
    if rng.random() < 0.85:
        tall = rng.uniform(1.0, 2.1)
        for z0, z1 in zip(*_thirds(span)):
            chunk.things.append((z1, Barrier(side * (edge + 0.1), z0, z1, tall, kind, shade)))


def _thirds(span: tuple[float, float]) -> tuple[list[float], list[float]]:
    count = max(round((span[1] - span[0]) / 4), 1)
    cuts = [span[0] + (span[1] - span[0]) * part / count for part in range(count + 1)]
    return cuts[:-1], cuts[1:]


def _tree(chunk: Chunk, rng: Random, x: float, z: float, order: float) -> None:
    tall = rng.uniform(4.5, 11)
    trunk = 0.0 if rng.random() < 0.15 else tall * rng.uniform(0.18, 0.4)
    if not trunk:
        tall *= 0.35
    leaves = leafy(color(rng, 50, 150, 9), rng.uniform(0, 26))
    chunk.things.append((order, Tree(x, z, trunk, tall - trunk, tall * rng.uniform(0.5, 0.8),
                                     rng.randrange(24), leaves)))


def _corner(chunk: Chunk, look: Look, rng: Random, side: int,
            span: tuple[float, float]) -> None:
    """Put lights or signs at the mouth of a side road, a railing, a car waiting, a far end."""
    edge = side * (look.half_road(side) + 0.5)
    kind = rng.choice(['lights', 'lights', 'round', 'board'])
    for z in (span[0] - 0.7, span[1] + 0.7):
        chunk.things.append((z, Post(edge, z, kind, rng.uniform(2.6, 3.6),
                                     rng.randrange(1 << 30), color(rng, 30, 130))))
    for z0 in (span[0] - 5, span[1] + 1.2):
        if rng.random() < 0.6:
            chunk.things.append((z0 + 3.5, Barrier(side * (look.half_road(side) + 0.3), z0,
                                                   z0 + 3.5, 1.1, 'railing', color(rng, 30, 140))))
    if rng.random() < 0.4:
        x = side * (look.half_road(side) + rng.uniform(1, 3))
        chunk.things.append((span[0] + 2.5, random_car(rng, x, sum(span) / 2, -side * pi / 2)))


def _furniture(chunk: Chunk, look: Look, rng: Random, side: int, start: float,
               open_z: tuple[float, float]) -> None:
    kerb = look.half_road(side) + 0.45
    for step in range(8):
        z = start + 5 * step + rng.uniform(0, 4)
        if open_z[0] - 1 < z < open_z[1] + 1:
            continue
        pick = rng.random()
        if step % 4 == 1 + (side > 0) * 2:
            kind, tall = 'lamp', rng.uniform(5, 9)
        elif pick < 0.16:
            kind, tall = rng.choice(['round', 'board', 'triangle']), rng.uniform(2.3, 3)
        elif pick < 0.3:
            kind, tall = 'bollard', rng.uniform(0.8, 1.2)
        elif pick < 0.42:
            if not _walled(chunk, side, z):
                continue
            kind, tall = 'shop', rng.uniform(2.8, 4)
        elif pick < 0.42 + look.green * 0.3:
            _tree(chunk, rng, side * (kerb + 0.3), z, z)
            continue
        else:
            continue
        x = look.fence_line(side) - 0.3 if kind == 'shop' else kerb
        chunk.things.append((z, Post(side * x, z, kind, tall, rng.randrange(1 << 30),
                                     color(rng, 25, 150, 8))))


def _walled(chunk: Chunk, side: int, z: float) -> bool:
    return any(one == side and z0 <= z < z1 and ground == PAVED
               for one, z0, z1, ground, _ in chunk.plots)


def _parked(chunk: Chunk, look: Look, rng: Random, side: int, start: float,
            open_z: tuple[float, float]) -> None:
    for step in range(6):
        z = start + 6.6 * step + rng.uniform(0.2, 1.8)
        if rng.random() < look.cars * 0.75 and not open_z[0] - 5 < z < open_z[1]:
            x = side * (look.half_road(side) - 1.0)
            chunk.things.append((z, random_car(rng, x, z, 0.0 if rng.random() < 0.75 else pi)))
