"""A picture to judge a calibration by: infrared edges on the visible image, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from uaafusion_ros.inference.registration import register

ROWS = 4
WIDTH = 480
ORANGE = (0, 140, 255)  # BGR, as the attribution overlay marks infrared
_STRONG = 88.0
"""Percentile of the gradient from which on an infrared edge is drawn."""

_SQUARES = 6


def judgement_picture(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], homography: np.ndarray
) -> np.ndarray:
    """BGR uint8: for some pairs side by side infrared edges where the image is only resized, where
    it is registered, and both images as squares in turn.

    Args:
        pairs: luminance [H,W] float32 in 0..1.
        homography: infrared to visible pixel, [3,3].
    """
    rows = [_captions()]
    step = max(1, len(pairs) // ROWS)
    for infrared, visible in pairs[::step][:ROWS]:
        resized = register(infrared, visible, None)
        registered = register(infrared, visible, tuple(homography.ravel()))
        inside = cv2.warpPerspective(np.ones_like(infrared), homography, visible.shape[::-1])
        panels = (
            _edges_on(visible, resized, np.ones_like(visible)),
            _edges_on(visible, registered, inside),
            _squares(visible, registered),
        )
        rows.append(np.hstack([_shrunk(panel) for panel in panels]))
    return np.vstack(rows)


def _edges_on(visible: np.ndarray, infrared: np.ndarray, inside: np.ndarray) -> np.ndarray:
    image = cv2.GaussianBlur(infrared, (0, 0), 1.5)
    strength = cv2.magnitude(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1))
    seen = cv2.erode((inside > 0.99).astype(np.uint8), np.ones((9, 9)), borderValue=1) > 0
    picture = _grey(visible)
    if seen.any():
        strong = seen & (strength > np.percentile(strength[seen], _STRONG))
        picture[strong] = (0.3 * picture[strong] + 0.7 * np.array(ORANGE)).astype(np.uint8)
    contour, _ = cv2.findContours(
        (inside > 0.99).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    cv2.drawContours(picture, contour, -1, (255, 255, 255), 1)
    return picture


def _squares(visible: np.ndarray, infrared: np.ndarray) -> np.ndarray:
    height, width = visible.shape
    rows = np.arange(height)[:, None] * _SQUARES // height
    columns = np.arange(width)[None] * (_SQUARES * width // height) // width
    return np.where(((rows + columns) % 2)[..., None] > 0, _grey(infrared), _grey(visible))


def _captions() -> np.ndarray:
    strip = np.zeros((28, 3 * WIDTH, 3), np.uint8)
    captions = ("infrared edges, resized only", "infrared edges, registered", "both, in squares")
    for index, text in enumerate(captions):
        place = index * WIDTH + 8, 20
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    return strip


def _grey(luminance: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(luminance * 255).astype(np.uint8)[..., None], 3, axis=2)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    return cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
