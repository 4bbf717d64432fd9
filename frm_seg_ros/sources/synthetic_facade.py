"""Fronts of houses for the synthetic source: walls with windows, doors and shops."""
from __future__ import annotations

from functools import lru_cache
from random import Random

import cv2
import numpy as np

from frm_seg_ros.sources.synthetic_light import Color, color
from frm_seg_ros.sources.synthetic_texture import NOISE_SIZE, pyramid, wall_tile
from frm_seg_ros.sources.synthetic_world import Building

PX_PER_M = 20


@lru_cache(maxsize=160)
def facade(house: Building) -> list[np.ndarray]:
    """Paint the front of a house; pyramid of (h, w, 3) uint8 RGB, 20 px a metre."""
    rng = Random(house.seed)
    texture = plain_wall(house.wall, house.color, house.z1 - house.z0, house.height, rng)
    storey = rng.uniform(2.6, 3.3) * PX_PER_M
    floors = max(int((texture.shape[0] - 6) // storey), 1)
    storey = (texture.shape[0] - 6) / floors
    ground = texture.shape[0] - storey
    _windows(texture, house, rng, floors - 1 + (not house.shop), storey)
    if house.shop:
        _shop(texture, rng, int(ground))
    elif rng.random() < 0.8:
        _door(texture, rng)
    return pyramid(texture)


def plain_wall(kind: str, rgb: Color, width_m: float, height_m: float,
               rng: Random) -> np.ndarray:
    """Make a bare wall, (h, w, 3) uint8 RGB at 20 px/m, darker and stained towards the ground."""
    width = min(max(int(width_m * PX_PER_M), 8), NOISE_SIZE)
    height = min(max(int(height_m * PX_PER_M), 8), NOISE_SIZE)
    left, top = rng.randint(0, NOISE_SIZE - width), rng.randint(0, NOISE_SIZE - height)
    tile = wall_tile(kind)[top:top + height, left:left + width]
    dirt = np.linspace(104, rng.uniform(72, 98), height, dtype=np.float32)[:, None]
    return cv2.transform((tile * dirt).astype(np.uint8), np.float32(rgb)[:, None] / 100)


def _windows(texture: np.ndarray, house: Building, rng: Random, floors: int,
             storey: float) -> None:
    width = texture.shape[1]
    wide, tall = rng.uniform(0.8, 2.0) * PX_PER_M, storey * rng.uniform(0.42, 0.68)
    count = max(int(width / (wide + rng.uniform(0.7, 1.8) * PX_PER_M)), 1)
    frame = color(rng, 150, 235, 6) if rng.random() < 0.6 else color(rng, 20, 90, 8)
    pane = color(rng, 18, 80, 8)
    bright = rng.choice([20, 60, 150])
    bars = rng.randint(0, 2)
    top = rng.uniform(0.15, 0.3) * storey
    for floor in range(floors):
        for place in range(count):
            x = (place + 0.5) * width / count - wide / 2
            y = floor * storey + top
            _window(texture, (int(x), int(y), int(x + wide), int(y + tall)), frame,
                    _lighter(pane, rng.random() * bright), bars)
    if rng.random() < 0.5:
        for floor in range(floors):
            y = int(floor * storey + storey * 0.97)
            cv2.rectangle(texture, (0, y), (width, y + 3), house.trim, -1)


def _lighter(rgb: Color, by: float) -> Color:
    return tuple(part + by for part in rgb)


def _window(texture: np.ndarray, box: tuple[int, int, int, int], frame: Color, pane: Color,
            bars: int) -> None:
    x0, y0, x1, y1 = box
    cv2.rectangle(texture, (x0 - 2, y0 - 2), (x1 + 2, y1 + 2), frame, -1)
    cv2.rectangle(texture, (x0, y0), (x1, y1), pane, -1)
    half = tuple(part * 0.6 for part in pane)
    cv2.rectangle(texture, (x0, y0), (x1, y0 + (y1 - y0) // 3), half, -1)
    for bar in range(1, bars + 1):
        x = x0 + (x1 - x0) * bar // (bars + 1)
        cv2.line(texture, (x, y0), (x, y1), frame, 2)
    if bars:
        cv2.line(texture, (x0, (y0 + y1) // 2), (x1, (y0 + y1) // 2), frame, 2)
    cv2.rectangle(texture, (x0 - 3, y1 + 2), (x1 + 3, y1 + 4),
                  tuple(min(part * 1.1, 255) for part in frame), -1)


def _door(texture: np.ndarray, rng: Random) -> None:
    height, width = texture.shape[:2]
    x = rng.randint(0, max(width - 24, 1))
    cv2.rectangle(texture, (x - 2, height - 46), (x + 20, height), color(rng, 100, 220, 6), -1)
    cv2.rectangle(texture, (x, height - 43), (x + 18, height), color(rng, 20, 120, 40), -1)


def _shop(texture: np.ndarray, rng: Random, top: int) -> None:
    """Paint a shop: a board with scribbled letters, panes with things behind them, a base."""
    height, width = texture.shape[:2]
    board = color(rng, 25, 190, 45)
    cv2.rectangle(texture, (0, top), (width, top + 14), board, -1)
    ink = color(rng, 200, 250, 5) if sum(board) < 330 else color(rng, 10, 60, 15)
    x = rng.randint(8, 30)
    while x < width - 12 and rng.random() < 0.94:
        cv2.rectangle(texture, (x, top + 4), (x + rng.randint(1, 5), top + 10), ink, -1)
        x += rng.randint(6, 9)
    cv2.rectangle(texture, (0, top + 14), (width, height), color(rng, 20, 150, 30), -1)
    panes = max(width // rng.randint(28, 60), 1)
    for pane in range(panes):
        x0, x1 = pane * width // panes + 3, (pane + 1) * width // panes - 3
        glass = color(rng, 15, 110, 10)
        cv2.rectangle(texture, (x0, top + 17), (x1, height - 9), glass, -1)
        for _ in range(3):
            x, y = rng.randint(x0, max(x1 - 6, x0)), rng.randint(top + 22, height - 16)
            cv2.rectangle(texture, (x, y), (min(x + rng.randint(3, 12), x1), height - 10),
                          color(rng, 20, 180, 30), -1)
