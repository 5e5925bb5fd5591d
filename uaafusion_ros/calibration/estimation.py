"""The homography of a rig from many pairs: coarse search, block matching, robust fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from uaafusion_ros.calibration.coarse import search
from uaafusion_ros.calibration.errors import CalibrationError
from uaafusion_ros.calibration.matching import (
    BlockMatcher,
    Displacements,
    combined,
)
from uaafusion_ros.calibration.transforms import disagreement, moved, normalised, scaling

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class _Stage:
    side: int
    """Longer side of the visible image, in pixels, at which blocks are matched."""

    radius: int
    """How far blocks are searched, in pixels at that size."""

    model: str
    tolerance: float
    """Distance from the fit, in pixels at that size, up to which a block belongs to it."""


STAGES = (
    _Stage(256, radius=14, model="similarity", tolerance=5.0),
    _Stage(320, radius=10, model="affine", tolerance=3.0),
    _Stage(480, radius=10, model="homography", tolerance=2.5),
    _Stage(640, radius=5, model="homography", tolerance=2.0),
)
FIT_MINIMUM = {"similarity": 4, "affine": 6, "homography": 8}


@dataclass(frozen=True)
class Estimate:
    """A homography and what it rests on; distances in pixels of the visible image.

    homography: infrared to visible pixel, [3,3], 1 in the last place.
    residual: median distance of the blocks (or clicked points) that agree from where it puts them.
    worst: 95th percentile of the same.
    found, agreeing, examined: blocks with a distinct peak, of them those that the fit explains,
        and all that both images cover.
    spread: part of the common view that the agreeing blocks span, 0..1.
    repeatability: median distance between the homographies of every second pair and of the rest;
        None for one pair.
    lead: of the coarse search, see `coarse.Start`.
    """

    homography: np.ndarray
    residual: float
    worst: float
    found: int
    agreeing: int
    examined: int
    spread: float
    repeatability: float | None
    lead: float


def estimate(pairs: Pairs) -> Estimate:
    """Where infrared pixels lie in the visible image.

    Args:
        pairs: infrared and visible luminance [H,W]; the sizes are the same in all pairs.

    Raises:
        CalibrationError: the pairs have too little in common; says what to do.
    """
    start = search(pairs)
    homography = start.homography
    for stage in STAGES[:-1]:
        homography = _refined(pairs, homography, stage)[0]
    return _judged(pairs, homography, STAGES[-1], start.lead)


def _judged(pairs: Pairs, homography: np.ndarray, stage: _Stage, lead: float) -> Estimate:
    (infrared_height, infrared_width), (height, width) = pairs[0][0].shape, pairs[0][1].shape
    halves = _matched(pairs, homography, stage)
    whole, found, inliers, distances = _fitted(combined(halves).result(), homography, pairs, stage)
    scale = max(height, width) / _side(pairs, stage)
    repeatability = None
    if len(pairs) > 1:
        try:
            one, other = (_fitted(half.result(), homography, pairs, stage)[0] for half in halves)
            gaps = disagreement(one, other, (infrared_width, infrared_height), (width, height))
            repeatability = float(np.median(gaps)) if len(gaps) else float("inf")
        except CalibrationError:
            repeatability = float("inf")
    return Estimate(
        homography=normalised(whole),
        residual=float(np.median(distances[inliers])) * scale,
        worst=float(np.percentile(distances[inliers], 95)) * scale,
        found=len(found.centres),
        agreeing=int(inliers.sum()),
        examined=found.examined,
        spread=_spread(found.centres[inliers] * scale, whole, pairs),
        repeatability=repeatability,
        lead=lead,
    )


def _refined(
    pairs: Pairs, homography: np.ndarray, stage: _Stage
) -> tuple[np.ndarray, Displacements, np.ndarray, np.ndarray]:
    found = combined(_matched(pairs, homography, stage)).result()
    return _fitted(found, homography, pairs, stage)


def _matched(pairs: Pairs, homography: np.ndarray, stage: _Stage) -> list[BlockMatcher]:
    """Correlations of every second pair and of the others."""
    shrink = _side(pairs, stage) / max(pairs[0][1].shape)
    visible_size = tuple(round(side * shrink) for side in pairs[0][1].shape[::-1])
    # An infrared image that is much finer than the working size would alias.
    fine = np.sqrt(abs(np.linalg.det(homography[:2, :2]))) * shrink
    pre = min(1.0, fine) if fine > 0 else 1.0
    infrared_size = tuple(max(1, round(side * pre)) for side in pairs[0][0].shape[::-1])
    to_small = scaling(
        infrared_size[0] / pairs[0][0].shape[1], infrared_size[1] / pairs[0][0].shape[0]
    )
    working = (
        scaling(visible_size[0] / pairs[0][1].shape[1], visible_size[1] / pairs[0][1].shape[0])
        @ homography
        @ np.linalg.inv(to_small)
    )
    matchers = [
        BlockMatcher(working, infrared_size[::-1], visible_size[::-1], stage.radius)
        for _ in range(2)
    ]
    for index, (infrared, visible) in enumerate(pairs):
        matchers[index % 2].add(
            cv2.resize(infrared, infrared_size, interpolation=cv2.INTER_AREA),
            cv2.resize(visible, visible_size, interpolation=cv2.INTER_AREA),
        )
    return matchers


def _fitted(
    found: Displacements, homography: np.ndarray, pairs: Pairs, stage: _Stage
) -> tuple[np.ndarray, Displacements, np.ndarray, np.ndarray]:
    """The homography corrected by the displacements; which of them agree, and their distances."""
    least = FIT_MINIMUM[stage.model]
    correction, inliers = _correction(found, stage) if len(found.centres) >= least else (None, None)
    if correction is None or inliers is None or inliers.sum() < least:
        raise CalibrationError(
            f"only {len(found.centres)} of {found.examined} places show the same edges in both "
            "images, too few to place one on the other; record scenes with edges that both "
            "cameras see (houses, people, vehicles by day), or click points (--points)"
        )
    height, width = pairs[0][1].shape
    shrink = _side(pairs, stage) / max(height, width)
    working = scaling(round(width * shrink) / width, round(height * shrink) / height)
    distances = np.hypot(*(moved(correction, found.centres) - found.centres - found.offsets).T)
    return np.linalg.inv(working) @ correction @ working @ homography, found, inliers, distances


def _correction(found: Displacements, stage: _Stage) -> tuple[np.ndarray | None, np.ndarray | None]:
    source, target = found.centres, found.centres + found.offsets
    options: dict[str, Any] = {
        "ransacReprojThreshold": stage.tolerance,
        "maxIters": 5000,
        "confidence": 0.999,
    }
    cv2.setRNGSeed(1)  # the same pairs give the same homography
    if stage.model == "homography":
        matrix, mask = cv2.findHomography(source, target, method=cv2.RANSAC, **options)
    else:
        fit = cv2.estimateAffine2D if stage.model == "affine" else cv2.estimateAffinePartial2D
        matrix, mask = fit(source, target, method=cv2.RANSAC, **options)
        matrix = None if matrix is None else np.vstack([matrix, [0, 0, 1]])
    return matrix, None if mask is None else mask.ravel().astype(bool)


def _side(pairs: Pairs, stage: _Stage) -> float:
    return min(stage.side, max(pairs[0][1].shape))


def _spread(points: np.ndarray, homography: np.ndarray, pairs: Pairs) -> float:
    """Area that the points span as a part of the view that both cameras have."""
    height, width = pairs[0][1].shape
    covered = cv2.warpPerspective(np.ones(pairs[0][0].shape, np.uint8), homography, (width, height))
    area = cv2.contourArea(cv2.convexHull(points.astype(np.float32)))
    return min(1.0, float(area / max(1, int(covered.sum()))))
