"""Cars of the synthetic source: a side profile drawn out to a body, with glass and lights."""
from __future__ import annotations

from math import cos, hypot, sin

import numpy as np

from frm_seg_ros.sources.synthetic_canvas import MIN_PX, WIDTH, Canvas
from frm_seg_ros.sources.synthetic_light import Color
from frm_seg_ros.sources.synthetic_world import Car

CAR = 8
# Outline from the rear bumper over the roof to the front: metres along, metres up, half width;
# the last letter tells what spans from this point to the next: body or glass.
_PROFILES: dict[str, list[tuple[float, float, float, str]]] = {
    'hatch': [(0.0, 0.3, .8, 'b'), (0.0, 0.9, .84, 'g'), (0.45, 1.4, .62, 'b'),
              (2.0, 1.46, .62, 'g'), (2.9, 0.96, .8, 'b'), (3.8, 0.74, .78, 'b'),
              (3.9, 0.3, .76, 'b')],
    'saloon': [(0.0, 0.3, .82, 'b'), (0.0, 0.92, .82, 'b'), (0.7, 0.98, .84, 'g'),
               (1.3, 1.38, .62, 'b'), (2.4, 1.4, .62, 'g'), (3.2, 0.95, .84, 'b'),
               (4.3, 0.76, .8, 'b'), (4.4, 0.3, .78, 'b')],
    'van': [(0.0, 0.35, .92, 'b'), (0.0, 1.25, .95, 'g'), (0.08, 1.9, .86, 'b'),
            (3.6, 2.0, .86, 'g'), (4.3, 1.15, .94, 'b'), (4.9, 0.95, .9, 'b'),
            (5.0, 0.35, .88, 'b')],
    'bus': [(0.0, 0.35, 1.2, 'b'), (0.0, 1.4, 1.22, 'g'), (0.05, 2.9, 1.18, 'b'),
            (9.0, 2.9, 1.18, 'g'), (9.1, 1.2, 1.22, 'b'), (9.2, 0.35, 1.2, 'b')],
}
# Side windows: metres along and up of the corners' lower left and upper right, with a slant.
_WINDOWS = {
    'hatch': [(0.45, 1.55, 0.94, 1.36, .3, 0.0), (1.65, 2.7, 0.94, 1.38, 0.0, -.62)],
    'saloon': [(0.95, 1.95, 0.95, 1.3, .4, 0.0), (2.05, 3.0, 0.95, 1.32, 0.0, -.55)],
    'van': [(2.7, 4.1, 1.15, 1.75, 0.0, -.45)],
    'bus': [(0.3 + 1.4 * k, 1.55 + 1.4 * k, 1.4, 2.4, 0.0, 0.0) for k in range(6)],
}


class _Body:
    """A car's place: turns (along, up, across) of the car into camera coordinates."""

    def __init__(self, canvas: Canvas, car: Car) -> None:
        profile = _PROFILES[car.kind]
        self.length = profile[-1][0]
        self.canvas, self.car = canvas, car
        self.c, self.s = cos(car.heading), sin(car.heading)
        self.center = self.view([(self.length / 2, 0.7, 0.0)])[0].tolist()

    def view(self, points: list[tuple[float, float, float]]) -> np.ndarray:
        out = np.array(points, float)
        along, across = out[:, 0] - self.length / 2, out[:, 2].copy()
        out[:, 0] = self.car.x + along * self.s + across * self.c
        out[:, 2] = self.car.z + self.length / 2 + along * self.c - across * self.s
        return self.canvas.camera.view(out)

    def faces_us(self, seen: np.ndarray) -> tuple[bool, float]:
        """Tell whether a face looks at the camera, and the height of its normal, -1..1."""
        (x, y, z), (bx, by, bz), (cx, cy, cz) = seen[[0, len(seen) // 2, -1]].tolist()
        bx, by, bz, cx, cy, cz = bx - x, by - y, bz - z, cx - x, cy - y, cz - z
        nx, ny, nz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        mx, my, mz = self.center
        out = nx * (x - mx) + ny * (y - my) + nz * (z - mz)
        towards = nx * x + ny * y + nz * z
        up = ny / (hypot(nx, ny, nz) + 1e-9)
        return (towards < 0, up) if out > 0 else (towards > 0, -up)


def draw_car(canvas: Canvas, car: Car) -> None:
    """Draw a car with its shadow, far faces first."""
    body = _Body(canvas, car)
    right, _, depth = body.center
    reach = body.length * 0.6 + 1
    if depth < -reach or abs(right) - reach > (depth + reach) * WIDTH / 2 / canvas.camera.focal:
        return
    size = 1.4 * canvas.camera.focal / max(depth, 1)
    if size < 2 * MIN_PX:
        return
    _shadow(canvas, body)
    faces = [*_strips(body), *_sides(body)]
    for seen, rgb, details in sorted(faces, key=lambda face: -float(face[0][:, 2].mean())):
        towards, up = body.faces_us(seen)
        if not towards:
            continue
        lit = canvas.light.side(-1 if seen[:, 0].mean() < right else 1)
        lit = lit * 0.78 + 0.4 * max(up, 0)
        canvas.face(seen, rgb, lit, CAR)
        for part, tone in details if size > 4 * MIN_PX else details[:1]:
            canvas.face(body.view(part), tone, lit, CAR)


def _shadow(canvas: Canvas, body: _Body) -> None:
    half = _PROFILES[body.car.kind][0][2] + 0.12
    length = body.length
    flat = body.view([(-0.15, 0.01, -half), (length + 0.15, 0.01, -half),
                      (length + 0.15, 0.01, half), (-0.15, 0.01, half)])
    canvas.face(flat, (24, 24, 26), 1.0, None)


Face = tuple[np.ndarray, Color, list]


def _strips(body: _Body) -> list[Face]:
    """Give the faces across the car, from the rear bumper to the front one."""
    profile = _PROFILES[body.car.kind]
    out: list[Face] = []
    edges = body.view([(along, up, side * half) for along, up, half, _ in profile
                       for side in (-1, 1)])
    for index, (a, b) in enumerate(zip(profile, profile[1:])):
        seen = edges[[2 * index, 2 * index + 1, 2 * index + 3, 2 * index + 2]]
        details = []
        rgb = body.car.color
        if a[3] == 'g':
            details = [([_mix(a, b, 0.12, -.86), _mix(a, b, 0.12, .86), _mix(a, b, 0.88, .86),
                         _mix(a, b, 0.88, -.86)], _glass(body.car))]
        elif index == 0:
            details = _lamps(a, b, (170, 25, 25), (215, 190, 90))
        elif index == len(profile) - 2:
            details = _lamps(b, a, (235, 235, 225), (225, 225, 225))
        out.append((seen, rgb, details))
    return out


def _mix(a: tuple, b: tuple, up: float, across: float) -> tuple[float, float, float]:
    along, height, half = (a[k] + (b[k] - a[k]) * up for k in range(3))
    return along, height, half * across


def _glass(car: Car) -> Color:
    level = 22 + sum(car.color) * 7 % 60
    return (level, level * 1.04, level * 1.1)


def _lamps(low: tuple, high: tuple, lamp: Color, plate: Color) -> list:
    """Give lamps, plate and bumper of an upright end whose edges are `low` and `high`."""
    out = [(_patch(low, high, (0.0, 0.3), (-1.0, 1.0)), (34, 34, 36))]
    out += [(_patch(low, high, (0.5, 0.92), (side * 0.68, side * 0.97)), lamp)
            for side in (-1, 1)]
    out.append((_patch(low, high, (0.34, 0.54), (-0.32, 0.32)), plate))
    return out


def _patch(low: tuple, high: tuple, up: tuple[float, float],
           across: tuple[float, float]) -> list:
    return [_mix(low, high, up[0], across[0]), _mix(low, high, up[0], across[1]),
            _mix(low, high, up[1], across[1]), _mix(low, high, up[1], across[0])]


def _sides(body: _Body) -> list[Face]:
    profile, car = _PROFILES[body.car.kind], body.car
    half, top = profile[0][2], max(point[1] for point in profile)
    out: list[Face] = []
    for side in (-1, 1):
        seen = body.view([(along, up, side * wide) for along, up, wide, _ in profile])
        narrow = min(point[2] for point in profile)

        def wide(up: float, narrow: float = narrow) -> float:
            return half - (half - narrow) * max(up - 0.9, 0) / (top - 0.9)

        details = []
        for a0, a1, low, high, slant0, slant1 in _WINDOWS[car.kind]:
            details.append(([(a0, low, side * wide(low)), (a1, low, side * wide(low)),
                             (a1 + slant1, high, side * wide(high)),
                             (a0 + slant0, high, side * wide(high))], _glass(car)))
        for along in (0.2 * body.length, 0.8 * body.length):
            for radius, tone in ((0.33, (18, 18, 19)), (0.19, (105, 105, 108))):
                details.append(([(along + radius * cos(k * 0.6), 0.32 + radius * sin(k * 0.6),
                                  side * half) for k in range(10)], tone))
        out.append((seen, tuple(part * 0.92 for part in car.color), details))
    return out
