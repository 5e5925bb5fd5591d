"""Does an attribution map name the pixels that a score depends on? Deletion and insertion curves.

After Petsiuk et al. 2018 (RISE): deletion replaces an image by a reference that carries less
evidence, most important part first, and a faithful map makes the score fall fast (small area under
the curve); insertion puts the image into the reference in the same order, and a faithful map makes
it rise fast (large area).

The image is replaced in square cells and not pixel by pixel: scattered pixels are a noise that
upsets a network wherever it falls, so that a random order would look like the most faithful of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

#: Luminance images float32 [N,H,W] in 0..1 to scores [N].
Score = Callable[[np.ndarray], np.ndarray]

STEPS = 10
CELL_SIDE = 8


@dataclass(frozen=True)
class Curves:
    """The score after 0/n, 1/n, … n/n of the image was replaced; float64 [n+1] each."""

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve over 0..1, in units of the score; small is faithful."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve over 0..1, in units of the score; large is faithful."""
        return _area(self.insertion)


def deletion_and_insertion(
    score: Score,
    image: np.ndarray,
    reference: np.ndarray,
    attribution: np.ndarray,
    *,
    steps: int = STEPS,
    cell_side: int = CELL_SIDE,
) -> Curves:
    """Measure one map on one image.

    Args:
        image, reference: luminance float32 [H,W] in 0..1.
        attribution: float [H,W], large where the map says that the score depends on the image.
        steps: equal shares in which the cells are replaced.
        cell_side: pixels; a cell is as important as its mean attribution.

    Raises:
        ValueError: shapes that differ.
    """
    if not image.shape == reference.shape == attribution.shape:
        raise ValueError(
            f"image is {list(image.shape)}, reference {list(reference.shape)} and attribution "
            f"{list(attribution.shape)}, expected the same [H,W]"
        )
    turns = _turns(attribution, steps, cell_side)
    replaced = turns[None] < np.arange(steps + 1)[:, None, None]
    deletion = score(np.where(replaced, reference, image))
    # The ends are those of the deletion curve, in the other order.
    inner = score(np.where(replaced[1:-1], image, reference))
    insertion = np.concatenate((deletion[-1:], inner, deletion[:1]))
    return Curves(np.asarray(deletion, np.float64), np.asarray(insertion, np.float64))


def mean_curves(curves: Sequence[Curves]) -> Curves:
    """Average the curves of several images; the areas are then the means of their areas."""
    return Curves(
        deletion=np.mean([each.deletion for each in curves], axis=0),
        insertion=np.mean([each.insertion for each in curves], axis=0),
    )


def cell_means(values: np.ndarray, side: int) -> np.ndarray:
    """Average [H,W] over cells of `side` pixels; those at the far border may be smaller."""
    rows, columns = (np.arange(0, length, side) for length in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, 0), columns, 1)
    heights, widths = (
        np.diff(np.append(starts, length))
        for starts, length in zip((rows, columns), values.shape, strict=True)
    )
    return sums / np.outer(heights, widths)


def _turns(attribution: np.ndarray, steps: int, side: int) -> np.ndarray:
    """The step, 0..steps-1, in which each pixel's turn comes; int [H,W]."""
    importance = cell_means(attribution, side)
    order = np.argsort(-importance, axis=None, kind="stable")
    turns = np.empty(order.size, np.int64)
    turns[order] = np.arange(order.size) * steps // order.size
    spread = turns.reshape(importance.shape).repeat(side, axis=0).repeat(side, axis=1)
    return spread[: attribution.shape[0], : attribution.shape[1]]


def _area(curve: np.ndarray) -> float:
    return float(((curve[1:] + curve[:-1]) / 2).mean())
