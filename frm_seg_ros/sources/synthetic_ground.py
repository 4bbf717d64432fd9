"""Sky, skyline and ground of the synthetic source, per pixel."""
from __future__ import annotations

from math import cos, sin

import cv2
import numpy as np

from frm_seg_ros.sources.synthetic_canvas import HEIGHT, WIDTH, Canvas
from frm_seg_ros.sources.synthetic_street import BACK_CELLS, CELL_M, CELLS, Tables
from frm_seg_ros.sources.synthetic_texture import NOISE_SIZE, noise, slabs
from frm_seg_ros.sources.synthetic_world import Look

SKY, BUILDING, ROAD, PAVEMENT, TREE = 0, 1, 3, 4, 5
_LABELS = np.array([ROAD, PAVEMENT, TREE, PAVEMENT], np.uint8)  # road, pavement, grass, forecourt


def draw_sky(canvas: Canvas) -> None:
    """Fill the picture with sky: a gradient and clouds that stay where they are as one drives."""
    light, camera = canvas.light, canvas.camera
    rows = min(max(int(camera.horizon) + 14, 1), HEIGHT)
    up = np.clip((camera.horizon - np.arange(rows)) / 200, 0, 1)[:, None, None]
    colors = np.float32(light.low + np.subtract(light.top, light.low) * up)
    place = np.float32([[0.5, 0, camera.yaw * camera.focal / 2],
                        [0, 1.1, (400 - camera.horizon) * 1.1]])
    cloud = cv2.warpAffine(noise(1.7, 1), place, (WIDTH, rows), borderMode=cv2.BORDER_WRAP,
                           flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    canvas.image[:rows] = np.clip(colors + (light.clouds * cloud)[..., None], 0, 255)
    canvas.truth[:] = SKY


def draw_skyline(canvas: Canvas, look: Look) -> None:
    """Draw what closes the street far away: a row of trees and houses along the horizon."""
    camera = canvas.camera
    columns = np.arange(WIDTH)
    angle = ((columns - WIDTH / 2) / camera.focal + camera.yaw) * 700 + look.skyline_shift
    place = np.round(angle).astype(int) % NOISE_SIZE
    block = place // 24 * 24
    trees = noise(1.2, 40)[7, block] > 0
    scale = camera.focal / 450
    heights = np.where(trees, 15 + 3 * noise(0.9, 41)[9, place] + 3 * noise(0.7, 42)[3, place],
                       13 + 5 * noise(0.6, 43)[11, block]) * scale
    top, bottom = (min(max(int(camera.horizon) + gap, 0), HEIGHT) for gap in (-45, 14))
    above = camera.horizon + 2 - np.arange(top, bottom)[:, None]
    inside = (above <= heights) & (above >= -12)
    tint = np.where(trees[:, None], look.tree_color, look.house_color) * 0.8
    far = canvas.light.matrix(70.0, 0.9)
    colors = (tint @ far[:, :3].T + far[:, 3]).astype(np.float32)
    grain = 1 + 0.12 * noise(0.7, 44)[:bottom - top, place]
    picture = np.clip(colors[None] * grain[..., None], 0, 255)
    canvas.image[top:bottom][inside] = picture[inside]
    labels = np.broadcast_to(np.where(trees, TREE, BUILDING), inside.shape)
    canvas.truth[top:bottom][inside] = labels[inside]


class _Patch:
    """The ground's pixels, (rows, 480) float32: depth, and place across and along the street."""

    def __init__(self, canvas: Canvas) -> None:
        camera = canvas.camera
        self.top = max(int(np.ceil(camera.horizon + 2)), 0)
        rows = np.arange(self.top, HEIGHT, dtype=np.float32)[:, None]
        self.depth = camera.focal * camera.y / (rows - camera.horizon)
        right = (np.arange(WIDTH, dtype=np.float32)[None] - WIDTH / 2) / camera.focal * self.depth
        c, s = cos(camera.yaw), sin(camera.yaw)
        self.along = (camera.z + self.depth * c - right * s).astype(np.float32)
        middle = float(camera.x + camera.bend.middle(camera.z))
        self.first = int(camera.z // CELL_M) - BACK_CELLS
        cell = np.floor(self.along / CELL_M).astype(np.int32) - self.first
        self.cell = np.clip(cell, 0, CELLS - 1)
        table = camera.bend.middle((np.arange(CELLS) + self.first) * CELL_M).astype(np.float32)
        within = self.along / np.float32(CELL_M) - (self.cell + self.first)
        slope = np.append(np.diff(table), np.float32(0))
        bent = table[self.cell] + slope[self.cell] * np.clip(within, 0, 1)
        self.across = (middle + right * c + self.depth * s - bent).astype(np.float32)
        self.start = camera.z
        self.pixel = self.depth / camera.focal  # metres a pixel covers sideways
        self.pixel_along = self.pixel * self.depth / camera.y
        self.blotches = self.sample(noise(1.3, 51), 7)

    def sample(self, texture: np.ndarray, per_m: float) -> np.ndarray:
        """Read a periodic texture at `per_m` texels a metre."""
        tile = NOISE_SIZE / per_m
        start = self.start // tile * tile  # remap keeps places in 16 bits
        return cv2.remap(texture, self.across * np.float32(per_m),
                         (self.along - np.float32(start)) * np.float32(per_m),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    def dashes(self, period: float, share: float) -> np.ndarray:
        """Tell where dashes are that fill `share` of every `period` metres along the street."""
        part = self.along / np.float32(period)
        return part - np.floor(part) < share

    def line(self, place: float, width: float) -> np.ndarray:
        """Give how much of each pixel a line along the street covers, 0..1."""
        gap = (width / 2 - np.abs(self.across - place)) / self.pixel + 0.5
        return np.clip(gap, 0, np.minimum(1, width / self.pixel))


def draw_ground(canvas: Canvas, look: Look, tables: Tables) -> None:
    """Draw road, pavements and gardens with paint, wear, kerbs and shadows."""
    patch = _Patch(canvas)
    if patch.top >= HEIGHT:
        return
    kind = _materials(patch, look, tables)
    fine = np.clip(1.6 - patch.pixel_along * 12, 0, 1)
    texture = 1 + 0.1 * patch.sample(noise(0.4, 50), 30) * fine + 0.08 * patch.blotches
    joints = 1 + (patch.sample(slabs(), 32 * look.slab) - 1) * np.clip(
        1.3 - patch.pixel_along * 6, 0, 1)
    texture *= np.where(kind == 1, joints, 1)
    texture *= np.where(kind == 0, _wear(patch, look), 1)
    table = np.float32([look.road_color, look.pavement_color, look.grass_color,
                        look.yard_color])
    colors = table[kind] * texture[..., None]
    _paint(colors, patch, look, tables, (kind == 0) * np.clip(0.8 + 0.15 * patch.blotches, 0, 1))
    _kerbs(colors, patch, look, tables)
    colors *= _shadow(patch, canvas, look, tables)[..., None]
    clear = np.exp(-patch.depth / canvas.light.haze_m)[..., None]
    colors = colors * clear + np.float32(canvas.light.low) * 0.8 * (1 - clear)
    if canvas.light.wet:
        share = canvas.light.wet * np.clip(0.45 + 0.25 * patch.blotches, 0, 1)
        share = (share * np.clip(patch.depth / 25, 0.15, 1) * (kind < 2))[..., None]
        colors = colors * (1 - share) + np.float32(canvas.light.low) * 0.75 * share
    canvas.image[patch.top:] = np.clip(colors, 0, 255)
    canvas.truth[patch.top:] = _LABELS[kind]


def _materials(patch: _Patch, look: Look, tables: Tables) -> np.ndarray:
    kind = np.zeros(patch.across.shape, np.uint8)
    for row, side in enumerate((-1, 1)):
        beyond = patch.across * side - look.half_road(side)
        ground = tables.ground[row][patch.cell]
        kerb = np.where(beyond < look.pavement_m, 1, ground)
        kind = np.where((beyond > 0) & (ground != 0), kerb, kind)
    return kind


def _wear(patch: _Patch, look: Look) -> np.ndarray:
    """Darken the wheel tracks and patches of newer asphalt."""
    tracks = np.cos((patch.across - 1.6) * (2 * np.pi / 1.6)) * 0.03
    mended = patch.blotches > 1.3
    return 1 + tracks - 0.13 * look.mended * mended


def _paint(colors: np.ndarray, patch: _Patch, look: Look, tables: Tables,
           hold: np.ndarray) -> None:
    dashed = patch.dashes(look.dash_m, 0.45)
    cover = patch.line(0, 0.14) * (dashed | look.solid)
    for side in (-1, 1):
        place = side * (look.half_road(side) - 0.35)
        if look.edge_lines:
            cover = cover + patch.line(place, 0.1) + patch.line(place - side * 0.22, 0.1)
        if look.parking(side):
            bay = side * (look.half_road(side) - 2.1)
            cover = cover + patch.line(bay, 0.1) * patch.dashes(2.0, 0.5)
    if tables.zebra.any():
        stripes = patch.across - np.floor(patch.across / 1.2) * 1.2 < 0.6
        cover = np.maximum(cover, tables.zebra[patch.cell] & stripes)
    cover = (cover * (look.paint * hold))[..., None]
    colors += (np.float32(look.paint_color) - colors) * cover


def _kerbs(colors: np.ndarray, patch: _Patch, look: Look, tables: Tables) -> None:
    stone = gutter = np.float32(0)
    for row, side in enumerate((-1, 1)):
        edge = side * look.half_road(side)
        there = tables.ground[row][patch.cell] != 0
        stone = stone + patch.line(edge + side * 0.09, 0.18) * there
        gutter = gutter + patch.line(edge - side * 0.06, 0.12) * there
    colors += (np.float32(look.kerb_color) - colors) * stone[..., None]
    colors *= (1 - 0.45 * gutter)[..., None]


def _shadow(patch: _Patch, canvas: Canvas, look: Look,
            tables: Tables) -> np.ndarray:
    side, strength = canvas.light.sun_side, canvas.light.shadow
    if not side:
        return np.full(patch.across.shape, 0.9, np.float32)
    reach = tables.reach[int(side > 0)]
    inside = patch.across * side - look.half_road(side) - look.pavement_m + reach[patch.cell]
    dapple = patch.blotches * 0.5 * look.dapple
    dark = np.clip((inside + dapple) / (2 * patch.pixel + 0.05) + 0.5, 0, 1)
    return 1 - strength * dark
