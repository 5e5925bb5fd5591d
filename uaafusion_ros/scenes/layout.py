"""Where everything in a street stands, and how fast it moves: drawn once from the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uaafusion_ros.scenes import furniture
from uaafusion_ros.scenes.classes import BICYCLE, BUS, CAR, MOTORCYCLE, TRUCK
from uaafusion_ros.scenes.geometry import Colour
from uaafusion_ros.scenes.people import Looks, random_looks
from uaafusion_ros.scenes.photometry import Climate
from uaafusion_ros.scenes.surroundings import SIDEWALK_WIDTH
from uaafusion_ros.scenes.textures import PERIOD
from uaafusion_ros.scenes.vehicles import Vehicle, random_vehicle

LANE = 3.2  # metres


@dataclass(frozen=True)
class Walker:
    looks: Looks
    x: float
    z: float
    speed: float  # metres a second along the street, negative towards us, 0 stands
    starts: float  # metres walked before time 0, so that not all walk in step


@dataclass(frozen=True)
class Driver:
    vehicle: Vehicle
    x: float
    z: float
    speed: float  # metres a second along the street, negative towards us


class Layout:
    """One street: all positions in metres, along the street modulo its period."""

    def __init__(self, height: int, width: int, climate: Climate, rng: np.random.Generator) -> None:
        self.focal = rng.uniform(0.82, 1.0) * width
        self.camera_height = rng.uniform(1.35, 1.75)
        self.horizon = rng.uniform(0.43, 0.54) * height
        self.speed = rng.uniform(4.5, 8.5)
        self.start = rng.uniform(0, PERIOD)
        parking = bool(rng.random() < 0.75)
        self.road_half = LANE + (2.3 if parking else 0.5)
        self.front_x = self.road_half + SIDEWALK_WIDTH + rng.uniform(0.0, 1.2)
        self.crossing = rng.uniform(0, PERIOD)
        self.dash = rng.uniform(2.5, 4.0)
        self.paint_grey = rng.uniform(185, 225)
        self.state_shift = rng.uniform(0, 20)
        edge = self.road_half
        self.lanterns = [
            (side * (edge + 0.35), (13.0 + 26.0 * index + 13 * (side > 0)) % PERIOD, -side * 1.6)
            for index in range(5)
            for side in (-1, 1)
        ]
        crowns = [furniture.tree_sprite(rng, climate) for _ in range(3)]
        self.trees = [
            (crowns[rng.integers(3)], (side * (edge + 0.7), z), rng.uniform(1.9, 2.6))
            for side in (-1, 1)
            for z in np.arange(rng.uniform(0, 9), PERIOD - 4, rng.uniform(13, 24))
        ]
        signs = [furniture.sign_sprite(rng, climate) for _ in range(4)]
        self.signs = [
            (signs[rng.integers(4)], (side * (edge + 0.45), rng.uniform(0, PERIOD)))
            for side in (1, 1, 1, 1, -1, -1)
        ]
        self.walkers = []
        for index in range(int(rng.integers(12, 19))):
            side = 1 if index % 2 else -1
            speed = 0.0 if rng.random() < 0.15 else rng.choice((-1, 1)) * rng.uniform(0.9, 1.6)
            x, z = side * (edge + rng.uniform(0.7, 3.0)), rng.uniform(0, PERIOD)
            self.walkers.append(Walker(random_looks(rng, climate), x, z, speed, z))
            if rng.random() < 0.3:  # a companion
                beside = x + rng.choice((-1, 1)) * 0.55
                looks = random_looks(rng, climate)
                self.walkers.append(Walker(looks, beside, z + 0.2, speed, z + 0.3))
        self.crossers = [
            (random_looks(rng, climate), rng.choice((-1.0, 1.0)), rng.uniform(-1.4, 1.4),
             rng.uniform(1.0, 1.5), rng.uniform(2.5, 5.0))
            for _ in range(int(rng.integers(2, 6)))
        ]  # fmt: skip
        self._place_traffic(rng, climate, parking)

    def _place_traffic(self, rng: np.random.Generator, climate: Climate, parking: bool) -> None:
        self.parked = []
        if parking:
            for side in (-1, 1):
                z = rng.uniform(0, 6)
                while z < PERIOD - 6:
                    if rng.random() < 0.45 and abs(z - self.crossing) > 7:
                        vehicle = random_vehicle(rng, climate, CAR, running=False)
                        x = side * (self.road_half - 1.15 + rng.uniform(-0.08, 0.08))
                        self.parked.append(Driver(vehicle, x, z, 0.0))
                    z += rng.uniform(5.4, 7.5)
        oncoming = -rng.uniform(6, 12)
        kinds = rng.choice((CAR, CAR, CAR, CAR, TRUCK, BUS), size=4)
        shift = rng.uniform(0, PERIOD)
        self.oncoming = [
            Driver(random_vehicle(rng, climate, int(kind)), -LANE / 2 - rng.uniform(0, 0.2),
                    shift + PERIOD / 4 * index + rng.uniform(-7, 7), oncoming)
            for index, kind in enumerate(kinds)
        ]  # fmt: skip
        leader = rng.choice(("car", "car", "truck", "bus", "motorcycle", "motorcycle", "none"))
        kind = {"car": CAR, "truck": TRUCK, "bus": BUS}.get(str(leader))
        self.leader = kind and Driver(random_vehicle(rng, climate, kind), LANE / 2, 0.0, 0.0)
        self.lead_motorcycle = leader == "motorcycle"
        self.lead_gap = rng.uniform(12, 24) + (8 if leader in ("truck", "bus") else 0)
        self.riders = [random_looks(rng, climate) for _ in range(3)]
        # Parked bicycles (and some motorcycles) across the pavement's edge: x, z, heading, kind.
        self.racks = [
            (side * (self.road_half + 0.9), z + 0.7 * place, side * np.pi / 2, kind)
            for side in (-1, 1)
            for z in rng.uniform(0, PERIOD, 3)
            for kind in [BICYCLE if rng.random() < 0.65 else MOTORCYCLE]
            for place in range(int(rng.integers(1, 4)))
        ]
        blue, green, red = rng.uniform(30, 190, 3)
        self.frame_colour: Colour = (blue, green, red, climate.heats["pole"] + 4.0)
        self.cyclists = [
            (side * (LANE + 0.05), rng.uniform(0, PERIOD), side * rng.uniform(3.5, 5.0))
            for side in (1.0, -1.0)
        ]
