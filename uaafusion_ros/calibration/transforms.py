"""Homographies between images of other sizes. Pixel centres lie at whole numbers, as in OpenCV."""

from __future__ import annotations

import cv2
import numpy as np


def scaling(horizontal: float, vertical: float | None = None) -> np.ndarray:
    """Pixel of an image to that of the same image resized by these factors, [3,3]."""
    vertical = horizontal if vertical is None else vertical
    return np.array(
        [
            [horizontal, 0, (horizontal - 1) / 2],
            [0, vertical, (vertical - 1) / 2],
            [0, 0, 1],
        ]
    )


def moved(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where [N,2] points go, float64 [N,2]."""
    points = np.asarray(points, np.float64).reshape(-1, 1, 2)
    return cv2.perspectiveTransform(points, homography).reshape(-1, 2)


def corners(width: int, height: int) -> np.ndarray:
    """Centres of the corner pixels, [4,2], around the image."""
    right, bottom = width - 1.0, height - 1.0
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]])


def normalised(homography: np.ndarray) -> np.ndarray:
    """The same homography with 1 in its last place."""
    return homography / homography[2, 2]


def disagreement(
    one: np.ndarray, other: np.ndarray, infrared: tuple[int, int], visible: tuple[int, int]
) -> np.ndarray:
    """Distances, in visible pixels, of where two homographies put points of the infrared image.

    Args:
        infrared, visible: width and height; points that fall outside the visible image under
            ``one`` do not count.
    """
    columns, rows = np.meshgrid(
        np.linspace(0, infrared[0] - 1, 25), np.linspace(0, infrared[1] - 1, 19)
    )
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    first, second = moved(one, points), moved(other, points)
    inside = (first >= 0).all(axis=1) & (first < visible).all(axis=1)
    return np.hypot(*(first - second)[inside].T)


def spread(count: int, most: int) -> list[int]:
    """Indices of up to ``most`` of ``count`` things, evenly spread."""
    return sorted({round(index) for index in np.linspace(0, count - 1, min(count, most))})
