"""A model whose fused images the stages imitate while they learn something beside."""

from __future__ import annotations

import torch
from torch import Tensor

from uaafusion_ros.network.attribution import Contributions
from uaafusion_ros.network.unfolding import Output
from uaafusion_ros.training.fused_views import finished_model
from uaafusion_ros.training.overheard import Overheard


class Teacher:
    """Fuses as a finished model does, attention and all: without, it may have learned to smooth.

    Args:
        name: of a model that ships, or its file.
        device: where the images will be.

    Raises:
        CheckpointError: it cannot be read.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._model = finished_model(name, device)

    @torch.no_grad()
    def __call__(self, infrared: Tensor, visible: Tensor, weighed: Contributions) -> Tensor:
        """Return the fused luminance, [B,1,H,W] in 0..1.

        Args:
            weighed: which source helps which region; asking again would cost most of a fusion.
        """
        mode = Overheard(self._model.exact, weighed)
        fused = self._model(infrared, visible, Output.FUSED, mode=mode).fused_B1HW
        assert fused is not None
        return fused
