"""Street furniture and trees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.scenes.classes import POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN, VEGETATION
from uaafusion_ros.scenes.geometry import Canvas, Colour, Face, pyramid, shade
from uaafusion_ros.scenes.photometry import Climate
from uaafusion_ros.scenes.textures import foliage_texture, fractal

SIGN_TEXTS = ("30", "50", "STOP", "P", "70", "BUS", "TAXI", "40")


@dataclass(frozen=True)
class Sprite:
    """A flat picture at falling sizes with its outline, and its height and width in metres."""

    levels: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]
    size: tuple[float, float]

    @classmethod
    def build(cls, picture: np.ndarray, mask: np.ndarray, size: tuple[float, float]) -> Sprite:
        return cls(tuple(pyramid(picture, 6)), tuple(pyramid(mask, 6)), size)


def tree_sprite(rng: np.random.Generator, climate: Climate) -> Sprite:
    """A crown of leaf clusters."""
    side = 224
    picture = foliage_texture(rng, climate, side, side)
    mask = np.zeros((side, side), np.uint8)
    for _ in range(26):
        middle = rng.normal((side / 2, side / 2), side * 0.15).astype(int)
        cv2.circle(mask, (int(middle[0]), int(middle[1])), int(rng.uniform(18, 44)), 255, -1)
    edge = fractal(rng, side, side, (16, 16), 3)
    eroded = cv2.GaussianBlur(mask, (0, 0), 7).astype(np.float32) + 75 * edge
    mask = np.where(eroded > 120, 255, 0).astype(np.uint8)
    lumps = cv2.GaussianBlur(mask, (0, 0), 14).astype(np.float32) / 255
    bright = 0.75 + 0.35 * np.roll(lumps, (6, 6), (0, 1))
    picture[..., :3] = np.clip(picture[..., :3] * bright[..., None], 0, 255).astype(np.uint8)
    height = rng.uniform(3.2, 5.2)
    return Sprite.build(picture, mask, (height, height * rng.uniform(0.85, 1.2)))


def sign_sprite(rng: np.random.Generator, climate: Climate) -> Sprite:
    """A sign plate: its symbol differs in colour alone, so that infrared does not see it."""
    side = 96
    red, blue, white, dark = (35, 25, 190), (160, 85, 25), (235, 235, 235), (25, 25, 25)
    picture = np.zeros((side, side, 3), np.uint8)
    mask = np.zeros((side, side), np.uint8)
    middle, kind = (side // 2, side // 2), rng.integers(4)
    text = SIGN_TEXTS[rng.integers(len(SIGN_TEXTS))]
    if kind == 0:  # speed limit
        cv2.circle(mask, middle, 46, 255, -1)
        picture[:] = red
        cv2.circle(picture, middle, 35, white, -1)
        _write(picture, text, dark)
    elif kind == 1:  # warning triangle
        corners = np.array(((48, 5), (92, 86), (4, 86)))
        cv2.fillConvexPoly(mask, corners, 255)
        picture[:] = red
        cv2.fillConvexPoly(picture, np.array(((48, 24), (76, 76), (20, 76))), white)
        cv2.line(picture, (48, 38), (48, 58), dark, 7)
        cv2.circle(picture, (48, 69), 4, dark, -1)
    elif kind == 2:  # information
        mask[4:92, 4:92] = 255
        picture[:] = blue
        cv2.rectangle(picture, (9, 9), (86, 86), white, 3)
        _write(picture, text, white)
    else:  # direction board
        mask[22:74] = 255
        picture[:] = (70, 120, 25)
        cv2.rectangle(picture, (3, 25), (92, 70), white, 2)
        _write(picture, text, white)
    heat = np.full((side, side, 1), climate.heats["sign"], np.uint8)
    size = rng.uniform(0.75, 1.05)
    return Sprite.build(np.concatenate((picture, heat), axis=2), mask, (size, size))


def _write(picture: np.ndarray, text: str, ink: tuple[int, int, int]) -> None:
    scale = 1.35 if len(text) <= 2 else 0.8
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 5)
    origin = ((picture.shape[1] - wide) // 2, (picture.shape[0] + tall) // 2)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 5, cv2.LINE_AA)


def paint_sprite(
    canvas: Canvas, sprite: Sprite, centre: tuple[float, float, float], label: int, glow: float = 0
) -> None:
    canvas.sprite(sprite.levels, sprite.masks, centre, sprite.size, label, glow)


Point = tuple[float, float, float]


def _bar(start: Point, end: Point, radius: float, colour: Colour) -> list[Face]:
    """A round bar between two points at the same depth; one side catches more light."""
    along, up = end[0] - start[0], end[1] - start[1]
    scale = radius / max(math.hypot(along, up), 1e-6)
    across, over, z = -up * scale, along * scale, start[2]
    faces = []
    for low, high, paint in ((-1.0, 1.0, colour), (0.1, 0.75, shade(colour, 1.35, 2))):
        points = [(x + side * across, y + side * over, z) for (x, y, _), side in
                  ((start, low), (end, low), (end, high), (start, high))]  # fmt: skip
        faces.append(Face(np.array(points), paint))
    return faces


def paint_tree(
    canvas: Canvas, sprite: Sprite, climate: Climate, place: tuple[float, float], trunk: float
) -> None:
    x, z = place
    bark = (42.0, 55.0, 70.0, float(climate.heats["trunk"]))
    top = trunk + sprite.size[0] * 0.3
    canvas.faces(_bar((x, 0, z), (x, top, z), 0.13, bark), VEGETATION)
    paint_sprite(canvas, sprite, (x, trunk + sprite.size[0] / 2, z), VEGETATION)


def paint_sign(
    canvas: Canvas, sprite: Sprite, climate: Climate, place: tuple[float, float]
) -> None:
    x, z = place
    pole = (120.0, 122.0, 122.0, float(climate.heats["pole"]))
    canvas.faces(_bar((x, 0, z), (x, 2.4, z), 0.04, pole), POLE)
    # Retroreflective: our own headlights come back from far.
    glow = 58.0 if climate.headlight > 0.1 else 0.0
    paint_sprite(canvas, sprite, (x, 2.5, z - 0.05), TRAFFIC_SIGN, glow)


def paint_lantern(
    canvas: Canvas, climate: Climate, place: tuple[float, float], reach: float
) -> None:
    """A street lamp whose arm reaches over the road by `reach` metres."""
    x, z = place
    pole = (95.0, 98.0, 98.0, float(climate.heats["pole"]))
    faces = _bar((x, 0, z), (x, 6.4, z), 0.08, pole)
    faces += _bar((x, 6.35, z), (x + reach, 6.6, z), 0.05, pole)
    lit = climate.lamps_lit
    head = (190.0, 235.0, 255.0, climate.heats["lamp"] + (20.0 if lit else -15.0))
    inward = float(np.sign(reach))
    corners = ((reach - 0.45 * inward, 6.5), (reach + 0.3 * inward, 6.56),
               (reach + 0.3 * inward, 6.68), (reach - 0.45 * inward, 6.66))  # fmt: skip
    points = np.array([(x + across, up, z) for across, up in corners])
    paint, glow = (head, 190.0) if lit else (shade(head, 0.5), 0.0)
    canvas.faces([*faces, Face(points, paint, glow)], POLE)
    if lit:
        canvas.add_lamp((x + reach, 6.55, z), 0.16, (150.0, 215.0, 255.0))


def paint_traffic_light(
    canvas: Canvas, climate: Climate, place: tuple[float, float], reach: float, state: int
) -> None:
    """A mast with one head beside and one above the road; state 0 red, 1 amber, 2 green."""
    x, z = place
    pole = (70.0, 72.0, 72.0, float(climate.heats["pole"]))
    mast = _bar((x, 0, z), (x, 5.3, z), 0.07, pole)
    canvas.faces(mast + _bar((x, 5.25, z), (x + reach, 5.35, z), 0.05, pole), POLE)
    case = (32.0, 34.0, 32.0, float(climate.heats["warm_metal"]) - 35)
    colours = ((40.0, 40.0, 255.0), (40.0, 190.0, 255.0), (150.0, 255.0, 70.0))
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    disc = np.stack((np.cos(turn), np.sin(turn), np.zeros_like(turn)), axis=1)
    for centre_x, centre_y in ((x, 2.9), (x + reach, 4.85)):
        half_width, half_height = 0.19, 0.52
        box = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        corners = [(centre_x + a * half_width, centre_y + b * half_height, z) for a, b in box]
        faces = [Face(np.array(corners), case)]
        for index, colour in enumerate(colours):
            lit = index == state
            middle = np.array((centre_x, centre_y + 0.33 * (1 - index), z - 0.02))
            lens: Colour = (*colour, case[3] + (28 if lit else 6))
            glow = (105.0 if climate.lamps_lit else 85.0) if lit else 0.0
            paint = lens if lit else shade(lens, 0.25)
            faces.append(Face(middle + disc * 0.125, paint, glow))
            if lit:
                share = 0.55 if climate.lamps_lit else 0.2
                blue, green, red = (value * share for value in colour)
                canvas.add_lamp(tuple(middle), 0.13, (blue, green, red))
        canvas.faces(faces, TRAFFIC_LIGHT)
