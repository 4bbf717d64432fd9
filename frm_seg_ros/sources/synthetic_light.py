"""Light, weather and camera faults of the synthetic source."""
from __future__ import annotations

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from frm_seg_ros.sources.synthetic_texture import NOISE_SIZE, noise

Color = tuple[float, float, float]


def color(rng: Random, low: float, high: float, chroma: float = 12.0) -> Color:
    """Draw an RGB colour: a grey between `low` and `high` with a tint of about `chroma`."""
    grey = rng.uniform(low, high)
    warm, green = rng.gauss(0, chroma), rng.gauss(0, chroma * 0.4)
    return (_limit(grey + warm), _limit(grey + green), _limit(grey - warm))


def warm(rgb: Color, by: float) -> Color:
    """Shift a colour from blue to red, as bricks are."""
    return (_limit(rgb[0] + by), rgb[1], _limit(rgb[2] - by))


def leafy(rgb: Color, by: float) -> Color:
    """Shift a colour towards green, as leaves are."""
    return (rgb[0], _limit(rgb[1] + by * 0.6), _limit(rgb[2] - by))


def _limit(value: float) -> float:
    return min(max(value, 4.0), 250.0)


@dataclass(frozen=True)
class Light:
    """One seed's weather and camera.

    Attributes:
        sun_side: -1 sun on the left, 1 on the right, 0 none (overcast).
        shadow: how much of the light a shadow takes, 0..1.
        top, low: RGB of the sky overhead and at the horizon.
        clouds: contrast of the clouds.
        haze_m: distance at which two thirds of a colour are haze.
        wet: 0..1, how much the road mirrors the sky.
        gain: (3,) exposure times colour temperature.
        white: what a white sky comes to, 0..1: cameras expose for the street.
        gamma, noise, blur, vignette: the camera's; noise in grey levels, blur in px.
        quality: JPEG quality, 0 for none.
    """

    sun_side: int
    shadow: float
    top: Color
    low: Color
    clouds: float
    haze_m: float
    wet: float
    gain: Color
    white: float
    gamma: float
    noise: float
    blur: float
    vignette: float
    quality: int

    @classmethod
    def draw(cls, rng: Random) -> Light:
        """Draw a weather: bright, overcast, dusk or light rain."""
        weather = rng.choice(['bright', 'bright', 'overcast', 'overcast', 'dusk', 'rain'])
        exposure = {'bright': rng.uniform(0.85, 1.5), 'overcast': rng.uniform(0.75, 1.35),
                    'dusk': rng.uniform(0.4, 0.7), 'rain': rng.uniform(0.6, 1.05)}[weather]
        warm = rng.gauss(0, 0.06)
        bright = weather == 'bright'
        low = color(rng, 222, 252, 6)
        blue = rng.uniform(0, 70) if bright else rng.uniform(0, 14)
        level = rng.uniform(205, 250) if weather != 'rain' else rng.uniform(165, 225)
        boost = 1.5 if weather == 'dusk' and rng.random() < 0.6 else 1.3
        top = (max(level - blue, 0) * boost / 1.3, level - blue * 0.4, level + 8)
        return cls(
            sun_side=rng.choice([-1, 1]) if bright else 0,
            shadow=rng.uniform(0.3, 0.62) if bright else rng.uniform(0.05, 0.2),
            top=top, low=low, clouds=rng.uniform(2, 22), haze_m=rng.uniform(120, 600),
            wet=rng.uniform(0.25, 0.6) if weather == 'rain' else 0.0,
            gain=(exposure * (1 + warm), exposure, exposure * (1 - warm)),
            white=rng.uniform(0.45, 0.85) if weather == 'dusk' else rng.uniform(0.9, 1.15),
            gamma=rng.uniform(0.85, 1.25), noise=rng.uniform(1, 6),
            blur=rng.uniform(0, 0.75), vignette=rng.uniform(0, 0.3),
            quality=rng.randint(55, 95) if rng.random() < 0.6 else 0)

    def matrix(self, depth: float, lit: float) -> np.ndarray:
        """Give the (3, 4) colour transform of a surface `depth` metres away, lit by `lit`."""
        clear = float(np.exp(-max(depth, 0.0) / self.haze_m))
        out = np.zeros((3, 4), np.float32)
        out[range(3), range(3)] = lit * clear
        out[:, 3] = np.multiply(self.low, (1 - clear) * 0.8)
        return out

    def shade(self, albedo: Color, depth: float, lit: float) -> Color:
        """Give the colour that `albedo` has at `depth` metres, lit by `lit`."""
        clear = float(np.exp(-max(depth, 0.0) / self.haze_m))
        k = lit * clear
        r, g, b = ((1 - clear) * 0.8 * part for part in self.low)
        return (albedo[0] * k + r, albedo[1] * k + g, albedo[2] * k + b)

    def side(self, side: int) -> float:
        """Give how much light falls on walls of the `side` (-1 left, 1 right) of the street."""
        return 1.0 - self.shadow * (self.sun_side == side) * 0.9 if self.sun_side else 0.9

    def expose(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Take the picture: exposure, vignette, blur, noise, JPEG; uint8 RGB in and out."""
        level = np.arange(256) / 255
        lift = level ** 3
        table = [np.clip((level * gain) ** self.gamma + max(self.white - gain, 0) * lift, 0, 1)
                 for gain in self.gain]
        table = (np.stack(table, 1) * 255)[None].astype(np.uint8)
        image = cv2.LUT(image, table)
        if self.blur > 0.25:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        height, width = image.shape[:2]
        rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
        dim = (1 - self.vignette * 0.5 * (rows ** 2 + columns ** 2))[..., None]
        picture = image * dim
        picture += self._grain(height, width, seed)
        image = np.clip(picture, 0, 255, out=picture).astype(np.uint8)
        if self.quality:
            coded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return image

    def _grain(self, height: int, width: int, seed: int) -> np.ndarray:
        white = noise(0.15, 30)
        rng = Random(seed)
        y, x = rng.randrange(NOISE_SIZE - height), rng.randrange(NOISE_SIZE - width)
        grain = white[y:y + height, x:x + width] * self.noise
        if rng.random() < 0.5:
            grain = grain[::-1]
        return np.ascontiguousarray(grain)[..., None]
