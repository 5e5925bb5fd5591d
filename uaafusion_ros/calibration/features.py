"""What infrared and visible images of one scene have in common: where edges run, and which way.

Which side of an edge is bright differs from one wavelength to the other, and so does how strong it
is. So the direction is taken without its sign, and the strength relative to its surroundings
(channel features of oriented gradients: Ye et al., "Fast and Robust Matching for Multimodal Remote
Sensing Image Registration", 2019).
"""

from __future__ import annotations

import cv2
import numpy as np

_BLUR = 1.0
"""Standard deviation, in pixels, before gradients are taken; noise has none then."""

_SURROUNDINGS = 12.0
"""Standard deviation of the area to which an edge's strength is compared."""

_SOFT = 1.5
"""Standard deviation of the features: edges of two lenses never lie on each other to the pixel."""

_FLOOR = 0.15
"""Edges below this part of the image's mean edge count for less: noise in flat areas."""


def edge_features(luminance: np.ndarray) -> np.ndarray:
    """Strength of edges of four directions, float32 [H,W,4].

    Args:
        luminance: [H,W] of any type and range.
    """
    image = cv2.GaussianBlur(luminance.astype(np.float32), (0, 0), _BLUR)
    right = cv2.Sobel(image, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1)
    strength = cv2.magnitude(right, down)
    around = cv2.GaussianBlur(strength, (0, 0), _SURROUNDINGS)
    scale = 1 / np.sqrt(strength * (around + _FLOOR * float(strength.mean()) + 1e-6) + 1e-12)
    right, down = right * scale, down * scale
    directions = (right, down, (right + down) * np.sqrt(0.5), (right - down) * np.sqrt(0.5))
    channels = [
        cv2.GaussianBlur(np.abs(direction, dtype=np.float32), (0, 0), _SOFT)
        for direction in directions
    ]
    return cv2.merge(channels)
