"""Where blocks of the infrared image lie in the visible one, to a part of a pixel.

The cameras do not move against each other, so a block of the image is displaced alike in every
pair: the correlations of all pairs are added before a peak is looked for. What no single pair
shows stands out of many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.calibration.features import edge_features

_NEAR = 3
"""Pixels around a peak that belong to it."""

_SMALLEST, _LARGEST = 36, 80
"""Sides of blocks, in pixels: smaller ones look alike, larger ones hide perspective."""

_DISTINCT = 0.015
"""By how much a peak must exceed all that is farther from it."""


@dataclass(frozen=True)
class Blocks:
    """Size of the blocks, their distance and how far they are searched, in pixels."""

    side: int
    step: int
    radius: int


def blocks_for(width: float, height: float, radius: int) -> Blocks:
    """Blocks that fit a common view of that size: about a quarter of it, a dozen across."""
    side = int(np.clip(0.25 * min(width, height), _SMALLEST, _LARGEST))
    step = int(np.clip((max(width, height) - side) / 12, 6, 40))
    return Blocks(side, step, radius)


@dataclass(frozen=True)
class Displacements:
    """What was found: centres [N,2] in visible pixels, and by how much each is displaced, [N,2].

    examined: number of blocks that both images cover.
    """

    centres: np.ndarray
    offsets: np.ndarray
    examined: int


class BlockMatcher:
    """Adds up correlations over pairs.

    Args:
        homography: infrared to visible pixel as far as it is known, of images at working size.
        infrared, visible: (height, width) at working size.
        radius: how far blocks are searched, in pixels.
    """

    def __init__(
        self,
        homography: np.ndarray,
        infrared: tuple[int, int],
        visible: tuple[int, int],
        radius: int,
    ) -> None:
        self._homography = homography
        self._size = visible[1], visible[0]
        covered = cv2.warpPerspective(np.ones(infrared, np.uint8), homography, self._size)
        # The rim of the view is no edge of the scene.
        covered = cv2.erode(covered, np.ones((9, 9), np.uint8), borderValue=0)
        _, _, width, height = cv2.boundingRect(covered)
        self._blocks = blocks_for(width, height, radius)
        self._corners = _full_blocks(covered, self._blocks)
        window = 2 * radius + 1
        self._sums = np.zeros((len(self._corners), window, window), np.float64)
        self._counts = np.zeros(len(self._corners))

    def add(self, infrared: np.ndarray, visible: np.ndarray) -> None:
        """Take a pair of luminance images [H,W] at working size."""
        warped = cv2.warpPerspective(
            infrared, self._homography, self._size, borderMode=cv2.BORDER_REPLICATE
        )
        edges, others = edge_features(warped), edge_features(visible)
        side, radius = self._blocks.side, self._blocks.radius
        level = float(edges.std()) * 0.3
        for index, (x, y) in enumerate(self._corners):
            block = np.ascontiguousarray(edges[y : y + side, x : x + side])
            if block.std() < level:
                continue  # nothing to be seen here
            area = others[y - radius : y + side + radius, x - radius : x + side + radius]
            surface = cv2.matchTemplate(np.ascontiguousarray(area), block, cv2.TM_CCOEFF_NORMED)
            self._sums[index] += np.nan_to_num(surface)
            self._counts[index] += 1

    def result(self) -> Displacements:
        """The displacement of every block whose peak is distinct."""
        centres, offsets = [], []
        half = (self._blocks.side - 1) / 2
        for (x, y), surface, count in zip(self._corners, self._sums, self._counts, strict=True):
            offset = _peak(surface / count, self._blocks.radius) if count else None
            if offset is not None:
                centres.append((x + half, y + half))
                offsets.append(offset)
        return Displacements(
            np.array(centres).reshape(-1, 2), np.array(offsets).reshape(-1, 2), len(self._corners)
        )


def combined(matchers: Iterable[BlockMatcher]) -> BlockMatcher:
    """What several matchers of the same blocks have seen together."""
    first, *others = matchers
    whole = BlockMatcher.__new__(BlockMatcher)
    whole.__dict__.update(first.__dict__)
    whole._sums = first._sums + sum(other._sums for other in others)
    whole._counts = first._counts + sum(other._counts for other in others)
    return whole


def _full_blocks(covered: np.ndarray, blocks: Blocks) -> list[tuple[int, int]]:
    """Upper left corners of blocks that lie within both images, search area included."""
    height, width = covered.shape
    integral = cv2.integral(covered)
    side, radius = blocks.side, blocks.radius
    found = []
    for y in range(radius, height - side - radius + 1, blocks.step):
        for x in range(radius, width - side - radius + 1, blocks.step):
            inside = (
                integral[y + side, x + side]
                - integral[y, x + side]
                - integral[y + side, x]
                + integral[y, x]
            )
            if inside >= side * side:
                found.append((x, y))
    return found


def _peak(surface: np.ndarray, radius: int) -> tuple[float, float] | None:
    """The peak's place relative to the centre, to a part of a pixel; None if it is not distinct."""
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    if not (0 < row < 2 * radius and 0 < column < 2 * radius):
        return None
    rows, columns = np.ogrid[: surface.shape[0], : surface.shape[1]]
    far = np.maximum(abs(rows - row), abs(columns - column)) > _NEAR
    if surface[row, column] - surface[far].max(initial=-1.0) < _DISTINCT:
        return None
    dx = _vertex(*surface[row, column - 1 : column + 2])
    dy = _vertex(*surface[row - 1 : row + 2, column])
    return column + dx - radius, row + dy - radius


def _vertex(before: float, at: float, after: float) -> float:
    """Where the parabola through three neighbours has its top."""
    bend = before - 2 * at + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend
