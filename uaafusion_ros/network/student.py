"""Mode `realtime`: a small head says where exact attention would look; no gradient at run time.

It reads what the segmentation network sees in f_0 anyway, and says how much S would mind a change
of each place; what each stage did change is known. It is trained with the exact maps of its own
model as the target (training/distillation_phase.py). Which source helps which region needs no
gradient by itself (completeness): two forward passes tell, whose few numbers are kept for some
frames as mode `fast` keeps them.

Shape legend: B batch, K stages, N channels, H and W pixels; h and w are 1/8 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.attribution import (
    Contributions,
    Pathway,
    RegionShares,
    gate_of,
    smooth_by_pooling,
)
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.exact import Frame
from uaafusion_ros.network.fast import Fast
from uaafusion_ros.network.folding import fold, shrink
from uaafusion_ros.network.memory import Unit
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.once import once
from uaafusion_ros.network.segmentation import SegmentationNetwork

if TYPE_CHECKING:
    from uaafusion_ros.network.unfolding import UAAFusion

#: Pixels between two of the head's outputs; the maps it learns are smooth at this scale.
STRIDE = 8
_BLOCKS = 2
#: Of the logarithm of a gradient, whose scale says nothing; within what half precision holds.
_GREATEST_LOGARITHM = 8.0


class StudentHead(nn.Module):
    """Predicts the magnitude of every stage's gradient, up to its scale, at 1/8 of the size.

    A_k grows by the gradient's magnitude times that of f_k - f_{k-1} (or of f_k less its blurred
    self). The second factor is known at run time, and so only the first is left to be learned.
    """

    def __init__(self, config: ModelConfig, feature_channels: int) -> None:
        super().__init__()
        channels = config.student_channels
        seen = feature_channels + len(config.classes) + 2 * STRIDE**2
        self.entry = nn.Sequential(nn.Conv2d(seen, channels, 1), nn.PReLU())
        self.blocks = nn.ModuleList(Unit(channels, channels, channels) for _ in range(_BLOCKS))
        steps = config.stages + config.attends_from_blurred
        self.exit = nn.Conv2d(channels, steps, 1)
        nn.init.zeros_(self.exit.weight)
        assert self.exit.bias is not None
        nn.init.zeros_(self.exit.bias)

    def forward(self, view_BNhw: Tensor, images_B2HW: Tensor) -> Tensor:
        """Return the magnitude of the gradient at f_1, f_2, …, [B,K,h,w], more than 0.

        For paths from blurred images at f_0, f_1, …, [B,K+1,h,w].

        Args:
            view_BNhw: S's features and scores of f_0.
            images_B2HW: infrared and visible, 0..1.
        """
        hidden = self.entry(torch.cat((view_BNhw, fold(images_B2HW, STRIDE)), dim=1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        logarithm = self.exit(hidden).float()
        return logarithm.clamp(-_GREATEST_LOGARITHM, _GREATEST_LOGARITHM).exp()


class Realtime:
    """Looks where the model's student head says; weighs as mode `fast` does.

    Args:
        settings: how often the sources are judged.
    """

    def __init__(self, model: UAAFusion, settings: FastSettings) -> None:
        # F_c(black), the same for both sources, is dropped: it costs a pass that only the
        # contributions would show, and no weight by evidence.
        self._model, self._fast = model, Fast(model, settings, black=_nothing)

    def __call__(self, frame: Frame) -> StudentAttribution:
        """See `Mode`."""
        return StudentAttribution(self._model, frame, self._fast(frame).shares)

    def kept(self, infrared_B1HW: Tensor, visible_B1HW: Tensor) -> RegionShares | None:
        """See `Fast.kept`."""
        return self._fast.kept(infrared_B1HW, visible_B1HW)

    def knows(self, labels_BHW: Tensor) -> bool:
        """See `Fast.knows`."""
        return self._fast.knows(labels_BHW)

    def skip(self) -> None:
        """See `Fast.skip`."""
        self._fast.skip()

    def reset(self) -> None:
        """See `Mode`."""
        self._fast.reset()

    def state(self) -> dict[str, Any]:
        """See `Fast`."""
        return self._fast.state()

    def restore(self, state: dict[str, Any]) -> None:
        """See `Fast`."""
        self._fast.restore(state)


class RealtimeWithShares:
    """Realtime mode for one frame whose sources somebody else has judged.

    Args:
        shares: of every class that has a region in the frame.
    """

    def __init__(self, model: UAAFusion, shares: RegionShares) -> None:
        self._model, self._shares = model, shares

    def __call__(self, frame: Frame) -> StudentAttribution:
        """See `Mode`."""
        return StudentAttribution(self._model, frame, lambda: self._shares)

    def reset(self) -> None:
        """See `Mode`; nothing is kept but what was given."""


class StudentAttribution:
    """See `Realtime`.

    Args:
        shares: returns what the sources were judged at.
    """

    def __init__(self, model: UAAFusion, frame: Frame, shares: Callable[[], RegionShares]) -> None:
        self._model, self._frame, self.shares = model, frame, shares
        self._pathway = Pathway(self._guess, from_blurred=model.config.attends_from_blurred)

    def contributions(self) -> Contributions:
        """See `Attribution`."""
        return self.shares().paint(self._frame.labels)

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        """See `Attribution`."""
        form = self._model.config.attention
        if form == "off":
            return None
        attention = self._pathway.update(fused_B1HW)
        if attention is None:
            return None
        height, width = fused_B1HW.shape[-2:]
        whole = F.interpolate(
            gate_of(attention, form), scale_factor=STRIDE, mode="bilinear", align_corners=False
        )
        return whole[..., :height, :width]

    def _guess(self, stage: int, fused: Tensor, change: Tensor) -> Tensor:
        """What stage k adds to A_k, [B,1,h,w]."""
        gain = self._gradients[:, stage - 1 : stage] * shrink(change.abs(), STRIDE)
        width = self._model.config.attention_smoothing // STRIDE // 2 * 2 + 1
        return smooth_by_pooling(gain, width)

    @once
    def _gradients(self) -> Tensor:
        head = self._model.student
        assert head is not None, "resolve_mode refuses models without a head"
        frame = self._frame
        view = _view(self._model.segmentation, frame.features)
        return head(view, torch.cat((frame.infrared, frame.visible), dim=1))


def _nothing(segmentation: nn.Module, like_B1HW: Tensor) -> Tensor:
    assert isinstance(segmentation, SegmentationNetwork)
    return torch.zeros_like(like_B1HW).expand(-1, segmentation.classes, -1, -1)


@torch.no_grad()
def _view(segmentation: SegmentationNetwork, features_BNhw: Tensor) -> Tensor:
    """Features and, last, class scores [B,N+C,h,w]."""
    scores = segmentation.scores(segmentation.classifier(features_BNhw))
    both = torch.cat((features_BNhw, scores.to(features_BNhw.dtype)), dim=1)
    return shrink(both, STRIDE // segmentation.feature_stride)
