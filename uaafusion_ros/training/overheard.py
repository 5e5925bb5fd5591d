"""What a mode of attribution says during training, heard by the losses."""

from __future__ import annotations

from torch import Tensor

from uaafusion_ros.network.attribution import Contributions
from uaafusion_ros.network.exact import Attribution, Frame, Mode


class Overheard:
    """A mode for one frame, of which is kept what it said.

    gates: those that are not one half. weighed: which source helps which region, if asked.

    Args:
        weighed: said instead of asking the mode, where it would say the same.
    """

    def __init__(self, mode: Mode, weighed: Contributions | None = None) -> None:
        self._mode, self.weighed = mode, weighed
        self.gates: list[Tensor] = []

    def __call__(self, frame: Frame) -> Attribution:
        self._attribution = self._mode(frame)
        return self

    def reset(self) -> None:
        self._mode.reset()

    def contributions(self) -> Contributions:
        if self.weighed is None:
            self.weighed = self._attribution.contributions()
        return self.weighed

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        gate = self._attribution.gate(fused_B1HW)
        if gate is not None:
            self.gates.append(gate)
        return gate
