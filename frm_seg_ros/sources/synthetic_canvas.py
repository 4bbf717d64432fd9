"""Camera and drawing surface of the synthetic source: picture and truth in the same geometry."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import cos, pi, sin

import cv2
import numpy as np

from frm_seg_ros.sources.synthetic_light import Color, Light

HEIGHT, WIDTH = 360, 480
NEAR_M = 1.0
MIN_PX = 3.0  # what is thinner is left out: its label could not be learned
_SHIFT = 4  # fractional bits of the polygons' corners
_FAR_PX = 15000.0  # OpenCV keeps corners in 32 bits, 16 of them fractional


Levels = Callable[[], list[np.ndarray]]


@dataclass(frozen=True)
class Bend:
    """The street's middle line: metres to the right as a function of metres along the street."""

    sway_m: float
    length_m: float
    phase: float

    def middle(self, z: np.ndarray | float) -> np.ndarray | float:
        """Give the middle line's place, metres."""
        return self.sway_m * np.sin(2 * pi / self.length_m * z + self.phase)

    def slope(self, z: float) -> float:
        """Give the middle line's slope, metres a metre."""
        k = 2 * pi / self.length_m
        return self.sway_m * k * cos(k * z + self.phase)


@dataclass(frozen=True)
class Camera:
    """Where the camera is and looks.

    Attributes:
        x, y, z: metres right of the middle line, above the ground, along the street.
        yaw: radians to the right of the z axis.
        focal: focal length, px.
        horizon: row of the horizon, px.
        bend: the street's middle line.
    """

    x: float
    y: float
    z: float
    yaw: float
    focal: float
    horizon: float
    bend: Bend

    @cached_property
    def middle(self) -> float:
        """Metres from x = 0 of the world to the camera."""
        return self.x + float(self.bend.middle(self.z))

    def view(self, points: np.ndarray) -> np.ndarray:
        """Turn street coordinates (N, 3: right, up, along) into camera ones (right, up, depth)."""
        along = points[:, 2] - self.z
        right = points[:, 0] + (self.bend.middle(points[:, 2]) - self.middle)
        c, s = cos(self.yaw), sin(self.yaw)
        out = np.empty(points.shape)
        out[:, 0] = right * c - along * s
        out[:, 1] = points[:, 1] - self.y
        out[:, 2] = right * s + along * c
        return out

    def pixels(self, seen: np.ndarray) -> np.ndarray:
        """Project camera coordinates (N, 3) in front of the camera to (N, 2) px: column, row."""
        scale = self.focal / seen[:, 2]
        out = np.empty((len(seen), 2))
        out[:, 0] = WIDTH / 2 + seen[:, 0] * scale
        out[:, 1] = self.horizon - seen[:, 1] * scale
        np.maximum(out, -_FAR_PX, out=out)
        return np.minimum(out, _FAR_PX, out=out)

    def point(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Project one point of the street; return column, row, depth in metres."""
        along, c, s = z - self.z, cos(self.yaw), sin(self.yaw)
        right = x + float(self.bend.middle(z)) - self.middle
        depth = right * s + along * c
        if depth < NEAR_M:
            return 0.0, 0.0, depth
        scale = self.focal / depth
        column = WIDTH / 2 + (right * c - along * s) * scale
        return column, self.horizon - (y - self.y) * scale, depth


def clip_near(seen: np.ndarray) -> np.ndarray:
    """Cut a polygon in camera coordinates (N, 3) at the near plane."""
    inside = seen[:, 2] >= NEAR_M
    if inside.all():
        return seen
    out = []
    for a, b, a_in, b_in in zip(seen, np.roll(seen, -1, 0), inside, np.roll(inside, -1)):
        if a_in:
            out.append(a)
        if a_in != b_in:
            out.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
    return np.array(out).reshape(-1, 3)


@dataclass
class Canvas:
    """Picture, (360, 480, 3) uint8 RGB, and truth, (360, 480) uint8, drawn far to near."""

    camera: Camera
    light: Light
    image: np.ndarray = field(
        default_factory=lambda: np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    truth: np.ndarray = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.uint8))

    def fill(self, corners: np.ndarray, rgb: Color, label: int | None) -> None:
        """Fill a polygon given in px, smooth in the picture, sharp in the truth."""
        fixed = np.round(corners * (1 << _SHIFT)).astype(np.int32)[None]
        cv2.fillPoly(self.image, fixed, rgb, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.truth, fixed, label, cv2.LINE_8, _SHIFT)

    def face(self, seen: np.ndarray, albedo: Color, lit: float, label: int | None) -> None:
        """Fill a flat polygon given in camera coordinates (N, 3), shaded and hazed."""
        depth = float(seen[:, 2].mean())
        seen = clip_near(seen)
        if len(seen) >= 3:
            self.fill(self.camera.pixels(seen), self.light.shade(albedo, depth, lit), label)

    def wall(self, ends: np.ndarray, height: tuple[float, float], levels: Levels,
             lit: float, label: int) -> None:
        """Draw an upright textured wall.

        Args:
            ends: (2, 2) where it stands, metres right and along; first the texture's left end.
            height: metres above the ground of its foot and top.
            levels: gives the pyramid of the texture, (h, w, 3 or 4) uint8 RGB and coverage; asked
                only when the wall is in view.
            lit: light on it.
            label: train id.
        """
        quad = self._quad(ends, height)
        if quad is None:
            return
        corners, start, end, depth = quad
        box = _box(corners)
        if box is None:
            return
        left, top, right, bottom = box
        texture = _level(levels(), corners)
        rows, columns = texture.shape[:2]
        source = np.float32([[start * columns, 0], [end * columns, 0],
                             [end * columns, rows], [start * columns, rows]])
        shifted = (corners - (left, top)).astype(np.float32)
        warp = cv2.getPerspectiveTransform(source, shifted)
        size = (right - left, bottom - top)
        patch = cv2.warpPerspective(texture, warp, size, flags=cv2.INTER_LINEAR,
                                    borderMode=cv2.BORDER_REPLICATE)
        fixed = np.round(shifted * (1 << _SHIFT)).astype(np.int32)[None]
        mask = cv2.fillPoly(np.zeros(size[::-1], np.uint8), fixed, 255, cv2.LINE_8, _SHIFT)
        area = (slice(top, bottom), slice(left, right))
        self._paste(area, patch, mask, self.light.matrix(depth, lit))
        self.truth[area][mask > 0] = label

    def _paste(self, area: tuple[slice, slice], patch: np.ndarray, mask: np.ndarray,
               matrix: np.ndarray) -> None:
        if patch.shape[2] == 4:
            mask = cv2.multiply(mask, patch[..., 3], scale=1 / 255)
            blend(self.image[area], cv2.transform(patch[..., :3], matrix), mask)
        else:
            patch = cv2.transform(patch, matrix)
            np.copyto(self.image[area], patch, where=mask[..., None] > 0)

    def _quad(self, ends: np.ndarray, height: tuple[float, float]) \
            -> tuple[np.ndarray, float, float, float] | None:
        feet = self.camera.view(np.insert(ends, 1, height[0], 1))
        start, end = 0.0, 1.0
        near_a, near_b = feet[:, 2]
        if max(near_a, near_b) < NEAR_M + 0.05:
            return None
        if near_a < NEAR_M:
            start = (NEAR_M - near_a) / (near_b - near_a)
        if near_b < NEAR_M:
            end = (NEAR_M - near_a) / (near_b - near_a)
        feet = np.stack([feet[0] + (feet[1] - feet[0]) * part for part in (start, end)])
        tops = feet + (0, height[1] - height[0], 0)
        corners = self.camera.pixels(np.concatenate([tops, feet[::-1]]))
        return corners, start, end, float(feet[:, 2].mean())

    def sprite(self, center: tuple[float, float], size: tuple[float, float],
               levels: list[np.ndarray], colors: tuple[Color, Color], label: int) -> None:
        """Paste a flat picture that faces the camera.

        Args:
            center: column and row, px.
            size: width and height, px.
            levels: pyramid of (n, n, 3) uint8: brightness, coverage, label mask.
            colors: RGB at brightness 0 and 255.
            label: train id.
        """
        low = np.subtract(center, np.divide(size, 2))
        corners = np.array([low, low + size])
        box = _box(corners)
        if box is None:
            return
        left, top, right, bottom = box
        texture = next((one for one in levels if one.shape[1] < 1.7 * size[0]), levels[-1])
        warp = np.float32([[size[0] / texture.shape[1], 0, low[0] - left],
                           [0, size[1] / texture.shape[0], low[1] - top]])
        patch = cv2.warpAffine(texture, warp, (right - left, bottom - top))
        dark, bright = np.float32(colors)
        tint = np.concatenate([(bright - dark)[:, None] / 255, dark[:, None]], 1)
        area = (slice(top, bottom), slice(left, right))
        blend(self.image[area], cv2.transform(patch[..., :1], tint), patch[..., 1])
        self.truth[area][patch[..., 2] > 127] = label


def blend(target: np.ndarray, patch: np.ndarray, coverage: np.ndarray) -> None:
    """Lay `patch` over `target` in place; coverage (h, w) uint8."""
    share = (coverage.astype(np.float32) / 255)[..., None]
    target[:] = (target + (patch.astype(np.float32) - target) * share).astype(np.uint8)


def _box(corners: np.ndarray) -> tuple[int, int, int, int] | None:
    left, top = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(0)) + 1, (WIDTH, HEIGHT)).astype(int)
    return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None


def _level(levels: list[np.ndarray], corners: np.ndarray) -> np.ndarray:
    tall = max(corners[3, 1] - corners[0, 1], corners[2, 1] - corners[1, 1], 1.0)
    wide = max(abs(corners[1, 0] - corners[0, 0]), 1.0)
    for level in levels:
        if level.shape[0] <= 1.8 * tall and level.shape[1] <= 3.5 * wide:
            return level
    return levels[-1]
