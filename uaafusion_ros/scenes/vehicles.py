"""Cars, trucks and buses: side profiles extruded across their width."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from uaafusion_ros.scenes.classes import BUS, CAR, TRUCK
from uaafusion_ros.scenes.geometry import NEAR, Canvas, Colour, Face, shade
from uaafusion_ros.scenes.photometry import Climate

# Profile corners (forward, up) in metres from the lower rear edge over the roof to the lower front
# edge; each names the panel that leads to the next corner.
_SALOON = ((-2.2, 0.28, "bumper"), (-2.27, 0.62, "tail"), (-2.2, 0.98, "boot"),
           (-1.55, 1.04, "glass"), (-0.85, 1.42, "roof"), (0.25, 1.45, "glass"),
           (1.05, 1.02, "bonnet"), (2.05, 0.84, "nose"), (2.27, 0.58, "bumper"),
           (2.2, 0.26, ""))  # fmt: skip
_HATCHBACK = ((-1.9, 0.28, "bumper"), (-1.98, 0.6, "tail"), (-1.9, 1.02, "glass"),
              (-1.5, 1.46, "roof"), (0.2, 1.5, "glass"), (1.0, 1.05, "bonnet"),
              (1.85, 0.88, "nose"), (2.0, 0.58, "bumper"), (1.95, 0.26, ""))  # fmt: skip
_ESTATE = ((-2.25, 0.34, "bumper"), (-2.33, 0.72, "tail"), (-2.25, 1.12, "glass"),
           (-1.95, 1.66, "roof"), (0.25, 1.7, "glass"), (0.95, 1.16, "bonnet"),
           (2.1, 1.02, "nose"), (2.28, 0.66, "bumper"), (2.25, 0.32, ""))  # fmt: skip
_BUS = ((-5.6, 0.35, "bumper"), (-5.65, 1.0, "tail"), (-5.6, 1.6, "glass"), (-5.6, 2.6, "tail"),
        (-5.5, 3.05, "roof"), (5.5, 3.05, "nose"), (5.62, 2.7, "glass"), (5.7, 1.15, "nose"),
        (5.65, 0.35, ""))  # fmt: skip
_BOX = ((-3.6, 0.75, "bumper"), (-3.6, 1.05, "tail"), (-3.6, 3.25, "roof"), (1.5, 3.25, "tail"),
        (1.5, 0.75, ""))  # fmt: skip
_CAB = ((1.65, 0.45, "tail"), (1.65, 2.55, "roof"), (2.7, 2.6, "glass"), (3.3, 1.6, "nose"),
        (3.4, 0.95, "bumper"), (3.4, 0.4, ""))  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A profile with what its side shows."""

    profile: tuple[tuple[float, float, str], ...]
    half_width: float
    belt: float  # metres; above it the body narrows
    inset: float  # share of the half width left at the roof
    windows: tuple[tuple[float, float, float, float], ...]  # rear, front, low, high; metres
    wheels: tuple[float, ...]
    wheel_radius: float


_CAR_SHAPES = (
    Shape(_SALOON, 0.88, 1.06, 0.8,
          ((-1.2, -0.35, 1.06, 1.36), (-0.27, 0.7, 1.06, 1.36)), (-1.35, 1.38), 0.32),
    Shape(_HATCHBACK, 0.86, 1.07, 0.82,
          ((-1.45, -0.5, 1.1, 1.4), (-0.42, 0.62, 1.1, 1.4)), (-1.2, 1.22), 0.31),
    Shape(_ESTATE, 0.93, 1.2, 0.84,
          ((-1.9, -0.6, 1.2, 1.58), (-0.5, 0.66, 1.2, 1.58)), (-1.4, 1.42), 0.37),
)  # fmt: skip
_BUS_SHAPE = Shape(_BUS, 1.22, 9.0, 1.0, tuple(
    (-5.2 + 1.55 * index, -3.8 + 1.55 * index, 1.35, 2.5) for index in range(7)
), (-3.6, 3.4), 0.48)  # fmt: skip
_BOX_SHAPE = Shape(_BOX, 1.2, 9.0, 1.0, (), (-2.7, -1.6), 0.48)
_CAB_SHAPE = Shape(_CAB, 1.15, 9.0, 1.0, ((2.0, 2.75, 1.6, 2.3),), (2.4,), 0.48)


@dataclass(frozen=True)
class Vehicle:
    """One vehicle: its bodies (rear to front), paint and temperatures."""

    label: int
    shapes: tuple[Shape, ...]
    colours: tuple[Colour, ...]
    glass: Colour
    running: bool
    lights: bool
    engine_heat: float
    tyre_heat: float
    exhaust_heat: float

    @property
    def half_length(self) -> float:
        return max(abs(corner[0]) for shape in self.shapes for corner in shape.profile)

    @property
    def half_width(self) -> float:
        return max(shape.half_width for shape in self.shapes)


def random_vehicle(
    rng: np.random.Generator, climate: Climate, kind: int = CAR, running: bool = True
) -> Vehicle:
    paints = ((40, 38, 36), (200, 200, 200), (150, 150, 148), (90, 88, 86), (35, 30, 140),
              (120, 70, 30), (60, 75, 40), (215, 220, 222), (30, 110, 150))  # fmt: skip
    heats = climate.heats
    body = heats["body"] + rng.uniform(-8, 12)

    def paint() -> Colour:
        blue, green, red = np.array(paints[rng.integers(len(paints))]) * rng.uniform(0.8, 1.1)
        return (blue, green, red, body)

    shapes: tuple[Shape, ...]
    colours: tuple[Colour, ...]
    if kind == BUS:
        shapes, colours = (_BUS_SHAPE,), (paint(),)
    elif kind == TRUCK:
        shapes, colours = (_BOX_SHAPE, _CAB_SHAPE), ((190, 195, 198, body + 4), paint())
    else:
        shapes, colours = (_CAR_SHAPES[rng.integers(len(_CAR_SHAPES))],), (paint(),)
    return Vehicle(
        label=kind,
        shapes=shapes,
        colours=colours,
        glass=(58, 50, 44, heats["glass"] + 4.0),
        running=running,
        lights=running and climate.lamps_lit,
        engine_heat=heats["warm_metal"] + rng.uniform(-15, 15) if running else body + 4,
        tyre_heat=heats["tyre"] + rng.uniform(-10, 10) if running else heats["road"] - 6,
        exhaust_heat=float(heats["exhaust"]) if running else body,
    )


class _Painter:
    """Places one vehicle in the world and paints its panels."""

    def __init__(
        self, canvas: Canvas, vehicle: Vehicle, place: tuple[float, float], direction: float
    ) -> None:
        self.canvas = canvas
        self.vehicle = vehicle
        self.x, self.z = place
        self.panels: list[Face] = []
        self.detailed = place[1] - canvas.camera.z < canvas.camera.focal / 15  # pixels a metre
        self.direction = direction  # 1 drives with us, -1 towards us

    def points(self, corners: list[tuple[float, float, float]]) -> np.ndarray:
        """(forward, up, left) of the vehicle to world points."""
        x, z, direction = self.x, self.z, self.direction
        return np.array([(x - direction * left, up, z + direction * forward)
                         for forward, up, left in corners])  # fmt: skip

    def panel(
        self, corners: list[tuple[float, float, float]], colour: Colour, glow: float = 0.0,
        convex: bool = True,
    ) -> None:  # fmt: skip
        self.panels.append(Face(self.points(corners), colour, glow, convex))

    def body(self, shape: Shape, colour: Colour, sunlit: float) -> None:
        camera = self.canvas.camera
        eye = (self.direction * (camera.z - self.z), camera.y)
        profile = shape.profile
        panels = []
        for (rear, low, kind), (front, high, _) in pairwise(profile):
            normal = (low - high, front - rear)  # outward: the profile runs clockwise
            facing = normal[0] * (eye[0] - rear) + normal[1] * (eye[1] - low)
            if facing > 0:
                distance = -abs((rear + front) / 2 - eye[0])
                panels.append((distance, (rear, low), (front, high), kind))
        self.side(shape, colour, sunlit)
        for _, start, end, kind in sorted(panels):
            widths = [self.width_at(shape, height) for height in (start[1], end[1])]
            corners = [
                (*start, widths[0]), (*end, widths[1]), (*end, -widths[1]), (*start, -widths[0])
            ]  # fmt: skip
            self.panel(corners, self.finish(kind, colour, sunlit))
            if kind == "glass" and self.detailed:  # the sky mirrors in the upper half
                middle = tuple((a + b) / 2 for a, b in zip(start, end, strict=True))
                upper = end if end[1] > start[1] else start
                inner, outer = self.width_at(shape, middle[1]) * 0.86, widths[0] * 0.86
                outer = self.width_at(shape, upper[1]) * 0.86
                corners = [(middle[0], middle[1], inner), (*upper, outer), (*upper, -outer),
                           (middle[0], middle[1], -inner)]  # fmt: skip
                self.panel(corners, shade(self.vehicle.glass, 1.0 + 1.3 * sunlit, -7))
            elif kind in ("tail", "nose"):
                self.lamps(start, end, min(widths), kind)

    def width_at(self, shape: Shape, height: float) -> float:
        return shape.half_width * (shape.inset if height > shape.belt + 0.1 else 1.0)

    def finish(self, kind: str, colour: Colour, sunlit: float) -> Colour:
        warm = self.vehicle.engine_heat - colour[3]
        if kind == "glass":
            return self.vehicle.glass
        if kind == "bumper":
            return shade(colour, 0.55, warm * 0.35)
        if kind == "bonnet":
            return shade(colour, 1 + 0.12 * sunlit, warm)
        if kind == "nose":
            return shade(colour, 0.85, warm * 1.1)
        if kind == "roof":
            return shade(colour, 1 + 0.2 * sunlit, -10 * (1 - sunlit))
        return shade(colour, 0.9)

    def side(self, shape: Shape, colour: Colour, sunlit: float) -> None:
        camera = self.canvas.camera
        offset = -self.direction * (camera.x - self.x)  # ours, in the vehicle's leftward axis
        for sign in (1.0, -1.0):
            if sign * offset < shape.half_width:
                continue
            lower = [(f, u, sign * shape.half_width) for f, u, _ in shape.profile
                     if u <= shape.belt + 0.1]  # fmt: skip
            shadow = 1.0 - 0.22 * sunlit * (sign * self.direction > 0)
            self.panel(lower, shade(colour, 0.82 * shadow), convex=False)
            upper = [corner for corner in lower if corner[1] > 0.55]
            if len(upper) > 2 and shape.belt < 9 and self.detailed:
                self.panel(upper, shade(colour, 0.98 * shadow), convex=False)
            roof = [(f, u, sign * shape.half_width * (shape.inset if u > shape.belt + 0.1 else 1))
                    for f, u, _ in shape.profile if u > shape.belt - 0.16]  # fmt: skip
            if shape.belt < 9:
                self.panel(roof, shade(colour, 0.95 * shadow), convex=False)
            for rear, front, low, high in shape.windows:
                low_width = sign * (shape.half_width * (0.97 if shape.belt < 9 else 1.0))
                high_width = sign * shape.half_width * shape.inset
                slope = 0.22 if shape.belt < 9 and front > 0.3 else 0.0
                corners = [(rear, low, low_width), (rear, high, high_width),
                           (front - slope, high, high_width), (front, low, low_width)]  # fmt: skip
                self.panel(corners, self.vehicle.glass)
            if self.detailed:
                self.wheels(shape, sign * (shape.half_width + 0.01))

    def wheels(self, shape: Shape, across: float) -> None:
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        radius = shape.wheel_radius
        for forward in shape.wheels:
            for size, grey, warmer in ((1.0, 24, 0), (0.6, 105, 14)):
                corners = [
                    (forward + size * radius * float(np.cos(a)),
                     radius + size * radius * float(np.sin(a)), across)
                    for a in turn
                ]  # fmt: skip
                heat = self.vehicle.tyre_heat + (warmer if self.vehicle.running else 0)
                self.panel(corners, (grey, grey, grey + 1, heat))

    def lamps(
        self, start: tuple[float, float], end: tuple[float, float], width: float, kind: str
    ) -> None:
        vehicle, canvas = self.vehicle, self.canvas
        big = vehicle.label != CAR
        if big and (end[1] < 0.9 or min(start[1], end[1]) > 1.2) and kind == "tail":
            return
        if big and kind == "nose" and min(start[1], end[1]) > 1.2:
            return
        span = (0.25, 0.85) if not big else (0.1, 0.35)
        low, high = ((start[0] + (end[0] - start[0]) * share,
                      start[1] + (end[1] - start[1]) * share) for share in span)  # fmt: skip
        lit = vehicle.lights
        if kind == "tail":
            colour: Colour = (35, 30, 170, vehicle.engine_heat * 0.3 + 40)
            glow, strength, radius = 75.0, (8.0, 8.0, 120.0), 0.09
        else:
            colour = (225, 230, 232, vehicle.engine_heat * 0.5 + 50)
            glow, strength, radius = 255.0, (470.0, 500.0, 510.0), 0.14
        if lit and kind == "nose":
            colour = (255, 255, 255, colour[3] + 25)
        for sign in (1.0, -1.0):
            inner, outer = sign * width * 0.58, sign * width * 0.94
            self.panel([(*low, outer), (*high, outer), (*high, inner), (*low, inner)], colour,
                       glow if lit else 0.0)  # fmt: skip
            if lit:
                middle = self.points([((low[0] + high[0]) / 2, (low[1] + high[1]) / 2,
                                       (inner + outer) / 2)])[0]  # fmt: skip
                canvas.add_lamp(middle, radius, strength)
        if not self.detailed:
            return
        plate = -0.02 if kind == "tail" else 0.02
        middle_up = start[1] + (end[1] - start[1]) * (0.35 if kind == "tail" else 0.85)
        forward = (start[0] + end[0]) / 2 + plate
        self.panel([(forward, middle_up - 0.06, 0.26), (forward, middle_up + 0.06, 0.26),
                    (forward, middle_up + 0.06, -0.26), (forward, middle_up - 0.06, -0.26)],
                   (215, 220, 220, vehicle.engine_heat * 0.2 + 60))  # fmt: skip

    def underside(self, road: Colour) -> None:
        """Dark, warm road under the car, and what is seen of the tyres and the exhaust."""
        vehicle = self.vehicle
        length, width = vehicle.half_length, vehicle.half_width
        corners = [(-length, 0.01, width), (length, 0.01, width), (length, 0.01, -width),
                   (-length, 0.01, -width)]  # fmt: skip
        warm = 22.0 if vehicle.running else -8.0
        under = Face(self.points(corners), shade(road, 0.35, warm), labelled=False)
        self.panels.append(under)
        ends = (-length + 0.35, length - 0.45)
        rear_seen = (self.z > self.canvas.camera.z) == (self.direction > 0)
        forward = ends[0] if rear_seen else ends[1]
        for sign in (1.0, -1.0):
            inner, outer = sign * (width - 0.26), sign * (width - 0.03)
            self.panel([(forward, 0.0, outer), (forward, 0.36, outer), (forward, 0.36, inner),
                        (forward, 0.0, inner)], (24, 24, 25, vehicle.tyre_heat))  # fmt: skip

    def exhaust(self) -> None:
        if not self.vehicle.running or self.direction < 0:
            return
        forward = -self.vehicle.half_length
        across, up = self.vehicle.half_width * 0.6, 0.31
        box = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        corners = [(forward, up + 0.06 * a, across + 0.07 * b) for a, b in box]
        self.panel(corners, (40, 40, 42, self.vehicle.exhaust_heat))


def paint_vehicle(
    canvas: Canvas,
    vehicle: Vehicle,
    place: tuple[float, float],
    direction: float,
    sunlit: float,
    road: Colour,
) -> None:
    """A vehicle at (x, z) metres, driving along the street (direction 1) or against it (-1)."""
    painter = _Painter(canvas, vehicle, place, direction)
    if place[1] + vehicle.half_length < canvas.camera.z + NEAR:
        return
    if vehicle.label != CAR:  # what lies in shadow behind a high side must not darken it
        length, width = vehicle.half_length, vehicle.half_width
        near = np.copysign(width, direction * (place[0] - canvas.camera.x))
        end = -length * direction
        side = [
            (-length, 0.2, near),
            (-length, 3.0, near),
            (length, 3.0, near),
            (length, 0.2, near),
        ]
        back = [(end, 0.2, width), (end, 3.0, width), (end, 3.0, -width), (end, 0.2, -width)]
        for corners in (side, back):
            canvas.light_up(painter.points(corners), canvas.ambient)
    canvas.cast_shadow(*place, vehicle.half_width + 0.25, vehicle.half_length + 0.25)
    painter.underside(road)
    ordered = list(zip(vehicle.shapes, vehicle.colours, strict=True))
    for shape, colour in ordered if direction < 0 else reversed(ordered):
        painter.body(shape, colour, sunlit)
    painter.exhaust()
    canvas.faces(painter.panels, vehicle.label)
