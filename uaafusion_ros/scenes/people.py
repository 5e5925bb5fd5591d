"""People, walking or riding, from a jointed skeleton in three dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from uaafusion_ros.scenes.classes import BICYCLE, MOTORCYCLE, PERSON
from uaafusion_ros.scenes.geometry import NEAR, Canvas, Colour, capsules, depth_byte, shade
from uaafusion_ros.scenes.photometry import Climate


@dataclass(frozen=True)
class Looks:
    """One person's build and clothes."""

    height: float
    girth: float
    coat: Colour
    trousers: Colour
    skin: Colour
    hair: Colour
    shoes: Colour
    bag: Colour | None


def random_looks(rng: np.random.Generator, climate: Climate) -> Looks:
    heats = climate.heats

    def cloth(low: float, high: float, warmer: float) -> Colour:
        level = rng.uniform(low, high)
        blue, green, red = np.clip(level * rng.uniform(0.65, 1.35, 3), 8, 235)
        return (blue, green, red, heats["cloth"] + warmer + rng.uniform(-9, 9))

    tone = rng.uniform(0.35, 1.0)
    dark = rng.uniform(15, 70)
    return Looks(
        height=rng.uniform(1.52, 1.92),
        girth=rng.uniform(0.9, 1.25),
        coat=cloth(22, 145 if climate.sunlit > 0.5 else 80, -5),
        trousers=cloth(17, 78, -13),
        skin=(100 * tone, 126 * tone, 172 * tone, heats["skin"] + rng.uniform(-6, 6)),
        hair=(dark * 0.6, dark * 0.8, dark, heats["cloth"] + 6),
        shoes=(25, 25, 28, heats["cloth"] - 26),
        bag=(*rng.uniform(15, 120, 3), heats["wall"] + 14.0) if rng.random() < 0.35 else None,
    )


Limb = tuple[tuple[float, float, float], tuple[float, float, float], float, float, Colour]


def _walking(looks: Looks, phase: float, swing: float) -> list[Limb]:
    """Limbs (start, end, radii, colour) with joints as (forward, up, left) in body heights."""
    limbs: list[Limb] = []
    hip_height, shoulder = 0.515, 0.815
    for side, offset in ((1, 0.0), (-1, np.pi)):
        thigh = 0.46 * swing * math.sin(phase + offset)
        bend = 0.85 * swing * max(0.0, math.cos(phase + offset)) + 0.06
        across = 0.05 * side
        hip = (0.0, hip_height, across)
        knee = (0.245 * math.sin(thigh), hip_height - 0.245 * math.cos(thigh), across)
        shin = thigh - bend
        ankle = (knee[0] + 0.235 * math.sin(shin), knee[1] - 0.235 * math.cos(shin), across)
        toe = (ankle[0] + 0.085 * math.cos(shin * 0.6), ankle[1] - 0.02, across * 1.15)
        limbs.append((hip, knee, 0.056, 0.042, looks.trousers))
        limbs.append((knee, ankle, 0.041, 0.028, looks.trousers))
        limbs.append((ankle, toe, 0.027, 0.02, looks.shoes))
        reach = -0.36 * swing * math.sin(phase + offset)
        top = (0.0, shoulder - 0.015, 0.112 * side)
        elbow = (0.165 * math.sin(reach), top[1] - 0.165 * math.cos(reach), 0.135 * side)
        fore = reach + 0.35
        hand = (elbow[0] + 0.14 * math.sin(fore), elbow[1] - 0.14 * math.cos(fore), 0.13 * side)
        limbs.append((top, elbow, 0.036, 0.03, looks.coat))
        limbs.append((elbow, hand, 0.029, 0.022, looks.coat))
        limbs.append((hand, (hand[0], hand[1] - 0.03, hand[2]), 0.021, 0.018, looks.skin))
    for side in (1, -1):
        limbs.append(
            ((0.0, 0.53, 0.04 * side), (0.0, shoulder, 0.062 * side), 0.066, 0.062, looks.coat)
        )
    limbs.extend(_head(looks, 0.0, shoulder))
    if looks.bag is not None:
        limbs.append(((-0.075, 0.63, 0.0), (-0.08, 0.77, 0.0), 0.075, 0.07, looks.bag))
    return limbs


def _far_walking(looks: Looks, phase: float, swing: float) -> list[Limb]:
    """The same walker where a few pixels must do."""
    limbs: list[Limb] = []
    for side, offset in ((1, 0.0), (-1, math.pi)):
        step = 0.2 * swing * math.sin(phase + offset)
        hip, foot = (0.0, 0.515, 0.05 * side), (step, 0.02, 0.05 * side)
        limbs.append((hip, foot, 0.056, 0.03, looks.trousers))
    limbs.append(((0.0, 0.53, 0.0), (0.0, 0.8, 0.0), 0.1, 0.13, looks.coat))
    limbs.append(((0.0, 0.89, 0.0), (0.0, 0.95, 0.0), 0.045, 0.05, looks.skin))
    return limbs


def _head(looks: Looks, forward: float, shoulder: float) -> list[Limb]:
    neck = (forward, shoulder + 0.02, 0.0)
    chin = (forward + 0.012, shoulder + 0.085, 0.0)
    crown = (forward, shoulder + 0.128, 0.0)
    back = (forward - 0.022, shoulder + 0.122, 0.0)
    return [
        (neck, chin, 0.03, 0.034, looks.skin),
        (chin, crown, 0.044, 0.05, looks.skin),
        (back, (forward - 0.008, shoulder + 0.142, 0.0), 0.046, 0.044, looks.hair),
    ]


def _riding(looks: Looks, phase: float, lean: float) -> list[Limb]:
    limbs: list[Limb] = []
    hip, shoulder = (-0.12, 0.56), (-0.12 + 0.3 * math.sin(lean), 0.56 + 0.3 * math.cos(lean))
    for side, offset in ((1, 0.0), (-1, np.pi)):
        foot = (0.03 + 0.09 * math.cos(phase + offset), 0.17 + 0.09 * math.sin(phase + offset))
        knee = ((hip[0] + foot[0]) / 2 + 0.14, (hip[1] + foot[1]) / 2 + 0.08)
        across = 0.06 * side
        limbs.append(((*hip, across), (*knee, across), 0.056, 0.042, looks.trousers))
        limbs.append(((*knee, across), (*foot, across), 0.04, 0.028, looks.trousers))
        toe = (foot[0] + 0.08, foot[1] - 0.015, across)
        limbs.append(((*foot, across), toe, 0.028, 0.02, looks.shoes))
        top, hand = (*shoulder, 0.11 * side), (0.25, 0.6, 0.14 * side)
        elbow = ((top[0] + hand[0]) / 2 - 0.02, (top[1] + hand[1]) / 2 - 0.05, 0.16 * side)
        limbs.append((top, elbow, 0.036, 0.03, looks.coat))
        limbs.append((elbow, hand, 0.03, 0.024, looks.coat))
    for side in (1, -1):
        limbs.append(((*hip, 0.04 * side), (*shoulder, 0.06 * side), 0.066, 0.062, looks.coat))
    limbs.extend(_head(looks, shoulder[0], shoulder[1]))
    return limbs


def _paint_limbs(
    canvas: Canvas,
    limbs: list[Limb],
    place: tuple[float, float, float],
    heading: float,
    scale: float,
    girth: float,
    label: int,
) -> None:
    camera = canvas.camera
    depth = place[2] - camera.z
    if depth < NEAR + 0.6:
        return
    joints = np.array([limb[:2] for limb in limbs]) * scale
    forward = np.array((math.sin(heading), 0.0, math.cos(heading)))
    leftward = np.array((-math.cos(heading), 0.0, math.sin(heading)))
    points = joints[..., :1] * forward + joints[..., 1:2] * np.array((0.0, 1.0, 0.0))
    points = points + joints[..., 2:] * leftward + np.array(place)
    pixels = camera.project(points)
    if not canvas.sees(pixels.reshape(-1, 2)):
        return
    size = camera.focal / depth * scale * girth
    radii = np.array([limb[2:4] for limb in limbs]) * size
    order = np.argsort(-points[..., 2].mean(axis=1), kind="stable").tolist()
    corners = canvas.corners(capsules(pixels[:, 0], pixels[:, 1], radii[:, 0], radii[:, 1]))
    away = int(depth_byte(depth))
    rounded = size > 40
    if rounded:  # a lighter, warmer core: clothes fit closer there
        centres = pixels + (radii.mean(axis=1)[:, None] * np.array((-0.22, -0.1)))[:, None]
        thin = radii * 0.55
        cores = canvas.corners(capsules(centres[:, 0], centres[:, 1], thin[:, 0], thin[:, 1]))
    for index in order:
        colour = limbs[index][4]
        canvas.fill(corners[index], colour, label, away)
        if rounded:
            canvas.fill(cores[index], shade(colour, 1.4, 9), None, away)


def paint_walker(
    canvas: Canvas,
    looks: Looks,
    place: tuple[float, float, float],
    heading: float,
    walked: float,
    swing: float = 1.0,
) -> None:
    """A pedestrian; heading 0 is along the street, walked in metres moves the legs."""
    if not canvas.in_view(place[0], place[2], 0.9):
        return
    phase = 2 * np.pi * walked / (0.82 * looks.height)
    x, y, z = place
    lifted = (x, y + 0.012 * swing * math.cos(2 * phase), z)
    near = canvas.camera.focal * looks.height > 24 * (z - canvas.camera.z)
    limbs = (_walking if near else _far_walking)(looks, phase, swing)
    canvas.cast_shadow(x + 0.2, z, 0.55, 0.4)
    _paint_limbs(canvas, limbs, lifted, heading, looks.height, looks.girth, PERSON)


def paint_bicycle(
    canvas: Canvas,
    looks: Looks | None,
    frame: Colour,
    place: tuple[float, float, float],
    heading: float,
    ridden: float,
) -> None:
    """A bicycle and its rider, pedalling by the metres ridden; without looks it is parked.

    Who rides belongs to the bicycle's class, as in CamVid: both ways in one training set would
    teach neither.
    """
    canvas.cast_shadow(place[0] + 0.15, place[2], 0.5, 0.8)
    forward = np.array((math.sin(heading), 0.0, math.cos(heading)))
    turn = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    base = np.array(place)
    for offset in (0.52, -0.52):
        wheel = base + forward * (offset + 0.33 * np.cos(turn))[:, None]
        wheel = wheel + np.array((0, 1.0, 0)) * (0.34 + 0.33 * np.sin(turn))[:, None]
        canvas.ring(wheel, 0.022, (30, 30, 30, frame[3]), BICYCLE)
    tubes = (
        ((-0.52, 0.34), (-0.18, 0.85)), ((-0.18, 0.85), (0.0, 0.3)), ((0.0, 0.3), (0.38, 0.78)),
        ((-0.15, 0.8), (0.38, 0.82)), ((0.52, 0.34), (0.36, 1.02)), ((-0.52, 0.34), (0.0, 0.3)),
    )  # fmt: skip
    limbs: list[Limb] = [((*a, 0.0), (*b, 0.0), 0.022, 0.022, frame) for a, b in tubes]
    limbs.append(((0.36, 1.0, -0.27), (0.36, 1.0, 0.27), 0.02, 0.02, (35, 35, 35, frame[3])))
    _paint_limbs(canvas, limbs, place, heading, 1.0, 1.0, BICYCLE)
    if looks is None:
        return
    rider = _riding(looks, ridden / 0.8, 0.55)
    _paint_limbs(canvas, rider, place, heading, looks.height, looks.girth, BICYCLE)


def paint_motorcycle(
    canvas: Canvas,
    climate: Climate,
    looks: Looks | None,
    frame: Colour,
    place: tuple[float, float, float],
    heading: float,
) -> None:
    """A motorcycle and its helmeted rider, one class: hot engine and exhaust, warm tyres.

    Without looks it is parked and cold.
    """
    heats = climate.heats
    hot, warm = (heats["exhaust"], heats["tyre"]) if looks else (frame[3] + 6, frame[3])
    tyre = (26.0, 26.0, 28.0, float(warm))
    engine = (60.0, 60.0, 62.0, hot - 15.0)
    forward = np.array((math.sin(heading), 0.0, math.cos(heading)))
    turn = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    for offset in (0.68, -0.68):
        wheel = np.array(place) + forward * (offset + 0.25 * np.cos(turn))[:, None]
        wheel = wheel + np.array((0, 1.0, 0)) * (0.3 + 0.25 * np.sin(turn))[:, None]
        canvas.ring(wheel, 0.06, tyre, MOTORCYCLE)
    limbs: list[Limb] = [
        ((-0.1, 0.42, 0.0), (0.2, 0.42, 0.0), 0.19, 0.2, engine),
        ((-0.75, 0.42, -0.16), (0.0, 0.34, -0.14), 0.06, 0.05, (120, 120, 125, hot)),
        ((-0.7, 0.76, 0.0), (0.0, 0.74, 0.0), 0.1, 0.13, (28, 28, 30, frame[3] + 10)),
        ((0.05, 0.84, 0.0), (0.35, 0.8, 0.0), 0.15, 0.15, frame),
        ((0.68, 0.32, 0.0), (0.42, 0.95, 0.0), 0.05, 0.06, (110, 110, 112, frame[3])),
        ((0.4, 1.02, -0.34), (0.4, 1.02, 0.34), 0.03, 0.03, (35, 35, 36, frame[3])),
    ]
    _paint_limbs(canvas, limbs, place, heading, 1.0, 1.0, MOTORCYCLE)
    if looks is None:
        return
    helmet = (*frame[:3], heats["cloth"] - 22.0)
    rider = [
        limb if limb[4] is not looks.skin and limb[4] is not looks.hair else (*limb[:4], helmet)
        for limb in _riding(looks, 0.4, 0.42)
    ]
    x, y, z = place
    lifted = (x, y - 0.06, z)
    _paint_limbs(canvas, rider, lifted, heading, looks.height, looks.girth * 1.1, MOTORCYCLE)
    if climate.lamps_lit:
        ahead = math.cos(heading) < 0
        lamp = np.array(place) + forward * (0.75 if ahead else -0.85) + np.array((0, 0.8, 0))
        strength = (420.0, 440.0, 460.0) if ahead else (10.0, 10.0, 170.0)
        canvas.add_lamp(lamp, 0.1, strength)
