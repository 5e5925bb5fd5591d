"""Intersection over union of class masks, pixel counts summed over all images."""

from __future__ import annotations

import numpy as np

IGNORED = 0
"""The class id of unlabelled pixels; what is found there counts neither for nor against."""


class Confusion:
    """Counts pixels by true and found class."""

    def __init__(self, classes: int) -> None:
        self._counts = np.zeros((classes, classes), np.int64)

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Count one image.

        Args:
            truth, found: class ids uint8 [H,W] of equal shape, below the number of classes.

        Raises:
            ValueError: shapes that differ, or ids outside the class list.
        """
        if truth.shape != found.shape:
            raise ValueError(
                f"labels are {list(truth.shape)} and the mask {list(found.shape)}, expected the "
                "same shape"
            )
        classes = len(self._counts)
        largest = int(max(truth.max(), found.max()))
        if largest >= classes:
            raise ValueError(f"class id {largest}, expected ids below {classes}")
        known = truth != IGNORED
        pairs = truth[known].astype(np.int64) * classes + found[known]
        self._counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def intersection_over_union(self) -> dict[int, float]:
        """Return the IoU, 0..1, of every class that occurs in the labels."""
        truth, found = self._counts.sum(axis=1), self._counts.sum(axis=0)
        both = self._counts.diagonal()
        return {
            int(index): float(both[index] / (truth[index] + found[index] - both[index]))
            for index in np.flatnonzero(truth)
        }

    def mean_intersection_over_union(self) -> float:
        """Return the mean IoU over the classes that occur in the labels; NaN without any."""
        values = list(self.intersection_over_union().values())
        return float(np.mean(values)) if values else float("nan")

    def share_right(self) -> float:
        """Return the share of labelled pixels that were found as what they are, 0..1, or NaN."""
        total = int(self._counts.sum())
        return float(self._counts.trace() / total) if total else float("nan")
