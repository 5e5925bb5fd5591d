"""Objects that somebody marked by boxes in unlabelled pairs, and the pixels these stand for.

Boxes are quick to draw and most labelling tools write them, as COCO's object detection JSON: bbox
is [left, top, width, height]; iscrowd is 1 for a region with more than can be told apart. Images
that the file lists have been looked at: what it does not mark in them is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from uaafusion_ros.training.coco import Marked, read_coco

#: Shares of its box that a warm object takes.
_PLAUSIBLE_SHARE = (0.2, 0.9)
#: How many times larger the warm share of the box is than that of its surroundings.
_CONTRAST = 2.0


@dataclass(frozen=True)
class Box:
    """Pixels `left` to `right` and `top` to `bottom`, ends excluded, of class id `label`."""

    label: int
    left: int
    top: int
    right: int
    bottom: int
    crowd: bool


MarkedObjects = Marked[Box]


def read_boxes(path: str | Path, classes: Sequence[str]) -> MarkedObjects:
    """Read a COCO file of boxes; categories that `classes` lack are left out.

    Raises:
        DatasetError: the file cannot be read, is no such JSON, or none of its categories is known.
    """
    return read_coco(path, classes, _box, expected="bbox")


def _box(entry: dict[str, Any], label: int) -> Box:
    left, top, width, height = (round(float(value)) for value in entry["bbox"])
    return Box(label, left, top, left + width, top + height, bool(entry.get("iscrowd", 0)))


def scores_without(scores_CHW: np.ndarray, objects: MarkedObjects, stem: str) -> np.ndarray:
    """Where no box allows a class that was looked for, share its score out among the others.

    Args:
        scores_CHW: class scores in 0..1 that sum to 1 at every pixel, float32 [C,H,W].
    """
    if stem not in objects.shapes:
        return scores_CHW
    scores = scores_CHW.copy()
    for label in objects.labels:
        absent = np.ones(scores.shape[1:], bool)
        for box in objects.shapes[stem]:
            if box.label == label:
                absent[box.top : box.bottom, box.left : box.right] = False
        scores[label][absent] = 0
    return scores / np.maximum(scores.sum(axis=0, keepdims=True), 1e-6)


def draw_objects(labels: np.ndarray, infrared: np.ndarray, boxes: Sequence[Box]) -> None:
    """Cut the marked objects out of the infrared image and write them into `labels`, in place.

    Where the object stands out by its warmth, its warm pixels are taken. Elsewhere only its middle
    is, and the rest of the box is left out (0). So it is in a crowd's box, where nobody knows how
    far each object reaches: there only what the network already took for the class stays.

    Args:
        labels: class ids uint8 [H,W]. infrared: uint8 [H,W].
    """
    for box in boxes:
        inside = labels[box.top : box.bottom, box.left : box.right]
        if box.crowd:
            inside[inside != box.label] = 0
            continue
        middle = _ellipse(*inside.shape)
        warm = _warm(box, infrared)
        if warm is None:
            inside[:] = 0
            inside[middle] = box.label
        else:
            inside[(inside == box.label) | middle] = 0
            inside[warm] = box.label


def _warm(box: Box, infrared: np.ndarray) -> np.ndarray | None:
    """Return which pixels of the box are warm, bool, or None where the object does not stand out.

    The threshold is Otsu's (1979) over the box and its surroundings.
    """
    height, width = box.bottom - box.top, box.right - box.left
    top, left = max(box.top - height // 4, 0), max(box.left - width // 2, 0)
    around = np.ascontiguousarray(
        infrared[top : box.bottom + height // 8, left : box.right + width // 2]
    )
    inner = np.s_[box.top - top : box.top - top + height, box.left - left : box.left - left + width]
    _, warm = cv2.threshold(around, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    inside, total = warm[inner], warm.size - height * width
    share, share_outside = inside.mean(), (warm.sum() - inside.sum()) / max(total, 1)
    least, most = _PLAUSIBLE_SHARE
    if not least < share < most or share < _CONTRAST * share_outside:
        return None
    # A jacket can be as cold as the street; what is warm all around it belongs together.
    side = max(3, min(height, width) // 8) | 1
    return cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)) > 0


def _ellipse(height: int, width: int) -> np.ndarray:
    """The middle of a box, where its object is whatever its shape."""
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    return np.square(y / 0.8)[:, None] + np.square(x / 0.45)[None] < 1
