"""Who moves through the synthetic street, in closed form of time."""
from __future__ import annotations

from collections.abc import Iterator
from math import pi, sin
from random import Random

from frm_seg_ros.sources.synthetic_light import color
from frm_seg_ros.sources.synthetic_world import LANE_M, Car, Look, Person, Thing


def random_car(rng: Random, x: float, z: float, heading: float) -> Car:
    """Draw a car of any kind and colour with its rear at (x, z) metres."""
    kind = rng.choices(['hatch', 'saloon', 'van', 'bus'], [6, 4, 2, 0.6])[0]
    vivid = color(rng, 30, 150, 45 if rng.random() < 0.4 else 6)
    bright = rng.random() < 0.25
    return Car(x, z, heading, kind, color(rng, 160, 225, 6) if bright else vivid)


def moving(look: Look, z: float, seconds: float) -> Iterator[Thing]:
    """List who moves: cars ahead and oncoming, cyclists, walkers."""
    yield from _ahead(look, z, seconds)
    yield from _cyclist_ahead(look, z, seconds)
    yield from _crossing(look, z, seconds)
    for rng, place in _slots(look, 'oncoming', z, seconds, -look.speed, 22.0):
        if rng.random() < look.cars * 0.6:
            yield random_car(rng, LANE_M / 2 + 0.1, place, pi)
    for rng, place in _slots(look, 'cyclist', z, seconds, 4.0, 17.0):
        if rng.random() < 0.45:
            x = -(LANE_M - rng.uniform(0.25, 0.5))
            yield Person(x, place, True, 0, seconds * 1.2 + rng.random(), rng.randrange(1 << 30))
    for side in (-1, 1):
        for way in (-1, 1):
            name = f'walker {side} {way}'
            for rng, place in _slots(look, name, z, seconds, 1.3 * way, 8.0):
                yield from _walkers(look, rng, side, way, place, seconds)


def _walkers(look: Look, rng: Random, side: int, way: int, place: float,
             seconds: float) -> Iterator[Person]:
    if rng.random() > look.crowd * 0.55:
        return
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        x = side * (look.half_road(side) + rng.uniform(0.8, look.pavement_m - 0.35))
        yield Person(x, place + rng.uniform(-0.4, 0.4), False, way * (rng.random() < 0.5),
                     seconds * 0.9 + rng.random(), rng.randrange(1 << 30))


def _slots(look: Look, name: str, z: float, seconds: float, speed: float,
           length: float) -> Iterator[tuple[Random, float]]:
    """Walk through slots that move with `speed`; yield each one's random numbers and place."""
    shift = speed * seconds
    first = int((z - 5 - shift) // length)
    for index in range(first, first + int(110 / length) + 1):
        rng = Random(f'{name} {look.seed} {index}')
        yield rng, (index + rng.uniform(0.1, 0.9)) * length + shift


def _cyclist_ahead(look: Look, z: float, seconds: float) -> Iterator[Thing]:
    """Let somebody cycle near the kerb a little ahead, on most streets."""
    rng = Random(f'cyclist ahead {look.seed}')
    if rng.random() < 0.7:
        gap = rng.uniform(8, 17) + 2 * sin(seconds * 0.4 + rng.uniform(0, 6))
        yield Person(-LANE_M + rng.uniform(0.1, 0.6), z + gap, True, 0, seconds * 1.4,
                     rng.randrange(1 << 30))


def _crossing(look: Look, z: float, seconds: float) -> Iterator[Thing]:
    """Let walkers and cyclists cross the street some seconds before we are there."""
    for rng, place in _slots(look, 'crossing', z, seconds, 0.0, 24.0):
        bike, way = rng.random() < 0.5, rng.choice([-1, 1])
        at_middle = place / look.speed - rng.uniform(5, 10)
        x = way * (2.4 if bike else 1.4) * (seconds - at_middle)
        if abs(x) < look.fence_line(1 if x > 0 else -1) - 0.4:
            yield Person(x, place, bike, way, seconds * 0.9, rng.randrange(1 << 30))


def _ahead(look: Look, z: float, seconds: float) -> Iterator[Thing]:
    """Let cars drive ahead at a slowly changing gap."""
    rng = Random(f'ahead {look.seed}')
    gap = rng.uniform(9, 30)
    swing, phase = rng.uniform(1, 4), rng.uniform(0, 6)
    for _ in range(rng.choices([0, 1, 2, 3], [2, 4, 3, 1])[0]):
        place = z + gap + swing * sin(seconds * 0.35 + phase)
        yield random_car(rng, -LANE_M / 2 + rng.uniform(-0.2, 0.2), place, 0.0)
        gap += rng.uniform(9, 16)
