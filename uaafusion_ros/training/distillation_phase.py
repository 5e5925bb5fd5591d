"""Trains the student head on what exact attribution says of the same pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.student import Realtime
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.augmentation import PeoplePaster
from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.fusion_phase import augment_pair, crop_pair
from uaafusion_ros.training.overheard import Overheard
from uaafusion_ros.training.phase_settings import DistillationSettings


class DistillationPhase:
    """Teacher and student are one model in two modes; only the student's head learns."""

    def __init__(
        self,
        name: str,
        model: UAAFusion,
        settings: DistillationSettings,
        *,
        paster: PeoplePaster,
        pasted: frozenset[str],
    ) -> None:
        """Prepare the optimiser; `pasted` names the data sets that people are pasted into."""
        assert model.student is not None, "the starting model has a head where distill is true"
        self.name, self.settings = name, settings
        self._model, self._student = model, model.student
        self._paster, self._pasted = paster, pasted
        self.module = _DistillationLosses(model, settings)
        self.optimiser = torch.optim.Adam(self._student.parameters(), lr=settings.learning_rate)

    def train(self) -> None:
        """Hold everything but the head still, batch norms' statistics too."""
        self._model.eval().requires_grad_(False)
        self._student.train().requires_grad_(True)

    def label_total(self, tensors: dict[str, Tensor]) -> Tensor:
        """Nothing here is labelled."""
        return torch.ones((), device=tensors["infrared"].device)

    def describe(self) -> dict[str, Any]:
        """Nothing beside the losses."""
        return {}

    def augment(
        self, dataset: Dataset, sample: Sample, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Return `infrared` and `visible`, varied as for the stages."""
        share = self.settings.pasting_share if dataset.name in self._pasted else 0.0
        size = (self.settings.patch_height, self.settings.patch_width)
        pair = augment_pair(crop_pair(sample, rng, size), rng, self._paster, share)
        return {"infrared": pair["infrared"], "visible": pair["visible"]}


class _DistillationLosses(nn.Module):
    def __init__(self, model: UAAFusion, settings: DistillationSettings) -> None:
        super().__init__()
        self.model = model
        self._settings = settings

    def forward(
        self, infrared: Tensor, visible: Tensor, total: Tensor, share: float
    ) -> dict[str, Tensor]:
        """Return the weighted losses; `share` is this part's share of the step's batch."""
        wanted = Output.FUSED | Output.ATTENTION
        exact = Overheard(self.model.exact)
        # The target is computed in full precision whatever the student learns in.
        with torch.no_grad(), torch.autocast(infrared.device.type, enabled=False):
            target = self.model(infrared, visible, wanted, mode=exact)
        learned = Overheard(Realtime(self.model, FastSettings()), weighed=exact.weighed)
        result = self.model(infrared, visible, wanted, mode=learned)
        assert result.fused_B1HW is not None and target.fused_B1HW is not None
        fused = F.l1_loss(result.fused_B1HW, target.fused_B1HW)
        terms = {"fused": (self._settings.fused, fused)}
        if exact.gates:
            found, wanted_gates = (torch.cat(one.gates, dim=1) for one in (learned, exact))
            terms["attention"] = (self._settings.attention, F.mse_loss(found, wanted_gates))
        return {name: share * weight * term for name, (weight, term) in terms.items() if weight}
