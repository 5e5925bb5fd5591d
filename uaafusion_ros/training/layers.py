"""Layers whose result must not depend on how a batch is divided among processes.

They take the places of batch norm and dropout while a network trains; names and shapes of the
weights stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.training.distributed import MeanOverProcesses, Processes


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """Batch norm with the statistics of all processes; torch's own exists for GPUs only.

    Every process must bring as many samples as the others.
    """

    world = 1

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        # Statistics of half precision would not be worth synchronising.
        values = input.to(torch.promote_types(input.dtype, self.weight.dtype))
        mean = MeanOverProcesses.apply(values.mean(dim=(0, 2, 3)))
        centred = values - mean[:, None, None]
        variance = MeanOverProcesses.apply(centred.square().mean(dim=(0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), values.numel() // values.shape[1])
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, local_count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        count = local_count * self.world
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


class SampleDropout(nn.Module):
    """Dropout whose mask depends on the sample, not on its place in a batch."""

    def __init__(self, probability: float, number: int) -> None:
        super().__init__()
        self.probability, self.number = probability, number
        self.seeds: Sequence[int] = ()

    def forward(self, features: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return features
        if len(self.seeds) != features.shape[0]:
            return F.dropout(features, self.probability)
        masks = [self._mask(seed, features[0]) for seed in self.seeds]
        return features * torch.stack(masks) / (1 - self.probability)

    def _mask(self, seed: int, like: Tensor) -> Tensor:
        generator = torch.Generator(like.device).manual_seed(seed + self.number)
        drawn = torch.rand(like.shape, generator=generator, device=like.device)
        return (drawn >= self.probability).to(like.dtype)


def prepare_layers(network: nn.Module, processes: Processes) -> None:
    """Replace batch norm (with many processes) and dropout of `network`, in place."""
    number = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(parent, name, SampleDropout(child.p, number))
                number += 1
            elif type(child) is nn.BatchNorm2d and processes.world > 1:
                setattr(parent, name, _synchronised(child, processes))


def set_sample_seeds(network: nn.Module, keys: Sequence[tuple[int, ...]]) -> None:
    """Name the samples of the next batch to every dropout layer."""
    seeds = [int(np.random.SeedSequence(key).generate_state(1)[0]) << 8 for key in keys]
    for module in network.modules():
        if isinstance(module, SampleDropout):
            module.seeds = seeds


def _synchronised(norm: nn.BatchNorm2d, processes: Processes) -> nn.Module:
    if processes.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(norm)
    replacement = SynchronisedBatchNorm(norm.num_features, eps=norm.eps).to(norm.weight)
    replacement.momentum = norm.momentum
    replacement.load_state_dict(norm.state_dict())
    replacement.world = processes.world
    return replacement
