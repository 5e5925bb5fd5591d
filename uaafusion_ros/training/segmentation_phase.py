"""Trains the segmentation network so that it reads visible, infrared and fused images alike."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.training.augmentation import (
    Patch,
    PeoplePaster,
    imitate_infrared,
    random_crop,
    vary_chroma,
    vary_exposure,
    vary_infrared,
    vary_visible,
    warmth_of,
)
from uaafusion_ros.training.class_weights import class_weights
from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.kept_images import luminance_tensor
from uaafusion_ros.training.losses import label_total, overlap_loss, segmentation_loss
from uaafusion_ros.training.phase_settings import SegmentationSettings

#: Pixels; what is finer is a detail.
_DETAIL_SIGMA = 4.0

#: A luminance image, and whether the visible image's colours belong to it.
_View = tuple[np.ndarray, bool]


class SegmentationPhase:
    """Supervised by labels, of the data sets or of an earlier network."""

    def __init__(
        self,
        name: str,
        network: SegmentationNetwork,
        settings: SegmentationSettings,
        *,
        classes: tuple[str, ...],
        counts: np.ndarray,
        paster: PeoplePaster,
        pasted: frozenset[str],
    ) -> None:
        """Prepare the optimiser.

        Args:
            counts: labelled pixels of every class, [C].
            pasted: names of the data sets that people are pasted into.
        """
        self.name, self.settings = name, settings
        weights = class_weights(counts, settings.class_weight_strength)
        self.module = _SegmentationLosses(network, weights, settings.overlap)
        self.optimiser = torch.optim.AdamW(
            [
                {
                    "params": network.encoder.parameters(),
                    "lr": settings.learning_rate * settings.encoder_rate,
                },
                {"params": network.decoder.parameters(), "lr": settings.learning_rate},
                {"params": network.classifier.parameters(), "lr": settings.learning_rate},
            ],
            weight_decay=settings.weight_decay,
        )
        self._warmth = warmth_of(classes)
        self._paster, self._pasted = paster, pasted

    def train(self) -> None:
        """Let batch norms follow the data, or keep what they know of it."""
        self.module.train().requires_grad_(True)
        if not self.settings.batch_statistics:
            for layer in self.module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()

    def label_total(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return the summed class weight of all labelled pixels."""
        return label_total(tensors["labels"], self.module.weights)

    def describe(self) -> dict[str, Any]:
        """Nothing beside the loss."""
        return {}

    def augment(
        self, dataset: Dataset, sample: Sample, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Return one `image` as some camera or fusion sees it, and its `labels`.

        For a network that reads colours also the `chroma` of what shows the visible image, [2,H,W].
        """
        size = (self.settings.patch_height, self.settings.patch_width)
        if sample.infrared is None:
            patch = random_crop(sample, rng, *size)
            image, coloured = self._single_camera(patch, rng)
        else:
            scales = self.settings.least_pair_scale, self.settings.greatest_pair_scale
            patch = random_crop(sample, rng, *size, scales=scales)
            if dataset.name in self._pasted and rng.random() < self.settings.pasting_share:
                patch = self._paster.paste(patch, rng)
            image, coloured = self._some_view(patch, rng)
        assert patch.labels is not None
        seen = {"image": image, "labels": patch.labels}
        if patch.chroma is not None:
            shows = coloured and rng.random() >= self.settings.grey_share
            chroma = vary_chroma(patch.chroma, rng) if shows else np.zeros_like(patch.chroma)
            seen["chroma"] = np.ascontiguousarray(chroma.transpose(2, 0, 1))
        return seen

    def _single_camera(self, patch: Patch, rng: np.random.Generator) -> _View:
        """A labelled visible frame as itself, inverted, or as an imitated infrared image."""
        assert patch.labels is not None
        draw = rng.random()
        if draw < 0.6:
            return vary_visible(patch.visible, rng), True
        if draw < 0.72:
            return vary_infrared(1 - patch.visible, rng), False
        imitation = imitate_infrared(patch.visible, patch.labels, self._warmth, rng)
        if draw < 0.9:
            return vary_infrared(imitation, rng), False
        return _fuse(vary_infrared(imitation, rng), vary_visible(patch.visible, rng), rng), True

    def _some_view(self, patch: Patch, rng: np.random.Generator) -> _View:
        """What the network meets of a pair: either camera, or some fusion of both."""
        assert patch.infrared is not None
        infrared, visible = vary_infrared(patch.infrared, rng), vary_visible(patch.visible, rng)
        draw = rng.random() - self.settings.infrared_share
        if draw < 0:
            return infrared, False
        if draw < self.settings.visible_share:
            return visible, True
        if patch.fused is not None and rng.random() < self.settings.fused_share:
            # It came of our own stages and not of a camera, whose noise and glare it has already.
            return vary_exposure(patch.fused, rng), True
        return _fuse(infrared, visible, rng), True


class _SegmentationLosses(nn.Module):
    weights: Tensor

    def __init__(self, network: SegmentationNetwork, weights: Tensor, overlap: float) -> None:
        super().__init__()
        self.network, self._overlap = network, overlap
        self.register_buffer("weights", weights.to(next(network.parameters()).device))

    def forward(
        self,
        image: Tensor,
        labels: Tensor,
        total: Tensor,
        share: float,
        chroma: Tensor | None = None,
    ) -> dict[str, Tensor]:
        logits = self.network.logits(image, chroma)
        losses = {"segmentation": segmentation_loss(logits, labels, self.weights, total)}
        if self._overlap:
            losses["overlap"] = self._overlap * share * overlap_loss(logits, labels)
        return losses


def _fuse(infrared: np.ndarray, visible: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random()
    if draw < 0.3:
        return (infrared + visible) / 2
    if draw < 0.5:
        return np.maximum(infrared, visible)
    if draw < 0.85:
        return _with_strongest_detail(infrared, visible, np.float32(rng.uniform(0, 1)))
    share = np.float32(rng.uniform(0.2, 0.8))
    return share * infrared + (1 - share) * visible


def _with_strongest_detail(
    infrared: np.ndarray, visible: np.ndarray, brightest: np.float32
) -> np.ndarray:
    """Much like what trained stages make of a pair, at no cost.

    Args:
        brightest: 0 lays the mean of both under the details, 1 the brighter one.
    """
    calm = [cv2.GaussianBlur(image, (0, 0), _DETAIL_SIGMA) for image in (infrared, visible)]
    details = infrared - calm[0], visible - calm[1]
    base = brightest * np.maximum(*calm) + (1 - brightest) * (calm[0] + calm[1]) / 2
    detail = np.where(np.abs(details[0]) > np.abs(details[1]), *details)
    return np.clip(base + detail, 0, 1)


@torch.no_grad()
def label_image(network: SegmentationNetwork, image: np.ndarray) -> np.ndarray:
    """Return the most likely class ids uint8 [H,W] of a luminance image uint8 [H,W]."""
    network.eval()
    device = next(network.parameters()).device
    return network.logits(luminance_tensor(image, device))[0].argmax(dim=0).byte().cpu().numpy()
