"""A picture of many pairs of a data set beside each other, for a look at what was collected."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np

from uaafusion_ros.inference.render import mask_overlay
from uaafusion_ros.training.dataset_files import ClassList, Moment
from uaafusion_ros.training.datasets import INFRARED, LABELS, VISIBLE

TILE = (200, 150)
"""Width and height of an image on the sheet."""

COLUMNS = 2
_TEXT_HEIGHT, _GROUND = 18, 30
_PLAIN, _RED = (200, 200, 200), (60, 60, 255)


def moment_picture(
    moment: Moment, title: str, classes: ClassList, kinds: Collection[str]
) -> np.ndarray:
    """The images of some kinds side by side, BGR uint8; framed in red where something is wrong.

    Labels are laid over the visible image.
    """
    images: dict[str, np.ndarray | None] = {
        VISIBLE: None if moment.visible is None else _bgr(moment.visible),
        INFRARED: None if moment.infrared is None else _bgr(moment.infrared),
        LABELS: None,
    }
    below, labels = images[VISIBLE], moment.labels
    if below is not None and labels is not None and labels.shape == below.shape[:2]:
        images[LABELS] = mask_overlay(below, labels, _palette(classes), opacity=0.6)
    row = np.hstack([_tile(image) for kind, image in images.items() if kind in kinds])
    wrong = ", ".join(dict.fromkeys(problem.kind for problem in moment.problems))
    colour = _RED if wrong else _PLAIN
    if wrong:
        cv2.rectangle(row, (0, 0), (row.shape[1] - 1, row.shape[0] - 1), _RED, 3)
    text = np.full((_TEXT_HEIGHT, row.shape[1], 3), _GROUND, np.uint8)
    caption = f"{title}  {wrong}"
    cv2.putText(text, caption, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    return np.vstack((row, text))


def contact_sheet(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of `moment_picture` of equal kinds in two columns, BGR uint8."""
    if not pictures:
        return np.full((TILE[1], TILE[0], 3), _GROUND, np.uint8)
    pictures = pictures + [np.full_like(pictures[0], _GROUND)] * (-len(pictures) % COLUMNS)
    rows = [np.hstack(pictures[i : i + COLUMNS]) for i in range(0, len(pictures), COLUMNS)]
    return np.vstack(rows)


def _tile(image: np.ndarray | None) -> np.ndarray:
    width, height = TILE
    tile = np.full((height, width, 3), _GROUND, np.uint8)
    if image is None:
        return tile
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def _bgr(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        image = cv2.normalize(image, np.empty(0), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def _palette(classes: ClassList) -> list[tuple[int, int, int]]:
    """The data set's colours, or for lack of them hues that differ between neighbouring ids."""
    if classes.palette:
        return list(classes.palette)
    hues = np.array([[[(number * 67) % 180, 200, 230] for number in range(255)]], np.uint8)
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)[0]
    return [(int(red), int(green), int(blue)) for red, green, blue in colours]
