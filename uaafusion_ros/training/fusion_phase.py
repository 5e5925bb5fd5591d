"""Trains the unfolding stages with the segmentation network held still."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.augmentation import Patch, PeoplePaster, random_crop, vary_exposure
from uaafusion_ros.training.datasets import Sample
from uaafusion_ros.training.losses import (
    data_loss,
    gradient_loss,
    intensity_loss,
    segmentation_loss,
)
from uaafusion_ros.training.state import load_state, save_state

console = Console(stderr=True)


@dataclass(frozen=True)
class FusionPlan:
    """How long and how to train, and the weight of every loss; patch sides in pixels.

    The paper weighs data 1, gradient 1 and segmentation 0.1. Its data term alone fades warm people
    where the region's weight leans to the visible image; the intensity term keeps them.
    """

    steps: int
    batch: int = 6
    patch_height: int = 128
    patch_width: int = 160
    learning_rate: float = 2e-3
    data_weight: float = 1.0
    gradient_weight: float = 1.0
    intensity_weight: float = 0.6
    segmentation_weight: float = 0.1
    street_share: float = 0.3
    pasting_share: float = 0.35
    save_every: int = 50
    seed: int = 2


def train_fusion(
    model: UAAFusion,
    pairs: list[Sample],
    street: list[Sample],
    paster: PeoplePaster,
    plan: FusionPlan,
    state_file: Path,
) -> None:
    """Train all but the segmentation network in place; continues from `state_file`."""
    model.segmentation.eval().requires_grad_(False)
    fusion = [p for n, p in model.named_parameters() if not n.startswith("segmentation.")]
    stages = [parameter for parameter in fusion if parameter is not model.step_sizes]
    optimiser = torch.optim.Adam(
        [
            {"params": stages, "lr": plan.learning_rate},
            # They begin at a thousandth and must travel further than a weight.
            {"params": [model.step_sizes], "lr": 3 * plan.learning_rate},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [group["lr"] for group in optimiser.param_groups],
        total_steps=plan.steps,
        pct_start=0.1,
    )
    start = _resume(model, optimiser, schedule, state_file)
    averages: dict[str, float] = {}
    began = time.monotonic()
    for step in range(start, plan.steps):
        rng = np.random.default_rng((plan.seed, step))
        batch = [_patch(pairs, street, paster, plan, rng) for _ in range(plan.batch)]
        losses = _losses(model, batch, plan)
        total = sum(losses.values(), torch.zeros(()))
        if not torch.isfinite(total):
            raise RuntimeError(f"loss is {total.item()} at step {step}; the last state is kept")
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(fusion, 1.0)
        optimiser.step()
        schedule.step()
        for name, value in losses.items():
            averages[name] = averages.get(name, value.item()) * 0.95 + value.item() * 0.05
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            pace = (time.monotonic() - began) / (step + 1 - start)
            shown = " ".join(f"{name} {value:.4f}" for name, value in averages.items())
            sizes = [round(value, 3) for value in model.step_sizes.tolist()]
            console.print(f"fusion {step + 1}/{plan.steps} {shown} alpha {sizes} {pace:.2f} s")
            save_state(
                state_file,
                {
                    "step": step + 1,
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                },
            )
    model.eval()


def _resume(model: UAAFusion, optimiser, schedule, state_file: Path) -> int:  # type: ignore[no-untyped-def]
    state = load_state(state_file)
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    console.print(f"fusion continues at step {state['step']}")
    return int(state["step"])


def _losses(model: UAAFusion, batch: list[Patch], plan: FusionPlan) -> dict[str, Tensor]:
    infrared = _stack([patch.infrared for patch in batch])
    visible = _stack([patch.visible for patch in batch])
    result = model(infrared, visible, Output.FUSED | Output.CONTRIBUTIONS)
    fused, contributions = result.fused_B1HW, result.contributions
    assert fused is not None and contributions is not None
    weight = contributions.infrared_weight_B1HW
    labels = torch.from_numpy(
        np.stack([patch.labels for patch in batch if patch.labels is not None])
    ).long()
    logits = model.segmentation.logits(fused)
    return {
        "data": plan.data_weight * data_loss(fused, infrared, visible, weight),
        "gradient": plan.gradient_weight * gradient_loss(fused, infrared, visible),
        "intensity": plan.intensity_weight * intensity_loss(fused, infrared, visible),
        "segmentation": plan.segmentation_weight * segmentation_loss(logits, labels),
    }


def _stack(images: list[np.ndarray | None]) -> Tensor:
    return torch.from_numpy(np.stack([image for image in images if image is not None]))[:, None]


def _patch(
    pairs: list[Sample],
    street: list[Sample],
    paster: PeoplePaster,
    plan: FusionPlan,
    rng: np.random.Generator,
) -> Patch:
    from_street = rng.random() < plan.street_share
    samples = street if from_street else pairs
    sample = samples[int(rng.integers(len(samples)))]
    patch = random_crop(sample, rng, plan.patch_height, plan.patch_width, scales=(0.6, 1.2))
    if not from_street and rng.random() < plan.pasting_share:
        patch = paster.paste(patch, rng)
    assert patch.infrared is not None
    return Patch(
        vary_exposure(patch.visible, rng), vary_exposure(patch.infrared, rng), patch.labels
    )
