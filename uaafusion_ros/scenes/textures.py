"""Procedural textures, and planes along the street that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.scenes.photometry import Climate

PERIOD = 128.0  # metres after which the street repeats


def fractal(
    rng: np.random.Generator, height: int, width: int, cells: tuple[int, int], octaves: int = 4
) -> np.ndarray:
    """Smooth noise, about -1..1, float32 [height, width], periodic along the width."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grid_rows, grid_columns = (min(cells[0] << octave, height), min(cells[1] << octave, width))
        grid = rng.uniform(-1, 1, (grid_rows, grid_columns)).astype(np.float32)
        grid = np.concatenate((grid, grid[:, :1]), axis=1)
        stretched = cv2.resize(grid, (width + width // grid_columns, height))
        total += stretched[:, :width] / (1 << octave)
    return total


def between(rng: np.random.Generator, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """A colour on the way from one to the other: no stray hues."""
    return np.array(low) + (np.array(high) - np.array(low)) * rng.random()


@dataclass(frozen=True)
class TiledPlane:
    """A plane along the street with a periodic texture at falling resolutions.

    textures: uint8 [across, along, channels], two periods long. pixels_per_metre: (along, across)
    of each. bands: depth in metres where each texture begins, then where the last one ends.
    """

    textures: tuple[np.ndarray, ...]
    planes: tuple[np.ndarray, ...]
    pixels_per_metre: tuple[tuple[float, float], ...]
    bands: tuple[float, ...]

    @classmethod
    def build(
        cls,
        texture: np.ndarray,
        planes: np.ndarray,
        pixels_per_metre: float,
        reductions: Sequence[tuple[int, int]],
        bands: Sequence[float],
    ) -> TiledPlane:
        across, along = texture.shape[:2]
        textures, label_planes, scales = [], [], []
        for along_step, across_step in reductions:
            size = (along // along_step, across // across_step)
            small = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
            textures.append(np.concatenate((small, small), axis=1))
            small = cv2.resize(planes, size, interpolation=cv2.INTER_NEAREST)
            small[[0, -1]] = 0  # nothing stands where the warp repeats the outermost rows
            label_planes.append(np.concatenate((small, small), axis=1))
            scales.append((pixels_per_metre / along_step, pixels_per_metre / across_step))
        return cls(tuple(textures), tuple(label_planes), tuple(scales), tuple(bands))


def warp(
    texture: np.ndarray, matrix: np.ndarray, size: tuple[int, int], linear: bool
) -> np.ndarray:
    """The texture seen through `matrix` (image pixel to texture pixel)."""
    flags = (cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(texture, matrix, size, None, flags, cv2.BORDER_REPLICATE)


def shift(row: int, column: int) -> np.ndarray:
    """Matrix from a cut-out's pixels to the image's."""
    return np.array(((1, 0, column), (0, 1, row), (0, 0, 1)), np.float64)


def foliage_texture(
    rng: np.random.Generator, climate: Climate, height: int, width: int
) -> np.ndarray:
    """Leaves: uint8 [height, width, 4]."""
    cells = (max(2, height // 24), max(2, width // 24))
    noise = fractal(rng, height, width, cells, 5)
    colour = between(rng, (22, 62, 40), (34, 92, 72))
    leaves = np.empty((height, width, 4), np.float32)
    leaves[..., :3] = colour * (1 + 0.45 * noise)[..., None]
    leaves[..., :3] *= np.linspace(1.25, 0.65, height)[:, None, None]
    leaves[..., 3] = climate.heats["foliage"] + 7 * noise
    return np.clip(leaves, 0, 255).astype(np.uint8)
