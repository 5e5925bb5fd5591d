"""The figures of an evaluation: fusion metrics, intersection over union, deletion and insertion."""

from __future__ import annotations

import json

import numpy as np
import pytest
from golden_checkpoint import GOLDEN

from uaafusion_ros.training.faithfulness import cell_means, deletion_and_insertion
from uaafusion_ros.training.fusion_metrics import NAMES, RANKED, fusion_metrics, mean_ranks
from uaafusion_ros.training.segmentation_metrics import Confusion

CASES = json.loads((GOLDEN / "metrics.json").read_text())["cases"]


def golden_pair(seed: int, height: int = 96, width: int = 128) -> list[np.ndarray]:
    """The synthetic infrared and visible uint8 luminance that the stored figures are of."""
    rng = np.random.RandomState(seed)  # its stream is frozen for good
    y, x = np.mgrid[0:height, 0:width]
    visible = 0.35 + 0.25 * np.sin(x / 9.0) * np.cos(y / 7.0) + 0.3 * y / height
    infrared = 0.25 + 0.2 * np.cos((x + 2 * y) / 23.0)
    for _ in range(9):
        row, column, radius = (
            rng.uniform(0, height),
            rng.uniform(0, width),
            rng.uniform(4, height / 5),
        )
        disc = (y - row) ** 2 + (x - column) ** 2 < radius * radius
        infrared = np.where(disc, rng.uniform(0.5, 1.0), infrared)
        visible = np.where(disc, 0.6 * visible + rng.uniform(0, 0.4), visible)
    noise = rng.standard_normal((2, height, width)) * 0.02
    return [
        np.rint(np.clip(image, 0, 1).astype(np.float32) * 255).astype(np.uint8)
        for image in (infrared + noise[0], visible + noise[1])
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['fused']}-{case['seed']}")
def test_fusion_metrics_equal_the_customary_ones(case) -> None:
    infrared, visible = golden_pair(case["seed"])
    if case["fused"] == "average":
        fused = ((infrared.astype(int) + visible) // 2).astype(np.uint8)
    else:
        fused = np.maximum(infrared, visible)
    found = fusion_metrics(fused, infrared, visible)
    assert tuple(found) == NAMES
    for name in NAMES:
        assert found[name] == pytest.approx(case[name], abs=1e-6), name


@pytest.mark.filterwarnings("error")
def test_images_without_any_detail_have_finite_metrics() -> None:
    black = np.zeros((40, 48), np.uint8)
    step = black.copy()
    step[:, 24:] = 200
    for fused, infrared, visible in ((black,) * 3, (black, step, step), (step, black, black)):
        assert all(
            np.isfinite(value) for value in fusion_metrics(fused, infrared, visible).values()
        )


def test_images_of_other_types_and_sizes_are_refused() -> None:
    image = np.zeros((32, 32), np.uint8)
    with pytest.raises(ValueError, match="expected uint8"):
        fusion_metrics(image / 255, image, image)
    with pytest.raises(ValueError, match="expected equal sizes"):
        fusion_metrics(image, image, image[1:])


def test_equal_figures_share_their_rank() -> None:
    high, low = dict.fromkeys(RANKED, 2.0), dict.fromkeys(RANKED, 1.0)
    assert mean_ranks({"a": low, "b": high, "c": low}) == {"a": 2.5, "b": 1.0, "c": 2.5}


def test_intersection_over_union_of_a_hand_made_confusion() -> None:
    confusion = Confusion(4)
    truth = np.array([[1, 1, 1, 2], [2, 2, 0, 0]], np.uint8)
    found = np.array([[1, 1, 2, 2], [2, 0, 3, 1]], np.uint8)
    confusion.add(truth, found)
    # Class 1: 2 of 3 right. Class 2: 2 right, 1 missed, 1 too many. Unlabelled pixels: no say.
    assert confusion.intersection_over_union() == {1: pytest.approx(2 / 3), 2: pytest.approx(0.5)}
    confusion.add(np.full((2, 4), 3, np.uint8), np.full((2, 4), 1, np.uint8))
    assert confusion.intersection_over_union() == {
        1: pytest.approx(2 / 11),
        2: pytest.approx(0.5),
        3: 0.0,
    }
    assert confusion.mean_intersection_over_union() == pytest.approx((2 / 11 + 0.5) / 3)
    with pytest.raises(ValueError, match="class id 4"):
        confusion.add(np.full((1, 1), 4, np.uint8), np.zeros((1, 1), np.uint8))


def test_deletion_and_insertion_prefer_the_map_that_is_right() -> None:
    importance = np.zeros((45, 61), np.float32)
    importance[8:24, 16:40] = 1.0
    image = np.random.default_rng(0).uniform(0.5, 1, importance.shape).astype(np.float32)
    reference = np.zeros_like(image)

    def score(images: np.ndarray) -> np.ndarray:
        return (images * importance).sum(axis=(1, 2)) / (image * importance).sum()

    scattered = np.random.default_rng(1).random(image.shape)
    right, random, wrong = (
        deletion_and_insertion(score, image, reference, attribution)
        for attribution in (importance, scattered, -importance)
    )
    assert right.deletion_area < random.deletion_area < wrong.deletion_area
    assert right.insertion_area > random.insertion_area > wrong.insertion_area
    for curves in (right, random, wrong):
        assert curves.deletion[0] == curves.insertion[-1] == pytest.approx(1)
        assert curves.deletion[-1] == curves.insertion[0] == pytest.approx(0)
    # 6 of 48 cells matter: gone within two of ten steps.
    assert right.deletion_area < 0.15 and right.insertion_area > 0.85


def test_cells_at_the_border_are_averaged_over_what_they_hold() -> None:
    values = np.arange(15, dtype=np.float64).reshape(3, 5)
    np.testing.assert_allclose(cell_means(values, 2), [[3, 5, 6.5], [10.5, 12.5, 14]])
