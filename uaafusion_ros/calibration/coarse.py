"""Scale, rotation and shift of the infrared image, searched over all that a rig may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.calibration.features import edge_features
from uaafusion_ros.calibration.transforms import corners, moved, scaling, spread

SIDE = 160
"""Longer side of the visible image, in pixels, at which the search goes."""

SCALES = tuple(0.34 * 1.09**step for step in range(18))
"""Width of the infrared view as a part of the visible one, 0.34 to 1.47."""

ROTATIONS = (-4.0, 0.0, 4.0)
"""Degrees; what lies between, and 2 beyond, is found by matching blocks afterwards."""

PAIRS = 6
"""Pairs that are looked at; the correlation of each is added to the others'."""

_MARGIN = 0.35
"""How far the infrared image may reach beyond the visible one, as a part of the latter."""

_SMALLEST = 24
"""Least side, in pixels, of an infrared image that is searched."""

_OVERLAP = 0.5
"""Least part of the infrared image that lies within the visible one, or the reverse."""


@dataclass(frozen=True)
class Start:
    """Where the search ended.

    homography: infrared pixel to visible pixel, [3,3], of the images as they were given.
    score: mean correlation there, up to 1. lead: how far the best score of another place, away
    from this one, lies behind, in standard deviations of all scores.
    """

    homography: np.ndarray
    score: float
    lead: float


def search(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Start:
    """The similarity transform under which the edges of all pairs agree best.

    Args:
        pairs: infrared and visible luminance [H,W]; all infrared images are of one size, and all
            visible ones.
    """
    pairs = [pairs[index] for index in spread(len(pairs), PAIRS)]
    infrared_shape, visible_shape = pairs[0][0].shape, pairs[0][1].shape
    shrink = SIDE / max(visible_shape)
    small = round(visible_shape[1] * shrink), round(visible_shape[0] * shrink)
    shrinking = scaling(small[0] / visible_shape[1], small[1] / visible_shape[0])
    visible = [_padded(_centred(edge_features(_resized(image, small)))) for _, image in pairs]
    infrared = [image for image, _ in pairs]
    best: tuple[float, np.ndarray] | None = None
    peaks: list[tuple[float, np.ndarray]] = []
    for scale in SCALES:
        factor = scale * visible_shape[1] * shrink / infrared_shape[1]
        size = round(infrared_shape[1] * factor), round(infrared_shape[0] * factor)
        if min(size) < _SMALLEST:
            continue
        edges = [_centred(edge_features(_resized(image, size))) for image in infrared]
        resizing = scaling(size[0] / infrared_shape[1], size[1] / infrared_shape[0])
        for rotation in ROTATIONS:
            middle = (size[0] - 1) / 2, (size[1] - 1) / 2
            turn = np.vstack([cv2.getRotationMatrix2D(middle, rotation, 1.0), [0, 0, 1]])
            turned = [cv2.warpAffine(image, turn[:2], size) for image in edges]
            score, corner = _best_shift(turned, visible, size, small)
            if corner is None:
                continue
            shift = np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1.0]])
            peaks.append((score, np.linalg.inv(shrinking) @ shift @ turn @ resizing))
            if best is None or score > best[0]:
                best = peaks[-1]
    assert best is not None
    return Start(best[1], best[0], _lead(best, peaks, infrared_shape, visible_shape))


def _best_shift(
    infrared: Sequence[np.ndarray],
    visible: Sequence[np.ndarray],
    size: tuple[int, int],
    visible_size: tuple[int, int],
) -> tuple[float, tuple[float, float] | None]:
    """Best mean correlation over all shifts, and where the upper left corner lies then."""
    columns, rows = visible_size
    left, top = _margins(columns, rows)
    if size[0] > visible[0].shape[1] or size[1] > visible[0].shape[0]:
        return -1.0, None
    surface: np.ndarray | float = 0.0
    for edges, others in zip(infrared, visible, strict=True):
        surface = surface + np.nan_to_num(cv2.matchTemplate(others, edges, cv2.TM_CCORR_NORMED))
    surface = np.asarray(surface) / len(infrared)
    x = np.arange(surface.shape[1]) - left
    y = np.arange(surface.shape[0]) - top
    wide = np.clip(np.minimum(x + size[0], columns) - np.maximum(x, 0), 0, None)
    high = np.clip(np.minimum(y + size[1], rows) - np.maximum(y, 0), 0, None)
    overlap = high[:, None] * wide[None] / min(size[0] * size[1], rows * columns)
    surface = np.where(overlap >= _OVERLAP, surface, -1.0)
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    return float(surface.max()), (float(x[column]), float(y[row]))


def _lead(
    best: tuple[float, np.ndarray],
    peaks: Sequence[tuple[float, np.ndarray]],
    infrared: tuple[int, ...],
    visible: tuple[int, ...],
) -> float:
    where = corners(infrared[1], infrared[0])
    reach = 0.12 * max(visible)
    scores = np.array([score for score, _ in peaks])
    others = [
        score
        for score, homography in peaks
        if np.hypot(*(moved(homography, where) - moved(best[1], where)).T).mean() > reach
    ]
    if not others:
        return 0.0
    return float((best[0] - max(others)) / max(scores.std(), 1e-6))


def _centred(edges: np.ndarray) -> np.ndarray:
    return edges - edges.mean(axis=(0, 1), keepdims=True)


def _padded(edges: np.ndarray) -> np.ndarray:
    left, top = _margins(edges.shape[1], edges.shape[0])
    return cv2.copyMakeBorder(edges, top, top, left, left, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))


def _margins(columns: int, rows: int) -> tuple[int, int]:
    return round(_MARGIN * columns), round(_MARGIN * rows)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
