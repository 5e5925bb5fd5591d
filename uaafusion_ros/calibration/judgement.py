"""Whether a homography is to be trusted, in words."""

from __future__ import annotations

import math

import numpy as np

from uaafusion_ros.calibration.estimation import Estimate
from uaafusion_ros.calibration.transforms import corners, moved

RESIDUAL = 2.0
"""Visible pixels, for images of up to `SIDE`; larger ones in proportion."""

REPEATABILITY = 2.0
"""Visible pixels between the homographies of the two halves of the pairs, likewise."""

SIDE = 640
AGREEING = 0.5
"""Least part of the blocks with a distinct peak that the homography explains."""

FOUND = 0.15
"""Least part of the blocks that have a distinct peak."""

PLACES = 16
SPREAD = 0.12
PAIRS = 5
SCALE = 25.0
"""Largest area of the visible image that an infrared pixel may cover, and the reverse."""


def doubts(
    estimate: Estimate, infrared: tuple[int, int], visible: tuple[int, int], pairs: int | None
) -> list[str]:
    """Why an estimate is not to be trusted; empty if it is.

    Args:
        infrared, visible: width and height.
        pairs: number of pairs; None for clicked points.
    """
    unit = max(1.0, max(visible) / SIDE)
    found = []
    if not plausible(estimate.homography, infrared, visible):
        found.append("it mirrors the image, turns it over or folds it; the match is wrong")
    if estimate.residual > RESIDUAL * unit:
        found.append(f"the residual is {estimate.residual:.1f} px, expected {RESIDUAL * unit:.1f}")
    if pairs is None:
        if math.isnan(estimate.residual):
            found.append(
                f"{estimate.found} points are met exactly whatever was clicked; click 6 or more"
            )
        if estimate.spread < SPREAD:
            found.append("the points lie close together; click some near the corners")
        return found
    if estimate.repeatability is not None and estimate.repeatability > REPEATABILITY * unit:
        found.append(
            f"one half of the pairs says otherwise than the other, by "
            f"{estimate.repeatability:.1f} px; record more scenes, at rest, with edges that both "
            "cameras see"
        )
    if estimate.agreeing < max(PLACES, AGREEING * estimate.found):
        found.append(
            f"only {estimate.agreeing} of {estimate.found} matched places agree with each other; "
            "near things that the two cameras see from different sides do not"
        )
    if estimate.found < FOUND * estimate.examined:
        found.append(
            f"only {estimate.found} of {estimate.examined} places show the same edges in both; "
            "record scenes with houses, vehicles and people"
        )
    if estimate.spread < SPREAD:
        found.append(
            f"matched places span {estimate.spread:.0%} of the common view; record scenes with "
            "edges all over the image"
        )
    return found


def cautions(pairs: int | None) -> list[str]:
    """What does not make it wrong but less sure."""
    if pairs is not None and pairs < PAIRS:
        return [f"{pairs} pairs are few; {PAIRS} or more, of different scenes, are better"]
    return []


def plausible(homography: np.ndarray, infrared: tuple[int, int], visible: tuple[int, int]) -> bool:
    """Whether it takes the infrared image to an upright convex figure of sensible size."""
    square = corners(*infrared)
    if (np.column_stack([square, np.ones(4)]) @ homography[2] <= 1e-6).any():
        return False
    figure = moved(homography, square)
    sides = np.roll(figure, -1, axis=0) - figure
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    upright = sides[0, 0] > 0 and sides[1, 1] > 0
    (x, y) = figure.T
    area = 0.5 * abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))
    ratio = area / (visible[0] * visible[1])
    return bool((turns > 0).all() and upright and 1 / SCALE < ratio < SCALE)
