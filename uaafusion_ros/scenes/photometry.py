"""Weather, and how the two cameras turn a painted canvas into images."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.scenes.geometry import DEPTH_STEPS_PER_METRE, LIGHT_SCALE, Canvas

_MATERIALS = (
    "road", "paint", "sidewalk", "grass", "foliage", "trunk", "wall", "glass", "pole", "sign",
    "sky_zenith", "sky_horizon", "skin", "cloth", "body", "warm_metal", "tyre", "exhaust", "lamp",
)  # fmt: skip


def _heats(*values: int) -> dict[str, int]:
    return dict(zip(_MATERIALS, values, strict=True))


@dataclass(frozen=True)
class Climate:
    """One weather: light and air for the visible camera, temperatures for the infrared one.

    Light is relative to full daylight; fog densities are per metre; heats are 0..255 before gain.
    """

    ambient: float
    tint: tuple[float, float, float]  # BGR of the ambient light
    sunlit: float  # how strongly faces differ in brightness, 0..1
    lamps_lit: bool
    headlight: float
    air: tuple[float, float, float]  # BGR of the scattered light
    visible_fog: float
    infrared_fog: float
    air_heat: float
    visible_noise: float
    infrared_noise: float
    heats: dict[str, int]


CLIMATES: dict[str, Climate] = {
    "day": Climate(
        ambient=0.82, tint=(0.97, 1.0, 1.02), sunlit=1.0, lamps_lit=False, headlight=0.0,
        air=(215, 205, 195), visible_fog=0.0025, infrared_fog=0.0012, air_heat=95,
        visible_noise=2.5, infrared_noise=2.5,
        heats=_heats(126, 122, 132, 98, 88, 104, 118, 78, 112, 92, 16, 62,
                     205, 172, 122, 165, 158, 225, 120),
    ),
    "night": Climate(
        ambient=0.165, tint=(0.96, 1.0, 1.04), sunlit=0.15, lamps_lit=True, headlight=0.8,
        air=(22, 22, 26), visible_fog=0.004, infrared_fog=0.0015, air_heat=70,
        visible_noise=4.5, infrared_noise=3.0,
        heats=_heats(84, 82, 80, 62, 70, 74, 82, 56, 62, 50, 10, 44,
                     216, 164, 66, 158, 150, 235, 150),
    ),
    "fog": Climate(
        ambient=0.72, tint=(1.0, 1.0, 1.0), sunlit=0.3, lamps_lit=True, headlight=0.05,
        air=(186, 184, 180), visible_fog=0.038, infrared_fog=0.009, air_heat=84,
        visible_noise=3.0, infrared_noise=3.2,
        heats=_heats(88, 86, 86, 74, 78, 80, 88, 70, 76, 70, 52, 72,
                     206, 168, 80, 148, 140, 225, 140),
    ),
}  # fmt: skip


def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return 1.0 - strength * (rows**2 + columns**2) / 2


class _Noise:
    """Gaussian noise, drawn once and cut out anew at each frame: fast and repeatable."""

    def __init__(self, shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> None:
        self._margin = (shape[0] // 3 + 8, shape[1] // 3 + 8)
        tile = (shape[0] + self._margin[0], shape[1] + self._margin[1], *shape[2:])
        noise = rng.standard_normal(tile, np.float32) * np.float32(sigma)
        self._above = np.rint(np.maximum(noise, 0)).astype(np.uint8)
        self._below = np.rint(np.maximum(-noise, 0)).astype(np.uint8)
        self._shape = shape

    def added_to(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The uint8 image with noise, clipped as a sensor clips it."""
        row, column = rng.integers(0, self._margin)
        height, width = self._shape[:2]
        cut = (slice(row, row + height), slice(column, column + width))
        return cv2.subtract(cv2.add(image, self._above[cut]), self._below[cut])


class VisibleCamera:
    """Colour camera: light times reflectance, own lights, fog, glare, lens and sensor noise."""

    def __init__(
        self, height: int, width: int, horizon: float, climate: Climate, rng: np.random.Generator
    ) -> None:
        self._climate = climate
        self._vignette = _vignette(height, width, rng.uniform(0.1, 0.3))
        noise = climate.visible_noise * rng.uniform(0.7, 1.4)
        self._noise = _Noise((height, width, 3), noise, rng)
        depth = np.arange(256, dtype=np.float32) / DEPTH_STEPS_PER_METRE
        density = climate.visible_fog * rng.uniform(0.75, 1.3)
        self._clear = np.exp(-density * depth)
        self._clear[255] = np.exp(-density * 110)
        # One curve for lamps, windows and signs: brightest far above what the sensor can hold.
        self._own_light = (6.0 * (np.arange(256) / 255.0) ** 1.6).astype(np.float32)
        self._reach = np.minimum(1.0, (10.0 / np.maximum(depth, 1.0)) ** 1.3)
        self._reach[255] = 0.0
        self._beam = climate.headlight * rng.uniform(0.45, 1.1) * _beam(height, width, horizon)

    def __call__(self, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
        """uint8 [H, W, 3] BGR."""
        climate = self._climate
        height, width = canvas.surface.shape[:2]
        depth = cv2.extractChannel(canvas.planes, 2)
        low = cv2.GaussianBlur(canvas.light, (0, 0), max(1.0, width / 400))
        light: np.ndarray = cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR)
        light += cv2.LUT(cv2.extractChannel(canvas.planes, 1), self._own_light)
        if climate.headlight:
            light += self._beam * cv2.LUT(depth, self._reach)
        clear = cv2.LUT(depth, self._clear)
        haze = (1.0 - clear) * self._vignette
        light *= clear
        light *= self._vignette
        image = cv2.cvtColor(canvas.surface, cv2.COLOR_BGRA2BGR).astype(np.float32)
        image *= cv2.merge([light * tint for tint in climate.tint])
        image += cv2.merge([haze * value for value in climate.air])
        exposed = cv2.GaussianBlur(cv2.convertScaleAbs(image), (3, 3), 0.6)
        return self._noise.added_to(cv2.add(exposed, self._glare(canvas)), rng)

    def _glare(self, canvas: Canvas) -> np.ndarray:
        height, width = canvas.surface.shape[:2]
        glare = np.zeros((*canvas.light.shape, 3), np.float32)
        scale = 1 << 4
        for lamp in canvas.lamps:
            # A lamp smaller than a pixel spreads the same light over that pixel.
            radius = max(lamp.radius / LIGHT_SCALE, 0.8)
            dimmed = (lamp.radius / LIGHT_SCALE / radius) ** 2
            middle = (round(lamp.u / LIGHT_SCALE * scale), round(lamp.v / LIGHT_SCALE * scale))
            if max(abs(middle[0]), abs(middle[1])) < 8 * max(height, width) * scale:
                colour = tuple(value * dimmed for value in lamp.strength)
                cv2.circle(glare, middle, round(radius * scale), colour, -1, cv2.LINE_8, 4)
        unit = width / 640
        near = cv2.GaussianBlur(glare, (0, 0), max(0.8, 1.6 * unit))
        small = cv2.resize(near, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        wide = cv2.GaussianBlur(small, (0, 0), max(0.8, 4.5 * unit))
        veil = cv2.GaussianBlur(small, (0, 0), max(1.0, 13 * unit))
        wide = cv2.resize(wide * 1.8 + veil * 4.0, glare.shape[1::-1])
        glare = cv2.convertScaleAbs(near + wide)
        return cv2.resize(glare, (width, height), interpolation=cv2.INTER_LINEAR)


def _beam(height: int, width: int, horizon: float) -> np.ndarray:
    """Low beam of the own car in the image: below the horizon, brightest ahead, to the kerb."""
    drop = (np.arange(height, dtype=np.float32) - horizon) / height
    cutoff = 1.0 / (1.0 + np.exp(-(drop - 0.03) / 0.012))
    across = (np.arange(width, dtype=np.float32) / width - 0.52) / 0.27
    return cutoff[:, None] * np.exp(-(across**2))[None]


class InfraredCamera:
    """Microbolometer: heat through air, a soft lens, column pattern, gain and noise."""

    def __init__(self, height: int, width: int, climate: Climate, rng: np.random.Generator) -> None:
        depth = np.arange(256, dtype=np.float32) / DEPTH_STEPS_PER_METRE
        depth[255] = 40.0  # little air lies between us and the cold sky above it
        self._clear = np.exp(-climate.infrared_fog * rng.uniform(0.7, 1.4) * depth)
        self._air_heat = climate.air_heat
        self._softness = rng.uniform(0.7, 1.1) * max(width / 640, 0.6)
        self._gain = rng.uniform(0.95, 1.3) * _vignette(height, width, rng.uniform(-0.06, 0.08))
        columns = rng.normal(0, rng.uniform(0.4, 1.3), (1, width))
        self._pattern = np.repeat(columns, height, axis=0).astype(np.float32)
        self._pattern += climate.air_heat + rng.uniform(-10, 14)
        self._noise = _Noise((height, width), climate.infrared_noise * rng.uniform(0.6, 1.4), rng)

    def __call__(self, canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
        """uint8 [H, W]."""
        heat = cv2.extractChannel(canvas.surface, 3).astype(np.float32)
        clear = cv2.LUT(cv2.extractChannel(canvas.planes, 2), self._clear)
        heat -= self._air_heat
        heat *= clear
        heat *= self._gain
        heat += self._pattern
        image = cv2.convertScaleAbs(np.maximum(heat, 0, out=heat))
        return self._noise.added_to(cv2.GaussianBlur(image, (5, 5), self._softness), rng)
