"""The method is the authors': outputs of their algorithm are matched for random weights.

golden/*.npz hold what their code computes, as released and with its dropped data step active.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_checkpoint import GOLDEN, write_checkpoint

from uaafusion_ros.network.attribution import per_class_contributions
from uaafusion_ros.network.authors import import_authors_checkpoint
from uaafusion_ros.network.unfolding import FusionOutput

CASES = sorted(path.stem for path in GOLDEN.glob("*.npz"))


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory) -> tuple[np.lib.npyio.NpzFile, FusionOutput]:
    expected = np.load(GOLDEN / f"{request.param}.npz")
    path = write_checkpoint(tmp_path_factory.mktemp("golden") / "r.pth", int(expected["seed"]))
    model = import_authors_checkpoint(path, data_step=request.param.startswith("paper"))
    sources = (torch.from_numpy(expected[name])[None, None] for name in ("infrared", "visible"))
    return expected, model.prepare_for_inference()(*sources)


def test_all_four_golden_cases_are_there() -> None:
    assert CASES == ["paper_96x128", "paper_97x131", "release_96x128", "release_97x131"]


def test_fused_image_matches_the_authors(case) -> None:
    expected, found = case
    fused = found.fused_B1HW.numpy()[0, 0]
    np.testing.assert_allclose(fused, expected["fused"], atol=1e-4)
    stretched = (fused - fused.min()) / (fused.max() - fused.min())
    np.testing.assert_allclose(stretched, expected["fused_minmax"], atol=2e-4)


def test_regions_match_the_authors(case) -> None:
    expected, found = case
    np.testing.assert_array_equal(found.labels_BHW.numpy()[0], expected["labels"])


def test_weights_match_the_authors(case) -> None:
    expected, found = case
    weight = found.contributions.infrared_weight_B1HW.numpy()[0, 0]
    np.testing.assert_allclose(weight, expected["weight_infrared"], atol=1e-4)
    np.testing.assert_allclose(1 - weight, expected["weight_visible"], atol=1e-4)


@pytest.mark.parametrize("source", ["infrared", "visible"])
def test_contributions_match_the_authors(case, source: str) -> None:
    expected, found = case
    wanted = expected[f"contribution_{source}"]
    contribution = getattr(found.contributions, f"{source}_BC").numpy()[0]
    np.testing.assert_allclose(contribution / wanted.max(), wanted / wanted.max(), atol=1e-4)


def test_contributions_are_captums_integrated_gradients() -> None:
    """On a smooth scorer the released sum is captum's right Riemann sum over the region."""
    captum_attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    torch.manual_seed(0)
    scorer = torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.Tanh(), torch.nn.Conv2d(6, 3, 3, padding=1)
    ).double()
    scorer.append(torch.nn.Sigmoid())
    image = torch.rand(1, 1, 24, 30, dtype=torch.float64)
    labels = (torch.arange(24 * 30).reshape(1, 24, 30) // 97) % 3
    found = per_class_contributions(scorer, image, labels, steps=5, classes=3)[0]
    for label in range(3):
        region = labels == label

        def mean_in_region(images: torch.Tensor, label=label, region=region) -> torch.Tensor:
            return (scorer(images)[:, label] * region).flatten(1).sum(1) / region.sum()

        gradients = captum_attr.IntegratedGradients(mean_in_region).attribute(
            image, baselines=0.0, n_steps=5, method="riemann_right"
        )
        wanted = (gradients[0, 0] * region[0]).sum() / region.sum()
        torch.testing.assert_close(found[label], wanted.relu().to(found), rtol=1e-5, atol=1e-9)
