"""Learning rate over a phase, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_START, _END = 1 / 25, 1 / 25e4
_CALM, _LIVELY = 0.95, 0.85


def one_cycle(step: int, steps: int, rise: float) -> tuple[float, float]:
    """Return the part of the peak learning rate and Adam's first beta at `step` of `steps`.

    The one-cycle policy (Smith 2018) as cosines. A function of the step alone, so that nothing of
    it has to be saved.
    """
    top, end = max(rise * steps - 1, 0.0), max(steps - 1, 1)
    if step <= top and top > 0:
        return _cosine(_START, 1, step / top), _cosine(_CALM, _LIVELY, step / top)
    share = (step - top) / max(end - top, 1)
    return _cosine(1, _END, share), _cosine(_LIVELY, _CALM, share)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


class WeightAverage:
    """Exponential moving average of all weights and running statistics of a model."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay, self._updates = decay, 0
        self._values = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model; at first faster than `decay`, so that the start is forgotten."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self._values[name].lerp_(value, 1 - decay)
            else:
                self._values[name].copy_(value)

    def copy_to(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        model.load_state_dict(self._values)

    def state(self) -> dict[str, int | dict[str, Tensor]]:
        """Return what `restore` takes."""
        return {"updates": self._updates, "values": self._values}

    def restore(self, state: dict) -> None:
        """Continue from `state`."""
        self._updates = int(state["updates"])
        for name, value in state["values"].items():
            self._values[name].copy_(value)
