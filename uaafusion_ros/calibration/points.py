"""Points that a person has clicked in both images, instead of edges that a program finds.

# points.yaml: pixels of the images as the cameras deliver them, the first one is 0, 0
infrared_size: [320, 256]
visible_size: [640, 480]
points:
  - {infrared: [12, 40], visible: [101, 98]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from uaafusion_ros.calibration.errors import CalibrationError
from uaafusion_ros.calibration.estimation import Estimate
from uaafusion_ros.calibration.transforms import corners, moved, normalised

MINIMUM = 4
JUDGED_FROM = 6
"""Points from which on a residual says something: four are met exactly by some homography."""

TOLERANCE = 5.0
"""Visible pixels within which a click agrees with the others."""


@dataclass(frozen=True)
class Points:
    """Sizes (width, height) and the points [N,2] of both images."""

    infrared_size: tuple[int, int]
    visible_size: tuple[int, int]
    infrared: np.ndarray
    visible: np.ndarray


def read_points(path: Path) -> Points:
    """Read clicked points.

    Raises:
        CalibrationError: not such a file; says what is wrong with which point.
    """
    try:
        import yaml
    except ImportError as error:
        raise CalibrationError(
            "reading points needs PyYAML: pip install 'uaafusion_ros[calibrate]'"
        ) from error
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("points"), list):
        raise CalibrationError(
            f"{path} has no list 'points', expected infrared_size, visible_size and points, each "
            "{infrared: [x, y], visible: [x, y]}"
        )
    sizes = [_numbers(content, name, path) for name in ("infrared_size", "visible_size")]
    places = [
        [_numbers(point, stream, f"{path}, point {number}") for stream in ("infrared", "visible")]
        for number, point in enumerate(content["points"], 1)
    ]
    if len(places) < MINIMUM:
        raise CalibrationError(f"{path} has {len(places)} points, expected at least {MINIMUM}")
    for number, both in enumerate(places, 1):
        for stream, place, size in zip(("infrared", "visible"), both, sizes, strict=True):
            if not all(0 <= x <= side - 1 for x, side in zip(place, size, strict=True)):
                raise CalibrationError(
                    f"{path}, point {number}: {stream} {list(place)} lies outside the image of "
                    f"{size[0]:.0f}x{size[1]:.0f} pixels"
                )
    points = np.array(places)
    (iw, ih), (vw, vh) = sizes
    return Points((round(iw), round(ih)), (round(vw), round(vh)), points[:, 0], points[:, 1])


def fit_points(points: Points) -> tuple[Estimate, list[int]]:
    """The homography that clicks ask for, and the numbers (from 1) of those that contradict it.

    Raises:
        CalibrationError: the points lie on a line or contradict each other.
    """
    source, target = points.infrared, points.visible
    cv2.setRNGSeed(1)
    robust = len(source) >= JUDGED_FROM
    matrix, mask = cv2.findHomography(
        source, target, method=cv2.RANSAC if robust else 0, ransacReprojThreshold=TOLERANCE
    )
    if matrix is None or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise CalibrationError(
            f"the {len(source)} points determine no homography; no three of the four outermost "
            "may lie on a line"
        )
    distances = np.hypot(*(moved(matrix, source) - target).T)
    agreeing = mask.ravel().astype(bool)
    if agreeing.sum() < max(MINIMUM, len(source) / 2):
        raise CalibrationError(
            f"only {int(agreeing.sum())} of {len(source)} points agree to {TOLERANCE:.0f} pixels; "
            "check that each was clicked at the same thing in both images, x before y"
        )
    hull = cv2.contourArea(cv2.convexHull(source[agreeing].astype(np.float32)))
    area = cv2.contourArea(corners(*points.infrared_size).astype(np.float32))
    estimate = Estimate(
        homography=normalised(matrix),
        residual=float(np.median(distances[agreeing])) if robust else math.nan,
        worst=float(distances[agreeing].max()) if robust else math.nan,
        found=len(source),
        agreeing=int(agreeing.sum()),
        examined=len(source),
        spread=float(hull / area),
        repeatability=None,
        lead=math.nan,
    )
    return estimate, [int(index) + 1 for index in np.flatnonzero(~agreeing)]


def _numbers(values: Any, name: str, where: object) -> tuple[float, float]:
    pair = values.get(name) if isinstance(values, Mapping) else None
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(number, (int, float)) and math.isfinite(number) for number in pair)
    ):
        raise CalibrationError(f"{where}: {name} is {pair!r}, expected two numbers [x, y]")
    return float(pair[0]), float(pair[1])
