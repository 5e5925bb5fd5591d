"""Trains the unfolding stages, with the segmentation network held still or jointly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.augmentation import (
    Patch,
    PeoplePaster,
    darken,
    imitate_infrared,
    random_crop,
    vary_exposure,
    warmth_of,
)
from uaafusion_ros.training.class_weights import class_weights
from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.evidence import NOTHING, Blinded, without_noise
from uaafusion_ros.training.losses import (
    checkerboard_loss,
    complement_loss,
    data_loss,
    gradient_loss,
    imitation_loss,
    intensity_loss,
    label_total,
    saliency_loss,
    segmentation_loss,
    shadow_loss,
    similarity_loss,
)
from uaafusion_ros.training.overheard import Overheard
from uaafusion_ros.training.phase_settings import FusionSettings
from uaafusion_ros.training.teacher import Teacher

_SCALES = (0.6, 1.2)
#: How often the visible half of an imitated pair is one of the night.
_NIGHT_SHARE = 0.5


class FusionPhase:
    """Trains all but S, or S as well where the settings give it a learning rate."""

    def __init__(
        self,
        name: str,
        model: UAAFusion,
        settings: FusionSettings,
        *,
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
        self._model = model
        self._paster, self._pasted = paster, pasted
        self._warmth = warmth_of(model.config.classes)
        weights = class_weights(counts, settings.class_weight_strength)
        self.module = _FusionLosses(model, settings, weights)
        stages = [
            parameter
            for name, parameter in model.named_parameters()
            if not name.startswith(("segmentation.", "student."))
            and parameter is not model.step_sizes
        ]
        rate = settings.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": stages, "lr": rate},
            {"params": [model.step_sizes], "lr": settings.step_size_rate * rate},
        ]
        if settings.segmentation_learning_rate > 0:
            groups.append(
                {
                    "params": list(model.segmentation.parameters()),
                    "lr": settings.segmentation_learning_rate,
                }
            )
        self.optimiser = torch.optim.Adam(groups)

    def train(self) -> None:
        """S keeps the running statistics of its batch norms: it meets small, alike patches here."""
        self.module.train().requires_grad_(True)
        joint = self.settings.segmentation_learning_rate > 0
        self._model.segmentation.eval().requires_grad_(joint)
        if self._model.student is not None:
            self._model.student.requires_grad_(False)  # it learns in the distillation phase

    def label_total(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return the summed class weight of all labelled pixels."""
        return label_total(tensors["labels"], self.module.class_weights)

    def describe(self) -> dict[str, Any]:
        """Return the step sizes of the stages."""
        sizes = self._model.step_sizes.tolist()
        return {f"step size {index}": value for index, value in enumerate(sizes)}

    def augment(
        self, dataset: Dataset, sample: Sample, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Return `infrared`, `visible`, their `labels` and whether they are fused `blind`.

        What is fused without attention teaches the stages alone: S need not read it.
        """
        share = self.settings.pasting_share if dataset.name in self._pasted else 0.0
        size = (self.settings.patch_height, self.settings.patch_width)
        patch = crop_pair(sample, rng, size)
        if patch.infrared is None:
            patch = imitate_pair(patch, self._warmth, rng)
        pair = augment_pair(patch, rng, self._paster, share)
        if self.settings.noise_width:
            blind = rng.random() < self.settings.blind_share
            pair["blind"] = np.full((1, 1), blind, np.float32)
            pair["labels"] = pair["labels"] * np.uint8(not blind)
        return pair


def crop_pair(sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Patch:
    """Cut out a patch of `size` (height, width)."""
    return random_crop(sample, rng, *size, scales=_SCALES)


def imitate_pair(patch: Patch, warmth_C: np.ndarray, rng: np.random.Generator) -> Patch:
    """Give a labelled visible patch an imitated infrared one, and every other one a night."""
    assert patch.labels is not None
    infrared = imitate_infrared(patch.visible, patch.labels, warmth_C, rng)
    night = rng.random() < _NIGHT_SHARE
    visible = darken(patch.visible, rng) if night else patch.visible
    return Patch(visible, infrared, patch.labels)


def augment_pair(
    patch: Patch, rng: np.random.Generator, paster: PeoplePaster, pasting_share: float
) -> dict[str, np.ndarray]:
    """Return `infrared`, `visible` and their `labels` of a patch of a pair."""
    if pasting_share and rng.random() < pasting_share:
        patch = paster.paste(patch, rng)
    assert patch.infrared is not None
    labels = patch.labels
    if labels is None:
        labels = np.zeros(patch.visible.shape, np.uint8)
    return {
        "visible": vary_exposure(patch.visible, rng),
        "infrared": vary_exposure(patch.infrared, rng),
        "labels": labels,
    }


class _FusionLosses(nn.Module):
    class_weights: Tensor

    def __init__(self, model: UAAFusion, settings: FusionSettings, class_weights: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("class_weights", class_weights.to(model.step_sizes.device))
        self._settings = settings
        name, device = settings.teacher, model.step_sizes.device
        self._teacher = Teacher(name, device) if name else None

    def forward(
        self,
        infrared: Tensor,
        visible: Tensor,
        labels: Tensor,
        total: Tensor,
        share: float,
        blind: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted losses; `share` is this part's share of the step's batch."""
        settings, weights = self._settings, self._settings.losses
        regions = labels if settings.regions == "labels" else None
        wanted = Output.FUSED | Output.CONTRIBUTIONS
        mode = self.model.exact if blind is None else Blinded(self.model.exact, blind)
        heard = Overheard(mode)
        result = self.model(infrared, visible, wanted, mode=heard, regions_BHW=regions)
        fused, contributions = result.fused_B1HW, result.contributions
        assert fused is not None and contributions is not None
        sources = infrared, visible
        compared = [*sources]
        if self._teacher is not None:
            compared.append(self._teacher(*sources, contributions))
        if settings.noise_width:
            gate = heard.gates[-1] if heard.gates else torch.full_like(fused, NOTHING)
            compared = [
                without_noise(image, gate, settings.noise_width, settings.evidence)
                for image in compared
            ]
        infrared, visible, *taught = compared
        infrared_weight = contributions.infrared_weight_B1HW.detach()
        terms = {
            "data": (weights.data, lambda: data_loss(fused, infrared, visible, infrared_weight)),
            "gradient": (
                weights.gradient,
                lambda: gradient_loss(fused, infrared, visible, signed=weights.signed_gradient),
            ),
            "intensity": (weights.intensity, lambda: intensity_loss(fused, infrared, visible)),
            "shadow": (weights.shadow, lambda: shadow_loss(fused, infrared, visible)),
            "checkerboard": (
                weights.checkerboard,
                lambda: checkerboard_loss(fused, infrared, visible),
            ),
            "saliency": (weights.saliency, lambda: saliency_loss(fused, infrared, visible)),
            "similarity": (weights.similarity, lambda: similarity_loss(fused, infrared, visible)),
            "complement": (weights.complement, lambda: complement_loss(fused, infrared, visible)),
            "imitation": (weights.imitation, lambda: imitation_loss(fused, *taught)),
        }
        losses = {name: share * weight * term() for name, (weight, term) in terms.items() if weight}
        if weights.segmentation:
            losses["segmentation"] = weights.segmentation * self._segmentation(
                fused, *sources, labels, total
            )
        return losses

    def _segmentation(
        self, fused: Tensor, infrared: Tensor, visible: Tensor, labels: Tensor, total: Tensor
    ) -> Tensor:
        network, weights = self.model.segmentation, self.class_weights

        def loss_on(image: Tensor) -> Tensor:
            return segmentation_loss(network.logits(image), labels, weights, total)

        # The sources teach S alone: while it is held still they have nothing to learn from.
        joint = self._settings.segmentation_learning_rate > 0
        share = self._settings.losses.sources if joint else 0.0
        if not share:
            return loss_on(fused)
        sources = loss_on(infrared) + loss_on(visible)
        return (loss_on(fused) + share * sources) / (1 + 2 * share)
