"""Brings the infrared image into the visible image's frame, and images to the working size."""

from __future__ import annotations

import cv2
import numpy as np

from uaafusion_ros.inference.settings import MINIMUM_SIDE


def register(
    infrared: np.ndarray, visible: np.ndarray, homography: tuple[float, ...] | None
) -> np.ndarray:
    """Return the infrared luminance at the visible image's size, float32 [H,W].

    Args:
        infrared, visible: luminance float32 in 0..1, of any two sizes.
        homography: 3x3 row by row, infrared pixel to visible pixel; None scales the whole image.
    """
    height, width = visible.shape
    if homography is None:
        return resize(infrared, width, height)
    matrix = np.asarray(homography, np.float64).reshape(3, 3)
    warped = cv2.warpPerspective(infrared, matrix, (width, height))
    covered = cv2.warpPerspective(np.ones_like(infrared), matrix, (width, height))
    # Where the infrared camera does not look, the visible image stands in for it, so that the
    # edge of its view leaves no frame in the fused image.
    return (warped + (1 - covered) * visible).astype(np.float32)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize smoothly: by area when shrinking, bilinearly when growing."""
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    shrinks = width * height < columns * rows
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def resize_labels(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize class ids by nearest neighbour: a mean of two ids is a third class."""
    if labels.shape == (height, width):
        return labels
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)


def working_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return (width, height) with the longer side at most `max_side`; 0 leaves the size."""
    longer = max(width, height)
    if max_side == 0 or longer <= max_side:
        return width, height
    scale = max_side / longer
    return max(MINIMUM_SIDE, round(width * scale)), max(MINIMUM_SIDE, round(height * scale))
