"""Attention as trust: without evidence, fine detail counts as noise.

The unfolded problem weighs the data against a prior. Here attention says how much of the prior a
place needs: where the segmentation finds nothing, as in the grain of a night sky, the stages learn
to smooth; where it finds something, to keep all that either camera shows.

Shape legend: B batch, H and W pixels; images are luminance in 0..1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from uaafusion_ros.network.attribution import smooth
from uaafusion_ros.network.exact import Attribution, Frame, Mode

#: sigmoid(A_k) where it says nothing.
NOTHING = 0.5


def without_noise(source_B1HW: Tensor, gate_B1HW: Tensor, width: int, evidence: float) -> Tensor:
    """Smooth a source where there is no evidence, [B,1,H,W].

    Args:
        gate_B1HW: sigmoid(A_k).
        width: box (pixels, odd) that is averaged over, twice.
        evidence: the gate from which on all detail stays; in between, a part of it.
    """
    kept = ((gate_B1HW - NOTHING) / (evidence - NOTHING)).clamp(0, 1)
    return torch.lerp(smooth(source_B1HW, width), source_B1HW, kept)


class Blinded:
    """A mode that finds no evidence in some images of a batch, as with the attention off.

    Args:
        blind_B111: 1 for those images, 0 for others.
    """

    def __init__(self, mode: Mode, blind_B111: Tensor) -> None:
        self._mode, self._blind = mode, blind_B111 > 0

    def __call__(self, frame: Frame) -> Attribution:
        """See `Mode`."""
        self._attribution = self._mode(frame)
        self.contributions = self._attribution.contributions
        return self

    def reset(self) -> None:
        """See `Mode`."""
        self._mode.reset()

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        """See `Attribution`."""
        gate = self._attribution.gate(fused_B1HW)
        return None if gate is None else gate.masked_fill(self._blind, NOTHING)
