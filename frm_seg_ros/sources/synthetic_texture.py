"""Procedural textures of the synthetic source: made once a process, from fixed seeds."""
from __future__ import annotations

from functools import cache
from random import Random

import cv2
import numpy as np

NOISE_SIZE = 512
SPRITE_SIZE = 160


@cache
def noise(power: float, seed: int = 0) -> np.ndarray:
    """Make periodic noise whose amplitude falls with frequency as f ** -power.

    Returns:
        (512, 512) float32 with mean 0 and deviation 1; do not write to it.
    """
    white = np.random.default_rng([7, seed]).standard_normal((NOISE_SIZE, NOISE_SIZE))
    rows = np.fft.fftfreq(NOISE_SIZE)[:, None]
    frequency = np.hypot(rows, np.fft.rfftfreq(NOISE_SIZE)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(white) / frequency ** power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=white.shape)
    return (field / field.std()).astype(np.float32)


@cache
def wall_tile(kind: str) -> np.ndarray:
    """Make the relative brightness of a wall at 20 px/m, (512, 512) float32 around 1.

    Args:
        kind: `brick`, `stone`, `plaster` or `glass`.
    """
    tile = 1 + 0.07 * noise(0.6, 3) + 0.07 * noise(1.4, 4)
    if kind == 'plaster':
        return tile
    height, width, joint = {'brick': (4, 8, 0.82), 'stone': (10, 22, 0.72),
                            'glass': (30, 26, 0.55)}[kind]
    rng = np.random.default_rng(len(kind))
    rows = np.arange(NOISE_SIZE) // height
    shift = 0 if kind == 'glass' else (rows % 2 * width // 2)[:, None]
    columns = np.arange(NOISE_SIZE)[None] + shift
    single = rng.normal(1, 0.13, (rows.max() + 1, NOISE_SIZE // width + 3))
    tile *= single[rows[:, None], columns // width]
    tile[(np.arange(NOISE_SIZE) % height == 0)] *= joint
    tile[np.broadcast_to(columns % width == 0, tile.shape)] *= joint
    return tile.astype(np.float32)


@cache
def slabs() -> np.ndarray:
    """Make paving slabs with dark joints at 32 px/m, (512, 512) float32 around 1."""
    rows, columns = np.mgrid[:NOISE_SIZE, :NOISE_SIZE]
    single = np.random.default_rng(5).normal(1, 0.06, (17, 17))
    tile = single[rows // 32, (columns + rows // 32 % 2 * 16) // 32]
    joint = (rows % 32 < 2) | ((columns + rows // 32 % 2 * 16) % 32 < 2)
    return np.where(joint, tile * 0.78, tile).astype(np.float32)


def pyramid(texture: np.ndarray, levels: int = 4) -> list[np.ndarray]:
    """Halve a texture again and again, so that far surfaces do not alias."""
    out = [texture]
    while len(out) < levels and min(out[-1].shape[:2]) >= 4:
        height, width = out[-1].shape[:2]
        out.append(cv2.resize(out[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return out


@cache
def crown(index: int) -> list[np.ndarray]:
    """Make a tree's crown: (n, n, 3) uint8 of brightness, coverage, label mask; in a pyramid.

    Even indices are in leaf, odd ones are bare: their label covers the twigs' region, as hand
    labels do.
    """
    if index % 2:
        coverage, label = _bare_crown(index)
    else:
        coverage, label = _leafy_crown(index)
    light = np.linspace(190, 95, SPRITE_SIZE)[:, None]
    texture = np.roll(noise(0.7, 9), index * 37, 1)[:SPRITE_SIZE, :SPRITE_SIZE]
    lumps = np.roll(noise(1.5, 10), index * 53, 0)[:SPRITE_SIZE, :SPRITE_SIZE]
    brightness = np.clip(light + 34 * texture + 40 * lumps, 0, 255)
    return pyramid(np.dstack([brightness, coverage, label]).astype(np.uint8), 6)


def _leafy_crown(index: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([11, index])
    rows, columns = np.mgrid[-1:1:SPRITE_SIZE * 1j, -1:1:SPRITE_SIZE * 1j]
    solid = np.full(rows.shape, -1.0)
    for _ in range(7):
        x, y = rng.uniform(-0.45, 0.45, 2)
        radius = rng.uniform(0.3, 0.5)
        solid = np.maximum(solid, 1 - np.hypot((columns - x) / 1.05, rows - y) / radius)
    lump = np.roll(noise(1.3, 12), index * 71, 1)[:SPRITE_SIZE, :SPRITE_SIZE]
    leaf = np.roll(noise(0.6, 13), index * 31, 0)[:SPRITE_SIZE, :SPRITE_SIZE]
    field = solid + 0.14 * lump
    coverage = np.clip((field + 0.1 * leaf) * 9 + 0.5, 0, 1) * 255
    return coverage, (field > -0.03) * 255


def _bare_crown(index: int) -> tuple[np.ndarray, np.ndarray]:
    rng = Random(index)
    twigs = np.zeros((SPRITE_SIZE * 2, SPRITE_SIZE * 2), np.uint8)
    branches = [(SPRITE_SIZE, SPRITE_SIZE * 2 - 2, -np.pi / 2, SPRITE_SIZE * 0.5, 11.0)]
    while branches:
        x, y, angle, length, thick = branches.pop()
        end = x + np.cos(angle) * length, y + np.sin(angle) * length
        cv2.line(twigs, (int(x), int(y)), (int(end[0]), int(end[1])), 255, max(int(thick), 1),
                 cv2.LINE_AA)
        if length > 9:
            for _ in range(3):
                branches.append((*end, angle + rng.uniform(-0.75, 0.75),
                                 length * rng.uniform(0.6, 0.82), thick * 0.62))
    coverage = cv2.resize(twigs, (SPRITE_SIZE,) * 2, interpolation=cv2.INTER_AREA)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return coverage, cv2.morphologyEx((coverage > 20).astype(np.uint8) * 255,
                                      cv2.MORPH_CLOSE, kernel)


@cache
def fence(kind: str) -> list[np.ndarray]:
    """Make 3 m of fence, (60, 120, 2) uint8 of brightness and coverage; in a pyramid.

    Args:
        kind: `railing`, `panel`, `mesh` or `picket`.
    """
    shade = np.clip(128 * (1 + 0.12 * noise(0.8, 20)[:60, :120]), 0, 255).astype(np.uint8)
    cover = np.zeros((60, 120), np.uint8)
    if kind == 'panel':
        cover[:] = 255
        shade[:, ::8] //= 2
        shade[:, :4] //= 2
        return pyramid(np.dstack([shade, cover]))
    step, thick = {'railing': (5, 2), 'mesh': (3, 1), 'picket': (8, 5)}[kind]
    for start in range(thick):
        cover[:, start::step] = 255
    if kind == 'mesh':
        cover[::3] = 255
        cover //= 2
    cover[2:6] = cover[48:52] = 255
    cover[:, :5] = 255
    return pyramid(np.dstack([shade, cover]))
