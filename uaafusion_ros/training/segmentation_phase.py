"""Trains the segmentation network so that it reads visible, infrared and fused images alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.training.augmentation import (
    Patch,
    PeoplePaster,
    imitate_infrared,
    random_crop,
    vary_infrared,
    vary_visible,
)
from uaafusion_ros.training.datasets import Sample
from uaafusion_ros.training.losses import segmentation_loss
from uaafusion_ros.training.state import load_state, save_state

console = Console(stderr=True)


@dataclass(frozen=True)
class SegmentationPlan:
    """How long and how to train; patch sides in pixels."""

    steps: int
    batch: int = 8
    patch_height: int = 224
    patch_width: int = 288
    learning_rate: float = 6e-4
    #: Share of a batch from labelled visible frames, pseudo-labelled pairs, and the street.
    labelled_share: float = 0.62
    pairs_share: float = 0.0
    class_weight_strength: float = 0.5
    save_every: int = 50
    seed: int = 0


@dataclass(frozen=True)
class SegmentationData:
    """Labelled visible frames, pairs with pseudo-labels, and labelled pairs of the street."""

    labelled: list[Sample]
    street: list[Sample]
    pairs: list[Sample]


def class_weights(samples: list[Sample], classes: int, strength: float) -> Tensor:
    """Inverse power of each class's frequency, at most 4 times the median weight, [C].

    A strength of 0.5 finds rare classes sooner, a lower one invents them less.
    """
    counts = np.zeros(classes)
    for sample in samples:
        if sample.labels is not None:
            counts += np.bincount(sample.labels.ravel(), minlength=classes)[:classes]
    frequency = counts / counts[1:].sum()
    weights = np.maximum(frequency, 1e-6) ** -strength
    weights = np.minimum(weights, 4 * np.median(weights[counts > 0]))
    weights[counts == 0] = 1.0
    weights /= np.sum(weights * frequency)
    return torch.tensor(weights, dtype=torch.float32)


def train_segmentation(
    network: SegmentationNetwork, data: SegmentationData, plan: SegmentationPlan, state_file: Path
) -> None:
    """Train in place; continues from `state_file` when a run was interrupted."""
    classes = network.classifier.out_channels
    weights = class_weights(data.labelled + data.street, classes, plan.class_weight_strength)
    paster = PeoplePaster(data.labelled)
    optimiser = torch.optim.AdamW(
        [
            {"params": network.encoder.parameters(), "lr": plan.learning_rate * 0.5},
            {"params": network.decoder.parameters(), "lr": plan.learning_rate},
            {"params": network.classifier.parameters(), "lr": plan.learning_rate},
        ],
        weight_decay=0.01,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [group["lr"] for group in optimiser.param_groups],
        total_steps=plan.steps,
        pct_start=0.08,
    )
    start = _resume(state_file, network, optimiser, schedule)
    network.train()
    running, began = 0.0, time.monotonic()
    for step in range(start, plan.steps):
        rng = np.random.default_rng((plan.seed, step))
        torch.manual_seed(plan.seed * 1_000_003 + step)
        images, labels = _batch(data, paster, plan, rng)
        loss = segmentation_loss(network.logits(images), labels, weights)
        if not torch.isfinite(loss):
            raise RuntimeError(f"loss is {loss.item()} at step {step}; the last state is kept")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running += (loss.item() - running) * (0.05 if step > start else 1.0)
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            pace = (time.monotonic() - began) / (step + 1 - start)
            console.print(f"segmentation {step + 1}/{plan.steps} loss {running:.3f} {pace:.2f} s")
            save_state(
                state_file,
                {
                    "step": step + 1,
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                },
            )
    network.eval()


def _resume(state_file: Path, network, optimiser, schedule) -> int:  # type: ignore[no-untyped-def]
    state = load_state(state_file)
    if state is None:
        return 0
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    console.print(f"segmentation continues at step {state['step']}")
    return int(state["step"])


def _batch(
    data: SegmentationData,
    paster: PeoplePaster,
    plan: SegmentationPlan,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    pairs = [_one(data, paster, plan, rng) for _ in range(plan.batch)]
    images = torch.from_numpy(np.stack([image for image, _ in pairs]))[:, None]
    labels = torch.from_numpy(np.stack([label for _, label in pairs])).long()
    return images, labels


def _one(
    data: SegmentationData,
    paster: PeoplePaster,
    plan: SegmentationPlan,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    draw = rng.random()
    size = (plan.patch_height, plan.patch_width)
    if draw < plan.labelled_share:
        patch = random_crop(_pick(data.labelled, rng), rng, *size)
        assert patch.labels is not None
        return _single_camera(patch, rng), patch.labels
    if draw < plan.labelled_share + plan.pairs_share:
        patch = random_crop(_pick(data.pairs, rng), rng, *size, scales=(0.7, 1.5))
        if rng.random() < 0.6:
            patch = paster.paste(patch, rng)
    else:
        patch = random_crop(_pick(data.street, rng), rng, *size)
    assert patch.labels is not None
    return next(_views(patch, rng)), patch.labels


def _single_camera(patch: Patch, rng: np.random.Generator) -> np.ndarray:
    """A labelled visible frame as itself, inverted, or as an imitated infrared image."""
    assert patch.labels is not None
    draw = rng.random()
    if draw < 0.6:
        return vary_visible(patch.visible, rng)
    if draw < 0.72:
        return vary_infrared(1 - patch.visible, rng)
    imitation = imitate_infrared(patch.visible, patch.labels, rng)
    if draw < 0.9:
        return vary_infrared(imitation, rng)
    return _fuse(vary_infrared(imitation, rng), vary_visible(patch.visible, rng), rng)


def _views(patch: Patch, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """What the network meets of a pair: either camera, or some fusion of both."""
    assert patch.infrared is not None
    infrared, visible = vary_infrared(patch.infrared, rng), vary_visible(patch.visible, rng)
    draw = rng.random()
    if draw < 0.35:
        yield infrared
    elif draw < 0.55:
        yield visible
    else:
        yield _fuse(infrared, visible, rng)


def _fuse(infrared: np.ndarray, visible: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random()
    if draw < 0.45:
        return (infrared + visible) / 2
    if draw < 0.8:
        return np.maximum(infrared, visible)
    share = np.float32(rng.uniform(0.2, 0.8))
    return share * infrared + (1 - share) * visible


def _pick(samples: list[Sample], rng: np.random.Generator) -> Sample:
    return samples[int(rng.integers(len(samples)))]


@torch.no_grad()
def pseudo_label(
    network: SegmentationNetwork, pairs: list[Sample], confidence: float
) -> list[Sample]:
    """Label pairs by the network's mean score over both cameras and two fusions.

    The pair is aligned, so what one camera shows plainly labels the other. Pixels below
    `confidence` (score in 0..1) stay 0, ignored.
    """
    network.eval()
    labelled = []
    for sample in pairs:
        assert sample.infrared is not None
        infrared = torch.from_numpy(sample.infrared).float()[None, None] / 255
        visible = torch.from_numpy(sample.visible).float()[None, None] / 255
        average, brightest = (infrared + visible) / 2, torch.maximum(infrared, visible)
        # By night the visible camera is confidently wrong; it has the smallest say.
        views = torch.cat((infrared, average, brightest, visible))
        say = torch.tensor([0.35, 0.3, 0.2, 0.15])[:, None, None, None]
        scores = (network(views) * say).sum(dim=0)
        flipped = (network(views.flip(-1)) * say).sum(dim=0).flip(-1)
        best, ids = ((scores + flipped) / 2).max(dim=0)
        ids[best < confidence] = 0
        labelled.append(
            Sample(sample.visible, sample.infrared, ids.numpy().astype(np.uint8), sample.name)
        )
    return labelled


@torch.no_grad()
def mean_intersection_over_union(
    network: SegmentationNetwork, samples: list[Sample], classes: int
) -> dict[int, float]:
    """Intersection over union of every class that occurs, on the visible images."""
    network.eval()
    confusion = np.zeros((classes, classes), np.int64)
    for sample in samples:
        assert sample.labels is not None
        image = torch.from_numpy(sample.visible).float()[None, None] / 255
        found = network.logits(image)[0].argmax(dim=0).numpy()
        known = sample.labels > 0
        pairs = sample.labels[known].astype(np.int64) * classes + found[known]
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return {
        index: float(confusion[index, index] / union[index])
        for index in range(1, classes)
        if confusion[index].sum() > 0
    }
