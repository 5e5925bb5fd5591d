"""A model whose fused images the stages imitate while they learn something beside."""

from __future__ import annotations

import torch
from torch import Tensor

from uaafusion_ros.inference.models import find_model
from uaafusion_ros.network.attribution import Contributions
from uaafusion_ros.network.checkpoint import load_checkpoint
from uaafusion_ros.network.unfolding import Output, UAAFusion
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
        model, _ = load_checkpoint(find_model(name))
        self._model: UAAFusion = model.to(device).prepare_for_inference()

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
