"""What fills the image behind everything else: sky, skyline and ground."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.scenes.classes import BUILDING, ROAD, SIDEWALK, SKY, VEGETATION
from uaafusion_ros.scenes.geometry import NEAR, SUBPIXEL_BITS, Camera, Canvas, depth_byte
from uaafusion_ros.scenes.photometry import Climate
from uaafusion_ros.scenes.textures import (
    PERIOD,
    TiledPlane,
    between,
    foliage_texture,
    fractal,
    shift,
    warp,
)

GROUND_HALF_WIDTH = 14.0
SIDEWALK_WIDTH = 3.4


def ground_plane(rng: np.random.Generator, climate: Climate, road_half: float) -> TiledPlane:
    """Asphalt, paving and grass beside each other; labels are painted per frame."""
    scale = 16.0
    across, along = int(2 * GROUND_HALF_WIDTH * scale), int(PERIOD * scale)
    x = (np.arange(across) + 0.5) / scale - GROUND_HALF_WIDTH
    heats = climate.heats
    grain = rng.normal(0, 7, (across, along)).astype(np.float32)
    patches = fractal(rng, across, along, (14, 60), 5)
    base = np.zeros((across, along, 4), np.float32)
    road_grey = rng.uniform(72, 105)
    base[:] = (*_grey(rng, road_grey, 5), heats["road"])
    lane = np.abs(np.abs(x) - road_half * 0.32)
    tracks = np.exp(-(((lane - 0.75) / 0.3) ** 2)) * (np.abs(x) < road_half)
    base[..., :3] -= (tracks * 9)[:, None, None]
    base[..., 3] += (tracks * 7)[:, None]
    paving = (np.abs(x) >= road_half) & (np.abs(x) < road_half + SIDEWALK_WIDTH)
    base[paving] = (*_grey(rng, rng.uniform(125, 165), 12), heats["sidewalk"])
    joints = (np.arange(along) % int(0.8 * scale)) == 0
    base[np.ix_(paving, joints)] *= (0.82, 0.82, 0.82, 0.98)
    grass = np.abs(x) >= road_half + SIDEWALK_WIDTH
    base[grass] = (*between(rng, (25, 70, 45), (45, 105, 75)), heats["grass"])
    base[..., :3] += (grain * 1.4 + patches * 8)[..., None]
    base[..., 3] += patches * 4 + grain * 0.2
    texture = np.clip(base, 0, 255).astype(np.uint8)
    for _ in range(14):  # repaired patches and cracks
        row = int(rng.integers(0, across))
        column = int(rng.integers(0, along))
        size = rng.integers(8, 46, 2)
        if rng.random() < 0.5:
            area = texture[row : row + size[0], column : column + size[1] * 2]
            area[...] = cv2.convertScaleAbs(area, alpha=float(rng.uniform(0.8, 0.95)))
        else:
            steps = rng.normal((0, 14), (6, 6), (12, 2)).cumsum(axis=0) + (column, row)
            line = steps[:, ::1].astype(np.int32)
            cv2.polylines(texture, [line], False, (45, 45, 48, heats["road"] - 6.0), 1)
    return TiledPlane.build(
        texture, texture[..., :1], scale, ((1, 1), (4, 2), (16, 4)), (0.5, 16.0, 40.0, 400.0)
    )


def _grey(rng: np.random.Generator, level: float, spread: float) -> np.ndarray:
    return level + rng.uniform(-spread, spread, 3)


def paint_ground(canvas: Canvas, plane: TiledPlane, road_half: float) -> None:
    """Fills everything below the horizon and labels it."""
    camera = canvas.camera
    first = min(max(int(camera.horizon) + 1, 0), camera.height)
    rows = np.arange(first, camera.height)
    if not len(rows):
        return
    depth = camera.focal * camera.y / (rows + 0.5 - camera.horizon)
    opposite = (camera.width, camera.height)
    cv2.rectangle(canvas.planes, (0, first), opposite, (VEGETATION, 0, 0), cv2.FILLED)
    for half_width, label in ((road_half + SIDEWALK_WIDTH, SIDEWALK), (road_half, ROAD)):
        ends = [(-half_width, 0.0), (-half_width, 500.0), (half_width, 500.0), (half_width, 0.0)]
        strip = np.array([(x, 0.0, camera.z + NEAR + ahead) for x, ahead in ends])
        corners = canvas.corners(camera.project(strip))
        cv2.fillConvexPoly(canvas.planes, corners, (label, 0, 0), cv2.LINE_8, SUBPIXEL_BITS)
    canvas.planes[first:, :, 2] = depth_byte(depth)[:, None]
    along = camera.z % PERIOD
    offset = camera.x + GROUND_HALF_WIDTH
    for level, (texture, (per_z, per_x)) in enumerate(
        zip(plane.textures, plane.pixels_per_metre, strict=True)
    ):
        inside = rows[(depth >= plane.bands[level]) & (depth < plane.bands[level + 1])]
        if level == len(plane.textures) - 1:
            inside = rows[depth >= plane.bands[level]]
        if not len(inside):
            continue
        top, bottom = int(inside[0]), int(inside[-1]) + 1
        horizon, centre, height = camera.horizon - 0.5, camera.centre_u, camera.y
        to_along = (0, along, -horizon * along + camera.focal * height)
        to_across = (height, offset, -centre * height - horizon * offset)
        matrix = np.array(
            (np.multiply(to_along, per_z), np.multiply(to_across, per_x), (0, 1, -horizon))
        )
        size = (camera.width, bottom - top)
        canvas.surface[top:bottom] = warp(texture, matrix @ shift(top, 0), size, True)


@dataclass(frozen=True)
class Backdrop:
    """Sky and far skyline as wide as the image plus a margin; they move with the horizon only."""

    surface: np.ndarray
    planes: np.ndarray
    horizon: float
    margin: int


def backdrop(
    rng: np.random.Generator, climate: Climate, condition: str, camera: Camera
) -> Backdrop:
    margin = max(8, camera.width // 12)
    height, width = camera.height, camera.width + 2 * margin
    horizon = round(camera.horizon) + margin
    total = height + 2 * margin
    up = np.clip((horizon - np.arange(total)) / max(horizon, 1), 0, 1).astype(np.float32)[:, None]
    clouds = fractal(rng, total, width, (4, 3), 5)
    cover = np.clip(clouds + rng.uniform(-0.5, 0.5), 0, 1)
    zenith, low = {
        "day": (between(rng, (190, 130, 70), (235, 170, 120)), np.array((235, 225, 210))),
        "night": (
            between(rng, (45, 30, 25), (70, 55, 50)),
            between(rng, (60, 60, 70), (95, 110, 150)),
        ),
        "fog": (np.array((205, 205, 203)), np.array((205, 205, 203))),
    }[condition]
    surface = np.empty((total, width, 4), np.float32)
    surface[..., :3] = zenith * up[..., None] + low * (1 - up[..., None])
    cloud = 245.0 if condition != "night" else 75.0
    surface[..., :3] += (cloud - surface[..., :3]) * (cover * 0.75)[..., None]
    heats = climate.heats
    warm = heats["sky_horizon"] + 0.0
    surface[..., 3] = warm + (heats["sky_zenith"] - warm) * np.sqrt(up)
    surface[..., 3] += cover * 22 * (1 - 0.5 * up)
    picture = np.clip(surface, 0, 255).astype(np.uint8)
    planes = np.empty((total, width, 3), np.uint8)
    planes[...] = (SKY, 0, 255)
    _skyline(rng, climate, picture, planes, horizon)
    return Backdrop(picture, planes, float(horizon), margin)


def _skyline(
    rng: np.random.Generator,
    climate: Climate,
    picture: np.ndarray,
    planes: np.ndarray,
    horizon: int,
) -> None:
    """Far houses, and a line of trees before them."""
    width = picture.shape[1]
    unit = width / 640
    column = 0
    while column < width:
        wide, tall = int(rng.uniform(14, 60) * unit) + 1, int(rng.uniform(6, 40) * unit) + 1
        area = (slice(horizon - tall, horizon + 1), slice(column, column + wide))
        picture[area] = (*_grey(rng, rng.uniform(90, 150), 12), climate.heats["wall"] - 6)
        planes[area] = (BUILDING, 0, depth_byte(118.0))
        column += wide
    outline = fractal(rng, 1, width, (1, 14), 5)[0]
    tops = horizon - ((9 + 7 * outline) * unit).clip(0, None)
    inside = np.arange(picture.shape[0])[:, None] >= tops[None]
    inside[horizon + 1 :] = False
    leaves = foliage_texture(rng, climate, picture.shape[0], width)
    picture[inside] = leaves[inside]
    planes[inside] = (VEGETATION, 0, depth_byte(110.0))


def paint_backdrop(canvas: Canvas, view: Backdrop) -> None:
    """Fills the canvas down to the horizon."""
    camera = canvas.camera
    down = camera.horizon - view.horizon
    across = camera.centre_u - camera.width / 2 - view.margin
    matrix = np.array(((1, 0, -across), (0, 1, -down)))
    rows = min(max(int(camera.horizon) + 1, 1), camera.height)
    size = (camera.width, rows)
    for picture, target, interpolation in (
        (view.surface, canvas.surface, cv2.INTER_LINEAR),
        (view.planes, canvas.planes, cv2.INTER_NEAREST),
    ):
        flags = interpolation | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(picture, matrix, size, target[:rows], flags, cv2.BORDER_REPLICATE)
