"""What the trainer needs to know of a phase."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.phase_settings import PhaseSettings


class Phase(Protocol):
    """A part of a run with its own samples, losses and optimiser."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> PhaseSettings: ...

    @property
    def module(self) -> nn.Module:
        """forward(share=, total=, **tensors) returns the losses by name, ready to be added."""

    @property
    def optimiser(self) -> torch.optim.Optimizer: ...

    def augment(
        self, dataset: Dataset, sample: Sample, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Turn a sample into arrays of one size: float32 images, uint8 labels."""

    def label_total(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return what the cross-entropy of these tensors is divided by."""

    def train(self) -> None:
        """Put the modules into the mode that this phase trains in."""

    def describe(self) -> dict[str, Any]:
        """Return numbers worth a line beside the losses."""
