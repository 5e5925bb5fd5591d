"""When an exported graph is to judge the sources, and what it keeps of that in between.

The same as mode `fast` does in PyTorch (network/fast.py), without it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from uaafusion_ros.inference.onnx_file import UNKNOWN
from uaafusion_ros.network.modes import THUMBNAIL, FastSettings


class KeptShares:
    """What one stream of frames tells of C classes.

    Args:
        settings: its `every` and `change` count.
    """

    def __init__(self, classes: int, settings: FastSettings) -> None:
        self._classes, self._settings = classes, settings
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._age = 0
        self._size: tuple[int, ...] = ()
        self._thumbnail: np.ndarray | None = None
        self._is_due = True
        self._kept = _unknown(self._classes)

    def for_frame(self, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Return what the graph is to be given as kept for the next frame, [1,3,C].

        All is unknown if the frame is to be judged; a class that enters, the graph sees itself.

        Args:
            infrared, visible: [H,W] in 0..1.
        """
        thumbnail = np.stack([_thumbnail(image) for image in (infrared, visible)])
        if self._is_new(infrared.shape, thumbnail):
            self.reset()
            self._size = infrared.shape
        if self._age % self._settings.every == 0:
            self._thumbnail = thumbnail
            self._is_due = True
        self._age += 1
        return (_unknown(self._classes) if self._is_due else self._kept)[None]

    def take(self, shares: np.ndarray) -> np.ndarray:
        """Keep what the graph answered, [1,3,C]; return what is known now, [3,C].

        A class without a region keeps what it was given before.
        """
        answered = shares[0]
        self._kept = np.where(answered[2] >= 0, answered, self._kept)
        self._is_due = False
        return self._kept

    def state(self) -> dict[str, Any]:
        """What is remembered, of plain values alone."""
        return {
            "age": self._age,
            "size": list(self._size),
            "thumbnail": None if self._thumbnail is None else self._thumbnail.tolist(),
            "is_due": self._is_due,
            "shares": self._kept.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` told."""
        thumbnail = state["thumbnail"]
        self._age, self._size = state["age"], tuple(state["size"])
        self._thumbnail = None if thumbnail is None else np.array(thumbnail, np.float32)
        self._is_due = state["is_due"]
        self._kept = np.array(state["shares"], np.float32)

    def _is_new(self, size: tuple[int, ...], thumbnail: np.ndarray) -> bool:
        if self._thumbnail is None or self._size != size:
            return True
        return bool(np.abs(thumbnail - self._thumbnail).mean() > self._settings.change)


def _unknown(classes: int) -> np.ndarray:
    shares = np.zeros((3, classes), np.float32)
    shares[2] = UNKNOWN
    return shares


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Means over the cells of PyTorch's adaptive pooling, which overlap where sizes don't divide.

    By sums up to each corner, not by a matrix product: numpy's threads would spin on after it, on
    the graph's cores.
    """
    sums = cv2.integral(image, sdepth=cv2.CV_64F)
    (top, bottom), (left, right) = map(_cells, image.shape, THUMBNAIL)
    totals = (
        sums[np.ix_(bottom, right)]
        - sums[np.ix_(top, right)]
        - sums[np.ix_(bottom, left)]
        + sums[np.ix_(top, left)]
    )
    return (totals / np.outer(bottom - top, right - left)).astype(np.float32)


def _cells(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(count)
    return index * size // count, -(-(index + 1) * size // count)
