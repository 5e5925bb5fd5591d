"""House fronts along both sides of the street."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.scenes.classes import BUILDING, VEGETATION
from uaafusion_ros.scenes.geometry import Canvas, Colour, Face, depth_byte, shade
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

FRONT_HEIGHT = 16.0
FRONT_SCALE = 14.0  # texture pixels per metre
WORDS = ("CAFE", "HOTEL", "BAKERY", "BOOKS", "PHARMACY", "MARKET", "BANK", "FLOWERS", "PIZZA")


@dataclass(frozen=True)
class House:
    """One house of a row: where it begins and ends along the street, its height, its gable."""

    begin: float
    end: float
    height: float
    gable: Colour


@dataclass(frozen=True)
class HouseRow:
    """The houses on one side of the street, in the plane x = `x` metres."""

    x: float
    plane: TiledPlane
    houses: tuple[House, ...]


def house_row(rng: np.random.Generator, climate: Climate, x: float) -> HouseRow:
    """Houses and gaps for one period of the street."""
    scale = FRONT_SCALE
    texture = np.zeros((int(FRONT_HEIGHT * scale), int(PERIOD * scale), 4), np.uint8)
    planes = np.zeros((*texture.shape[:2], 3), np.uint8)  # class, own light, is there anything
    houses = []
    position = 0.0
    while position < PERIOD - 6:
        gap = rng.choice((0.0, 0.0, 0.0, rng.uniform(3, 9)))
        width = min(rng.uniform(8, 19), PERIOD - position - gap)
        if width < 5:
            break
        begin, end = position + gap, position + gap + width
        height = rng.uniform(5.5, 15.5)
        bottom, first, last = texture.shape[0], round(begin * scale), round(end * scale)
        if gap:
            hedge = slice(bottom - round(rng.uniform(0.8, 2.0) * scale), bottom)
            columns = slice(round(position * scale), first)
            area = texture[hedge, columns]
            area[...] = foliage_texture(rng, climate, area.shape[0], area.shape[1])
            planes[hedge, columns] = (VEGETATION, 0, 1)
        top = bottom - round(height * scale)
        colour = _house_front(rng, climate, texture[top:, first:last], planes[top:, first:last])
        planes[top:, first:last, 0] = BUILDING
        planes[top:, first:last, 2] = 1
        houses.append(House(begin, end, height, colour))
        position = end
    if x > 0:  # seen from the street the right-hand row reads against the direction of travel
        texture, planes = texture[:, ::-1], planes[:, ::-1]
        houses = [House(PERIOD - h.end, PERIOD - h.begin, h.height, h.gable) for h in houses]
    shading = 1.0 - 0.25 * climate.sunlit * (x > 0)
    texture = texture.copy()
    texture[..., :3] = cv2.convertScaleAbs(texture[..., :3].copy(), alpha=shading)
    plane = TiledPlane.build(
        texture, planes, scale, ((1, 1), (3, 2), (10, 4)), (1.0, 26.0, 60.0, 130.0)
    )
    return HouseRow(x, plane, tuple(houses))


def _house_front(
    rng: np.random.Generator, climate: Climate, texture: np.ndarray, planes: np.ndarray
) -> Colour:
    """Paints one facade into the views given and returns its wall colour."""
    scale = FRONT_SCALE
    height, width = texture.shape[:2]
    heats = climate.heats
    walls = ((75, 95, 150), (150, 185, 205), (170, 175, 180), (120, 150, 170), (205, 210, 215),
             (95, 100, 110), (150, 160, 140), (110, 140, 195))  # fmt: skip
    wall = np.array(walls[rng.integers(len(walls))]) * rng.uniform(0.75, 1.05)
    warmth = heats["wall"] + rng.uniform(-9, 9)
    front = np.empty((height, width, 4), np.float32)
    front[...] = (*wall, warmth)
    stains = fractal(rng, height, width, (4, 6), 5)
    front[..., :3] *= (1 + 0.09 * stains)[..., None]
    front[..., 3] += 4 * stains + np.linspace(-6, 5, height)[:, None]
    if rng.random() < 0.4:  # courses of brick or cladding
        front[:: int(rng.integers(4, 8)), :, :3] *= 0.88
    floor, sill = round(3.1 * scale), round(0.95 * scale)
    pane, pitch = round(rng.uniform(0.9, 1.7) * scale), round(rng.uniform(2.2, 3.4) * scale)
    shop = bool(rng.random() < 0.55)
    lit_share = rng.uniform(0.1, 0.4) if climate.lamps_lit else 0.0
    for base in range(height - (floor if shop else 0), floor // 2, -floor):
        top, bottom = base - round(2.5 * scale), base - sill
        if top < round(0.4 * scale):
            continue
        front[base - 2 : base, :, :3] *= 0.85  # ledge between floors
        for left in range(pitch // 2, width - pane - 2, pitch):
            _window(rng, climate, front, planes, (top, bottom, left, left + pane), lit_share)
    if shop:
        _shop(rng, climate, front, planes, round(0.5 * scale), round(2.5 * scale))
    front[: round(0.35 * scale), :, :3] *= 0.6  # eaves
    front[: round(0.35 * scale), :, 3] -= 8
    texture[...] = np.clip(front, 0, 255).astype(np.uint8)
    blue, green, red = wall * 0.8
    return (blue, green, red, warmth - 4)


def _window(
    rng: np.random.Generator,
    climate: Climate,
    front: np.ndarray,
    planes: np.ndarray,
    box: tuple[int, int, int, int],
    lit_share: float,
) -> None:
    top, bottom, left, right = box
    front[top - 1 : bottom + 2, left - 1 : right + 1, :3] = rng.uniform(120, 220)
    glass = front[top:bottom, left:right]
    rows = np.linspace(1.25, 0.7, glass.shape[0])[:, None, None]
    if rng.random() < lit_share:
        glass[..., :3] = between(rng, (90, 150, 190), (170, 215, 235)) * rows**-0.4
        glass[..., 3] = climate.heats["glass"] + rng.uniform(8, 20)
        planes[top:bottom, left:right, 1] = rng.uniform(62, 100)
    else:
        glass[..., :3] = between(rng, (60, 50, 40), (120, 105, 85)) * rows
        glass[..., 3] = climate.heats["glass"] + rng.uniform(-5, 7)
        if rng.random() < 0.4:  # curtain
            glass[: glass.shape[0] // 2, :, :3] *= 1.5
        if rng.random() < 0.35:  # radiator below the sill
            front[bottom + 1 : bottom + 8, left:right, 3] += 14
    front[top:bottom, (left + right) // 2, :3] = 150


def _shop(
    rng: np.random.Generator,
    climate: Climate,
    front: np.ndarray,
    planes: np.ndarray,
    sill: int,
    tall: int,
) -> None:
    height, width = front.shape[:2]
    lit = climate.lamps_lit and rng.random() < 0.7
    pillar = max(6, width // int(rng.integers(2, 5)))
    for left in range(4, width - 12, pillar):
        columns = slice(left, min(left + pillar - 5, width - 4))
        glass = front[height - tall : height - sill, columns]
        clutter = fractal(rng, glass.shape[0], glass.shape[1], (4, 5), 3)[..., None]
        bright = (110, 165, 200) if lit else (70, 66, 60)
        glass[..., :3] = np.array(bright) * (1 + 0.35 * clutter)
        glass[..., 3] = climate.heats["glass"] + (16 if lit else 6)
        if lit:
            planes[height - tall : height - sill, columns, 1] = rng.uniform(85, 120)
    board = slice(height - tall - 14, height - tall - 1)
    colour = rng.uniform(20, 190, 3)
    front[board, 3:-3, :3] = colour
    front[board, 3:-3, 3] += 3
    word = np.clip(front[board, :, :3], 0, 255).astype(np.uint8)
    ink = (235, 240, 240) if colour.mean() < 120 else (25, 20, 20)
    text = WORDS[rng.integers(len(WORDS))]
    cv2.putText(word, text, (width // 5, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.42, ink, 1, cv2.LINE_AA)
    front[board, :, :3] = word  # painted letters have the temperature of their board
    if lit:
        planes[board, 3:-3, 1] = 70


def paint_houses(canvas: Canvas, row: HouseRow, sunlit: float) -> None:
    """Gables first, then the fronts, which stand nearer to the street."""
    camera = canvas.camera
    outward = 10.0 if row.x > 0 else -10.0
    gables = []
    begins = [(house.begin - camera.z) % PERIOD for house in row.houses]
    for begin, house in sorted(zip(begins, row.houses, strict=True), key=lambda item: -item[0]):
        if begin > 110:
            continue
        z = camera.z + begin
        corners = ((0, 0), (outward, 0), (outward, house.height), (0, house.height))
        points = np.array([(row.x + across, y, z) for across, y in corners])
        gables.append(Face(points, shade(house.gable, 1 - 0.2 * sunlit)))
    if gables:
        canvas.faces(gables, BUILDING)
    away = row.x - camera.x
    along = camera.z % PERIOD
    plane = row.plane
    for level in range(len(plane.textures) - 1, -1, -1):
        begin, end = plane.bands[level], plane.bands[level + 1]
        edges = sorted(camera.centre_u + camera.focal * away / depth for depth in (begin, end))
        left = max(0, round(edges[0]))
        right = min(camera.width, round(edges[1]))
        top = max(0, int(camera.horizon - camera.focal * (FRONT_HEIGHT - camera.y) / begin))
        reach = abs(away) * camera.focal / max(abs(left - camera.centre_u),
                                               abs(right - camera.centre_u), 1.0)  # fmt: skip
        bottom = min(camera.height, int(camera.horizon + camera.focal * camera.y / reach) + 1)
        if left >= right or top >= bottom:
            continue
        _paint_band(canvas, plane, level, (top, bottom, left, right), away, along)


def _paint_band(
    canvas: Canvas,
    plane: TiledPlane,
    level: int,
    box: tuple[int, int, int, int],
    away: float,
    along: float,
) -> None:
    camera = canvas.camera
    top, bottom, left, right = box
    per_z, per_y = plane.pixels_per_metre[level]
    centre, drop = camera.centre_u - 0.5, FRONT_HEIGHT - camera.y
    horizon = camera.horizon - 0.5
    to_along = (along, 0, -centre * along + camera.focal * away)
    to_across = (drop, away, -drop * centre - horizon * away)
    matrix = np.array((np.multiply(to_along, per_z), np.multiply(to_across, per_y),
                       (1, 0, -centre)))  # fmt: skip
    matrix = matrix @ shift(top, left)
    size = (right - left, bottom - top)
    colours = warp(plane.textures[level], matrix, size, True)
    values = warp(plane.planes[level], matrix, size, False)
    there = cv2.extractChannel(values, 2)
    columns = np.arange(left, right) + 0.5
    depth = camera.focal * away / (columns - camera.centre_u)
    values[..., 2] = depth_byte(depth)[None]
    box_slices = (slice(top, bottom), slice(left, right))
    cv2.copyTo(colours, there, canvas.surface[box_slices])
    cv2.copyTo(values, there, canvas.planes[box_slices])
