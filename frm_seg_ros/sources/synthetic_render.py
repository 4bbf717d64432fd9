"""Drawing of what stands along the synthetic street: houses, trees, fences, posts, signs."""
from __future__ import annotations

from functools import lru_cache, partial
from math import cos, pi, sin
from random import Random

import numpy as np

from frm_seg_ros.sources.synthetic_canvas import MIN_PX, Canvas
from frm_seg_ros.sources.synthetic_facade import facade, plain_wall
from frm_seg_ros.sources.synthetic_light import Color, color
from frm_seg_ros.sources.synthetic_texture import crown, fence, noise, pyramid
from frm_seg_ros.sources.synthetic_world import Barrier, Building, Post, Tree

BUILDING, POLE, TREE, SIGN, FENCE = 1, 2, 5, 6, 7


def draw_building(canvas: Canvas, house: Building) -> None:
    """Draw the front, the end wall that faces us, the roof and a chimney."""
    x, lit = house.side * house.front, canvas.light.side(house.side)
    deep = x + house.side * 9
    ends = np.array([[x, house.z0], [x, house.z1]])
    depth = canvas.camera.point(x, 0, house.z0)[2]
    if max(depth, canvas.camera.point(x, 0, house.z1)[2]) < 1.5:
        return
    ridge = house.height + house.roof
    if house.roof:
        _roof(canvas, house, x, lit)
    if depth < 30:
        canvas.wall(np.array([[x, house.z0], [deep, house.z0]]), (0, house.height),
                    partial(_end_wall, house), 0.85, BUILDING)
    else:
        _flat_end(canvas, house, x, deep)
    if house.roof:
        gable = np.array([[x, house.height, house.z0], [x + house.side * 4.5, ridge, house.z0],
                          [deep, house.height, house.z0]])
        canvas.face(canvas.camera.view(gable), house.color, 0.8, BUILDING)
    canvas.wall(ends, (0, house.height), partial(facade, house), lit, BUILDING)


def _flat_end(canvas: Canvas, house: Building, x: float, deep: float) -> None:
    corners = np.array([[x, 0, house.z0], [x, house.height, house.z0],
                        [deep, house.height, house.z0], [deep, 0, house.z0]])
    canvas.face(canvas.camera.view(corners), house.color, 0.8, BUILDING)


@lru_cache(maxsize=160)
def _end_wall(house: Building) -> list[np.ndarray]:
    return pyramid(plain_wall(house.wall, house.color, 9, house.height, Random(house.seed)))


def _roof(canvas: Canvas, house: Building, x: float, lit: float) -> None:
    top, z0, z1 = house.height, house.z0 - 0.2, house.z1 + 0.2
    back, ridge = x + house.side * 4.5, top + house.roof
    rng = Random(house.seed + 1)
    tiles = color(rng, 35, 105, 14)
    if rng.random() < 0.6:
        z = rng.uniform(house.z0 + 0.5, house.z1 - 0.9)
        stack = [(back, ridge - 0.5, z), (back, ridge + 1.3, z), (back, ridge + 1.3, z + 0.8),
                 (back, ridge - 0.5, z + 0.8)]
        canvas.face(canvas.camera.view(np.array(stack)), house.color, 0.7, BUILDING)
    slope = [(x - house.side * 0.25, top - 0.3, z0), (x - house.side * 0.25, top - 0.3, z1),
             (back, ridge, z1), (back, ridge, z0)]
    canvas.face(canvas.camera.view(np.array(slope)), tiles, lit, BUILDING)


def draw_barrier(canvas: Canvas, barrier: Barrier) -> None:
    """Draw a fence, whose label covers its whole region as in hand labels, or a hedge."""
    _, _, depth = canvas.camera.point(barrier.x, 0, (barrier.z0 + barrier.z1) / 2)
    if depth > 5 and barrier.height * canvas.camera.focal / depth < 4 * MIN_PX:
        return
    lit = canvas.light.side(1 if barrier.x > 0 else -1)
    ends = np.array([[barrier.x, barrier.z0], [barrier.x, barrier.z1]])
    levels = _hedge if barrier.kind == 'hedge' else partial(_fence, barrier.kind)
    canvas.wall(ends, (0, barrier.height), partial(levels, barrier.color), lit,
                TREE if barrier.kind == 'hedge' else FENCE)


@lru_cache(maxsize=64)
def _hedge(rgb: Color) -> list[np.ndarray]:
    field = 1 + 0.3 * noise(0.7, 60)[:40, :100] + 0.12 * noise(1.3, 61)[:40, :100]
    return pyramid(np.clip(field[..., None] * np.float32(rgb), 0, 255).astype(np.uint8))


@lru_cache(maxsize=64)
def _fence(kind: str, rgb: Color) -> list[np.ndarray]:
    return [np.dstack([np.clip(level[..., :1] / 128 * np.float32(rgb), 0, 255),
                       level[..., 1:]]).astype(np.uint8) for level in fence(kind)]


def draw_tree(canvas: Canvas, tree: Tree) -> None:
    """Draw trunk and crown."""
    column, row, depth = canvas.camera.point(tree.x, 0, tree.z)
    if depth < 2.5:
        return
    scale = canvas.camera.focal / depth
    lit = canvas.light.side(1 if tree.x > 0 else -1) * 0.5 + 0.5
    if tree.height * scale < 2 * MIN_PX:
        return
    bare = tree.crown % 2 == 1 and tree.trunk > 0
    bark = tuple(part * 0.55 for part in tree.color)
    if tree.trunk:
        half = max(tree.height * 0.028, 0.09) * scale
        top = row - (tree.trunk + tree.height * (0.12 if bare else 0.4)) * scale
        trunk = np.array([[column - half, row], [column + half, row],
                          [column + half * 0.7, top], [column - half * 0.7, top]])
        canvas.fill(trunk, canvas.light.shade(bark, depth, lit), TREE)
    index = tree.crown if bare or tree.crown % 2 == 0 else tree.crown - 1
    light = tuple(min(part * (1.0 if bare else 1.55), 235) for part in tree.color)
    dark = tuple(part * 0.25 for part in tree.color)
    tones = (canvas.light.shade(dark, depth, lit), canvas.light.shade(light, depth, lit))
    middle = row - (tree.trunk + tree.height / 2) * scale
    canvas.sprite((column, middle), (tree.width * scale, tree.height * scale * 1.05),
                  crown(index), tones, TREE)


def draw_post(canvas: Canvas, post: Post) -> None:
    """Draw a lamp post, bollard, sign or traffic light."""
    column, row, depth = canvas.camera.point(post.x, 0, post.z)
    if depth < 1.5:
        return
    scale = canvas.camera.focal / depth
    rng = Random(post.seed)
    if post.kind == 'shop':
        _shop_sign(canvas, post, rng)
        return
    half = {'lamp': 0.1, 'bollard': 0.13}.get(post.kind, 0.06) * rng.uniform(0.85, 1.25)
    if half * 2 * scale * 1.6 < MIN_PX * 0.6:
        return
    half = max(half * scale, MIN_PX / 2)
    shade = canvas.light.shade(post.color, depth, canvas.light.side(1 if post.x > 0 else -1))
    top = row - post.height * scale
    canvas.fill(np.array([[column - half, row], [column + half, row], [column + half * 0.8, top],
                          [column - half * 0.8, top]]), shade, POLE)
    glow = tuple(min(part * 1.35 + 8, 255) for part in shade)
    canvas.fill(np.array([[column - half * 0.5, row], [column, row], [column, top],
                          [column - half * 0.4, top]]), glow, None)
    if post.kind == 'lamp':
        _lamp(canvas, (column, top), half, scale * (-1 if post.x > 0 else 1), shade)
    elif post.kind == 'bollard':
        band = np.array([[column - half, top + half], [column + half, top + half],
                         [column + half, top + 2.5 * half], [column - half, top + 2.5 * half]])
        canvas.fill(band, canvas.light.shade(color(rng, 120, 230, 25), depth, 1), POLE)
    else:
        _plate(canvas, (column, top), scale, post.kind, rng, depth)


def _lamp(canvas: Canvas, top: tuple[float, float], half: float, scale: float,
          shade: Color) -> None:
    x, y = top
    thick = max(half * 0.7, 1.2)
    arm = np.array([[x, y - thick], [x + scale * 1.3, y - thick - abs(scale) * 0.3],
                    [x + scale * 1.3, y + thick - abs(scale) * 0.3], [x, y + thick]])
    canvas.fill(arm, shade, POLE)
    head = np.array([[x + scale * 1.2, y - abs(scale) * 0.42],
                     [x + scale * 1.9, y - abs(scale) * 0.42],
                     [x + scale * 1.9, y - abs(scale) * 0.24],
                     [x + scale * 1.2, y - abs(scale) * 0.2]])
    canvas.fill(head, shade, POLE)


def _plate(canvas: Canvas, top: tuple[float, float], scale: float, kind: str, rng: Random,
           depth: float) -> None:
    x, y = top
    size = rng.uniform(0.32, 0.5) * scale
    if size * 2 < 2 * MIN_PX:
        return
    shade = canvas.light.shade
    if kind == 'lights':
        box = np.array([[-0.5, -1.3], [0.5, -1.3], [0.5, 1.3], [-0.5, 1.3]]) * size + (x, y)
        canvas.fill(box, shade(color(rng, 15, 50, 4), depth, 1), SIGN)
        lit = rng.randrange(3)
        lamps = [(235, 60, 40), (240, 180, 50), (60, 230, 150)]
        for place, lamp in enumerate(lamps):
            rgb = lamp if place == lit else tuple(part * 0.25 for part in lamp)
            canvas.fill(_ring(x, y + (place - 1) * size * 0.8, size * 0.34, 10), rgb, None)
        return
    corners = {'round': 14, 'triangle': 3, 'board': 4}[kind]
    turn = pi / 4 if kind == 'board' else -pi / 2
    stretch = (rng.uniform(0.8, 1.9), rng.uniform(0.8, 1.2)) if kind == 'board' else (1, 1)
    rim = rng.choice([(190, 40, 45), (190, 40, 45), (40, 80, 160), (225, 225, 225),
                      (40, 110, 80), (120, 120, 125)])
    face = rim if rng.random() < 0.5 else (215, 215, 210)
    ink = (30, 30, 35) if sum(face) > 400 else (220, 220, 220)
    for part, rgb, label in ((1.0, rim, SIGN), (0.76, face, None), (0.3, ink, None)):
        shape = _ring(0, 0, size * part, corners, turn) * stretch + (x, y)
        canvas.fill(shape, shade(rgb, depth, 0.85), label)


def _shop_sign(canvas: Canvas, post: Post, rng: Random) -> None:
    """Draw a board that hangs out from a wall."""
    inner = post.x - (0.9 if post.x > 0 else -0.9)
    low, high = post.height, post.height + rng.uniform(0.6, 1.1)
    board = np.array([[post.x, low, post.z], [inner, low, post.z], [inner, high, post.z],
                      [post.x, high, post.z]])
    seen = canvas.camera.view(board)
    depth = float(seen[:, 2].mean())
    if 0.6 * canvas.camera.focal / max(depth, 1) < 2 * MIN_PX:
        return
    back = color(rng, 20, 225, 40)
    canvas.face(seen, back, 0.9, SIGN)
    ink = color(rng, 190, 250, 5) if sum(back) < 330 else color(rng, 10, 60, 20)
    for share in (0.3, 0.65):
        row = (1 - share) * seen[[0, 1]] + share * seen[[3, 2]]
        line = np.concatenate([row * 0.86 + row[::-1] * 0.14, row[::-1] * 0.86 + row * 0.14])
        line[2:, 1] += (high - low) * 0.16
        canvas.face(line, ink, 0.9, None)


def _ring(x: float, y: float, radius: float, corners: int, turn: float = 0.0) -> np.ndarray:
    return np.array([[x + radius * cos(turn + 2 * pi * k / corners),
                      y + radius * sin(turn + 2 * pi * k / corners)] for k in range(corners)])
