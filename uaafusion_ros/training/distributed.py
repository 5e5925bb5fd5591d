"""One process or many: the few operations that training needs between them.

Started by torchrun, every process computes its part of a step's batch and plain
DistributedDataParallel averages the gradients. Alone, all of this does nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from uaafusion_ros.inference.errors import SettingsError


@dataclass(frozen=True)
class Processes:
    """This process's place among `world` processes, and its device."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def start(cls, device: str) -> Processes:
        """Join the processes that torchrun started, or stand alone.

        Raises:
            SettingsError: an unknown device, or CUDA without a GPU.
        """
        world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
        chosen = _device(device, local if world > 1 else None)
        if world == 1:
            return cls(0, 1, chosen)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), chosen)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def part_of(self, samples: int, *, together: int = 1) -> list[int]:
        """Return the samples that fall to this process; all processes together have them all.

        Args:
            together: deal out so many in a row at a time. Where several models take turns, a round
                of all of them: otherwise two models and two processes would leave the slow model
                to one process while the other has nothing to do.
        """
        return [index for index in range(samples) if index // together % self.world == self.rank]

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of `values` over all processes."""
        if self.world == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values / self.world

    def gather(self, value: Any) -> list[Any]:
        """Return every process's plain value, in order of rank."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def from_first(self, value: Any) -> Any:
        """Return the first process's plain value."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    def wrap(self, module: nn.Module) -> nn.Module:
        """Average the gradients of `module` over the processes."""
        if self.world == 1:
            return module
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def close(self) -> None:
        """Leave the others."""
        if self.world > 1:
            dist.destroy_process_group()


class MeanOverProcesses(torch.autograd.Function):
    """The mean of a tensor over all processes; gradients flow back through it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values / dist.get_world_size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient / dist.get_world_size()


def _device(name: str, local_rank: int | None) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"device is {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device is {name!r} but torch finds no GPU; use device=cpu")
    if device.type == "cuda":
        index = local_rank if local_rank is not None else device.index or 0
        return torch.device("cuda", index)
    return device
