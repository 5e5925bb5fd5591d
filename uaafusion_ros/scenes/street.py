"""A street that an observer drives along, seen by an infrared and a visible camera.

    scene = StreetScene(condition="night", seed=3)
    frame = scene.frame(1.5)      # frame.infrared, frame.visible, frame.labels

Both images and the class labels come from the same geometry, so they are aligned to the pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from uaafusion_ros.scenes import furniture
from uaafusion_ros.scenes.classes import BICYCLE, CLASSES, PALETTE
from uaafusion_ros.scenes.geometry import FAR, Camera, Canvas, Colour, Face
from uaafusion_ros.scenes.houses import house_row, paint_houses
from uaafusion_ros.scenes.layout import LANE, Driver, Layout
from uaafusion_ros.scenes.people import (
    paint_bicycle,
    paint_motorcycle,
    paint_walker,
)
from uaafusion_ros.scenes.photometry import CLIMATES, InfraredCamera, VisibleCamera
from uaafusion_ros.scenes.surroundings import (
    backdrop,
    ground_plane,
    paint_backdrop,
    paint_ground,
)
from uaafusion_ros.scenes.textures import PERIOD
from uaafusion_ros.scenes.vehicles import paint_vehicle

__all__ = ["CLASSES", "PALETTE", "Condition", "StreetFrame", "StreetScene", "street_sequence"]

Condition = Literal["day", "night", "fog"]

MINIMUM_SIDE = 32
BEHIND = 8.0  # metres behind the camera where objects leave the street


@dataclass(frozen=True)
class StreetFrame:
    """One moment: infrared uint8 [H, W], visible uint8 [H, W, 3] BGR, labels uint8 [H, W]."""

    infrared: np.ndarray
    visible: np.ndarray
    labels: np.ndarray


class StreetScene:
    """An endless street, laid out at random from `seed`.

    height, width: pixels, 32 or more; condition: "day", "night" or "fog". Frames depend on the seed
    and their time alone. Raises ValueError for another condition or a smaller size.
    """

    def __init__(
        self,
        height: int = 480,
        width: int = 640,
        condition: Condition = "night",
        seed: int = 0,
    ) -> None:
        if condition not in CLIMATES:
            known = ", ".join(get_args(Condition))
            raise ValueError(f"unknown street condition {condition!r}; choose one of {known}")
        if min(height, width) < MINIMUM_SIDE:
            raise ValueError(
                f"a street of {height}x{width} pixels is too small; "
                f"use at least {MINIMUM_SIDE}x{MINIMUM_SIDE}"
            )
        self.height, self.width, self.condition = int(height), int(width), condition
        self._seed = int(seed) % 2**63
        self._climate = CLIMATES[condition]
        rng = np.random.default_rng(self._seed)
        self._layout = Layout(self.height, self.width, self._climate, rng)
        camera = self._camera(0.0)
        self._backdrop = backdrop(rng, self._climate, condition, camera)
        self._ground = ground_plane(rng, self._climate, self._layout.road_half)
        self._houses = tuple(
            house_row(rng, self._climate, side * self._layout.front_x) for side in (-1, 1)
        )
        self._visible = VisibleCamera(self.height, self.width, camera.horizon, self._climate, rng)
        self._infrared = InfraredCamera(self.height, self.width, self._climate, rng)

    def frame(self, time_seconds: float) -> StreetFrame:
        """What both cameras see at a time in seconds; raises ValueError if it is not finite."""
        if not math.isfinite(time_seconds):
            raise ValueError(f"the time of a frame must be finite, not {time_seconds}")
        canvas = Canvas.blank(self._camera(time_seconds), self._climate.ambient)
        paint_backdrop(canvas, self._backdrop)
        paint_ground(canvas, self._ground, self._layout.road_half)
        self._paint_markings(canvas)
        for row in self._houses:
            paint_houses(canvas, row, self._climate.sunlit)
        if self._climate.ambient < 0.5:  # by day, fog or not, lamps do not brighten the ground
            self._paint_light_pools(canvas, time_seconds)
        things = self._things(canvas, time_seconds)
        for _, paint in sorted(things, key=lambda thing: -thing[0]):
            paint()
        rng = np.random.default_rng((self._seed, round(time_seconds * 1e6) % 2**63))
        return StreetFrame(
            infrared=self._infrared(canvas, rng),
            visible=self._visible(canvas, rng),
            labels=canvas.planes[..., 0].copy(),
        )

    def _camera(self, time: float) -> Camera:
        sway = self.height * (0.004 * math.sin(2.1 * time) + 0.002 * math.sin(7.3 * time))
        return Camera(
            height=self.height,
            width=self.width,
            focal=self._layout.focal,
            centre_u=self.width / 2 + 0.012 * self.width * math.sin(0.5 * time),
            horizon=self._layout.horizon + sway,
            x=LANE / 2 + 0.15 * math.sin(0.4 * time),
            y=self._layout.camera_height,
            z=self._layout.start + self._layout.speed * time,
        )

    @staticmethod
    def _ahead(camera: Camera, z: float) -> float:
        """World z of the copy of a thing that is next to leave the street behind the camera."""
        return camera.z + (z - camera.z + BEHIND) % PERIOD - BEHIND

    # --- painting -----------------------------------------------------------------------------

    def _paint_markings(self, canvas: Canvas) -> None:
        camera, heats = canvas.camera, self._climate.heats
        grey = self._layout.paint_grey
        paint: Colour = (grey, grey + 3, grey + 4, heats["paint"])
        kerb: Colour = (150, 152, 152, heats["sidewalk"] - 5)

        strips: list[Face] = []

        def strip(x: float, half_width: float, begin: float, end: float, colour: Colour) -> None:
            left, right = x - half_width, x + half_width
            points = ((left, 0.0, begin), (right, 0.0, begin), (right, 0.0, end), (left, 0.0, end))
            strips.append(Face(np.array(points), colour))

        first, last = camera.z + 1.0, camera.z + FAR
        for side in (-1, 1):
            strip(side * (self._layout.road_half + 0.08), 0.09, first, last, kerb)
            strip(side * (LANE + 0.1), 0.06, first, last, paint)
        step = 2.6 * self._layout.dash
        dash = math.floor(camera.z / step) * step
        while dash < camera.z + 70:
            if dash + self._layout.dash > first:
                strip(0.0, 0.07, dash, dash + self._layout.dash, paint)
            dash += step
        crossing = self._ahead(camera, self._layout.crossing)
        if crossing > camera.z:
            for x in np.arange(-self._layout.road_half + 0.4, self._layout.road_half - 0.2, 1.0):
                strip(float(x), 0.25, crossing - 1.6, crossing + 1.6, paint)
            strip(LANE / 2, LANE / 2, crossing - 4.0, crossing - 3.6, paint)
        canvas.faces(strips, None)

    def _paint_light_pools(self, canvas: Canvas, time: float) -> None:
        camera, ambient = canvas.camera, self._climate.ambient
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        circle = np.stack((np.cos(turn), np.zeros_like(turn), np.sin(turn)), axis=1)
        places = [(x + reach, self._ahead(camera, z)) for x, z, reach in self._layout.lanterns]
        for radius, light in ((5.2, 0.1), (3.6, 0.2), (2.2, 0.3)):
            for x, z in places:
                if camera.z < z + radius < camera.z + 60:
                    canvas.light_up(np.array((x, 0.0, z)) + circle * radius, ambient + light)
        for driver in self._layout.oncoming:
            z = self._moving(camera, driver, time)
            for length, light in ((14.0, 0.15), (8.0, 0.4), (4.0, 0.8)):
                corners = ((0.8, 2.0), (-0.8, 2.0), (-1.4, length), (1.4, length))
                if camera.z < z < camera.z + 60:
                    patch = [(driver.x + across, 0.0, z - ahead) for across, ahead in corners]
                    canvas.light_up(np.array(patch), ambient + light)

    def _moving(self, camera: Camera, driver: Driver, time: float) -> float:
        return self._ahead(camera, driver.z + driver.speed * time)

    def _things(self, canvas: Canvas, time: float) -> list[tuple[float, Callable[[], None]]]:
        """Everything that stands or moves in the street, each with its z and how to paint it."""
        camera, climate = canvas.camera, self._climate
        things: list[tuple[float, Callable[[], None]]] = []
        road: Colour = (80, 80, 82, climate.heats["road"])

        def add(x: float, z: float, paint: Callable[..., None], *arguments: object) -> None:
            if canvas.in_view(x, z, 6.0):
                things.append((z, lambda: paint(canvas, *arguments)))

        for crown, (x, z), trunk in self._layout.trees:
            z = self._ahead(camera, z)
            add(x, z, furniture.paint_tree, crown, climate, (x, z), trunk)
        for sign, (x, z) in self._layout.signs:
            z = self._ahead(camera, z)
            add(x, z, furniture.paint_sign, sign, climate, (x, z))
        for x, z, reach in self._layout.lanterns:
            z = self._ahead(camera, z)
            add(x, z, furniture.paint_lantern, climate, (x, z), reach)
        cycle = (time + self._layout.state_shift) % 20
        state = 0 if cycle < 8 else 2 if cycle < 17 else 1
        z = self._ahead(camera, self._layout.crossing + 2.4)
        mast = self._layout.road_half + 0.4
        add(0.0, z, furniture.paint_traffic_light, climate, (mast, z), -mast + LANE / 2, state)
        oncoming = self._layout.oncoming
        moving = [(driver, self._moving(camera, driver, time)) for driver in oncoming]
        standing = [(driver, self._ahead(camera, driver.z)) for driver in self._layout.parked]
        gap = self._layout.lead_gap * (1 + 0.25 * math.sin(0.35 * time))
        leading = [(self._layout.leader, camera.z + gap)] if self._layout.leader else []
        for driver, z in standing + moving + leading:
            # Long vehicles hide what stands beside them: the nearer end decides.
            place, near_end = (driver.x, z), z - driver.vehicle.half_length
            direction = math.copysign(1.0, driver.x)
            add(driver.x, near_end, paint_vehicle, driver.vehicle, place, direction,
                climate.sunlit, road)  # fmt: skip
        if self._layout.lead_motorcycle:
            z = camera.z + gap
            place3 = (LANE / 2 + 0.3, 0.0, z)
            looks, colour = self._layout.riders[2], self._layout.frame_colour
            add(0.0, z, paint_motorcycle, climate, looks, colour, place3, 0.0)
        riders = zip(self._layout.cyclists, self._layout.riders, strict=False)
        for (x, start, speed), looks in riders:
            z = self._ahead(camera, start + speed * time)
            heading = 0.0 if speed > 0 else math.pi
            ridden = abs(speed) * time
            add(x, z, paint_bicycle, looks, self._layout.frame_colour, (x, 0.0, z), heading, ridden)
        colour = self._layout.frame_colour
        for x, z, heading, vehicle in self._layout.racks:
            place3 = (x, 0.0, self._ahead(camera, z))
            if vehicle == BICYCLE:
                add(x, place3[2], paint_bicycle, None, colour, place3, heading, 0.0)
            else:
                add(x, place3[2], paint_motorcycle, climate, None, colour, place3, heading)
        self._add_people(camera, time, add)
        return things

    def _add_people(self, camera: Camera, time: float, add: Callable[..., None]) -> None:
        for walker in self._layout.walkers:
            z = self._ahead(camera, walker.z + walker.speed * time)
            heading = 0.0 if walker.speed > 0 else math.pi
            walked = walker.starts + abs(walker.speed) * time
            swing = 1.0 if walker.speed else 0.05
            add(walker.x, z, paint_walker, walker.looks, (walker.x, 0.0, z), heading, walked, swing)
        crossing = self._ahead(camera, self._layout.crossing)
        seconds_left = (crossing - camera.z) / self._layout.speed
        kerb = self._layout.road_half + 0.9
        for looks, side, offset, speed, spare in self._layout.crossers:
            # Across in time: over the kerb `spare` seconds before we arrive.
            walked = 2 * kerb - speed * (seconds_left - spare)
            x = side * (min(max(walked, 0.0), 2 * kerb) - kerb)
            swing = min(1.0, max(0.05, walked, 0.05), max(0.05, 2 * kerb - walked + 0.05))
            place, heading = (x, 0.0, crossing + offset), side * math.pi / 2
            add(x, place[2], paint_walker, looks, place, heading, walked, swing)


def street_sequence(
    count: int, rate: float, scene: StreetScene, start: float = 0.0
) -> Iterator[tuple[float, StreetFrame]]:
    """`count` frames of a scene at `rate` frames a second, each with its time in seconds."""
    for index in range(count):
        time = start + index / rate
        yield time, scene.frame(time)
