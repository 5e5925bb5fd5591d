"""Parts of unlabelled pairs whose class somebody knows: certain where pseudo-labels only guess.

A few rectangles a picture, each well inside of what it names, tell a network most of what it gets
wrong. They come as COCO's JSON: `segmentation`, a list of polygons [x, y, x, y, …], or else `bbox`.
What lies between them stays what the network took it for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from uaafusion_ros.training.coco import Marked, read_coco


@dataclass(frozen=True)
class Region:
    """polygons: corners [n,2] int32, x before y, in pixels; all are of class id `label`."""

    label: int
    polygons: tuple[np.ndarray, ...]


MarkedRegions = Marked[Region]


def read_regions(path: str | Path, classes: Sequence[str]) -> MarkedRegions:
    """Read a COCO file of regions; categories that `classes` lack are left out.

    Raises:
        DatasetError: the file cannot be read, is no such JSON, or none of its categories is known.
    """
    return read_coco(path, classes, _region, expected="segmentation or bbox")


def draw_regions(labels: np.ndarray, regions: Sequence[Region]) -> None:
    """Write regions into `labels`, class ids uint8 [H,W], in place; later ones over earlier."""
    for region in regions:
        for polygon in region.polygons:
            cv2.fillPoly(labels, [polygon], region.label)


def _region(entry: dict[str, Any], label: int) -> Region:
    if entry.get("segmentation"):
        return Region(label, tuple(_corners(line) for line in entry["segmentation"]))
    left, top, width, height = (float(value) for value in entry["bbox"])
    right, bottom = left + width - 1, top + height - 1
    return Region(label, (_corners((left, top, right, top, right, bottom, left, bottom)),))


def _corners(line: Sequence[float]) -> np.ndarray:
    corners = np.rint(np.asarray(line, np.float64)).astype(np.int32)
    if corners.ndim != 1 or corners.size % 2 or corners.size < 6:
        raise ValueError(f"a polygon of {corners.size} numbers, expected x and y of 3 corners")
    return corners.reshape(-1, 2)
