"""Mode `realtime`: a small head says what exact attribution would say; no gradient at run time.

It looks at the pair through the segmentation network: at what that sees in f_0 anyway, and at what
it sees in both sources at half their size. It is trained with the exact maps of its own model as
the target (training/distillation_phase.py).

Shape legend: B batch, C classes, K stages, N channels, H and W pixels; h and w are 1/8 of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.attribution import Contributions, RegionShares
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.exact import Frame
from uaafusion_ros.network.folding import fold, shrink
from uaafusion_ros.network.memory import Unit
from uaafusion_ros.network.segmentation import SegmentationNetwork

if TYPE_CHECKING:
    from uaafusion_ros.network.unfolding import UAAFusion

#: Pixels between two of the head's outputs; the maps it learns are smooth at this scale.
STRIDE = 8
#: The sources are judged at such a part of their size.
SOURCE_SCALE = 2
_BLOCKS = 2


class StudentHead(nn.Module):
    """Predicts the logits of every stage's gate and of every class's weight, at 1/8 of the size."""

    def __init__(self, config: ModelConfig, feature_channels: int) -> None:
        super().__init__()
        channels, classes = config.student_channels, len(config.classes)
        self._splits = (config.stages, classes)
        views = 3 * (feature_channels + classes)
        self.entry = nn.Sequential(nn.Conv2d(views + 2 * STRIDE**2, channels, 1), nn.PReLU())
        self.blocks = nn.ModuleList(Unit(channels, channels, channels) for _ in range(_BLOCKS))
        self.exit = nn.Conv2d(channels, sum(self._splits), 1)
        # An untrained head adds nothing.
        for parameter in self.exit.parameters():
            nn.init.zeros_(parameter)

    def forward(self, views_BNhw: Tensor, images_B2HW: Tensor) -> tuple[Tensor, Tensor]:
        """Return A_1 … A_K [B,K,h,w] and what to add to the weights' logits [B,C,h,w].

        Args:
            views_BNhw: S's features and scores of f_0 and of both sources.
            images_B2HW: infrared and visible, 0..1.
        """
        hidden = self.entry(torch.cat((views_BNhw, fold(images_B2HW, STRIDE)), dim=1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        attention, weights = self.exit(hidden).float().split(self._splits, dim=1)
        return attention, weights


class Realtime:
    """Every frame by the model's student head."""

    def __init__(self, model: UAAFusion) -> None:
        self._model = model

    def __call__(self, frame: Frame) -> StudentAttribution:
        """See `Mode`."""
        return StudentAttribution(self._model, frame)

    def reset(self) -> None:
        """Nothing is kept."""


class StudentAttribution:
    """See `Realtime`."""

    def __init__(self, model: UAAFusion, frame: Frame) -> None:
        self._model, self._frame = model, frame
        self._stage = 0

    def contributions(self) -> Contributions:
        """See `Attribution`. Of the contributions only the shares are known: they add up to 1."""
        labels = self._frame.labels
        _, logits = self._predicted
        classes = torch.arange(logits.shape[1], device=labels.device)[:, None, None]
        regions = shrink((labels[:, None] == classes).to(logits.dtype), STRIDE)
        areas = regions.sum(dim=(2, 3))
        share = ((logits * regions).sum(dim=(2, 3)) / areas.clamp(min=1e-6)).sigmoid()
        present = areas > 0
        return RegionShares(share * present, (1 - share) * present, share).paint(labels)

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        """See `Attribution`."""
        stage, self._stage = self._stage, self._stage + 1
        if stage == 0 or self._model.config.attention == "off":
            return None
        attention, _ = self._predicted
        gate = attention[:, stage - 1 : stage].sigmoid()
        height, width = fused_B1HW.shape[-2:]
        whole = F.interpolate(gate, scale_factor=STRIDE, mode="bilinear", align_corners=False)
        return whole[..., :height, :width]

    @cached_property
    def _predicted(self) -> tuple[Tensor, Tensor]:
        """A_1 … A_K [B,K,h,w] and the logits of the weights [B,C,h,w]."""
        frame, segmentation, head = self._frame, self._model.segmentation, self._model.student
        assert head is not None, "resolve_mode refuses models without a head"
        with torch.no_grad():
            sources = torch.cat((frame.infrared, frame.visible))
            average = _view(segmentation, frame.features, 1)
            coarse = segmentation.features(shrink(sources, SOURCE_SCALE))
            infrared, visible = _view(segmentation, coarse, SOURCE_SCALE).chunk(2)
        views = torch.cat((average, infrared, visible), dim=1)
        attention, logits = head(views, torch.cat((frame.infrared, frame.visible), dim=1))
        temperature = self._model.config.weight_temperature
        if temperature > 0:
            # The evidence that was seen; the head corrects what half the size got wrong.
            classes = logits.shape[1]
            logits = logits + (infrared - visible)[:, -classes:].float() / temperature
        return attention, logits


def _view(segmentation: SegmentationNetwork, features: Tensor, scale: int) -> Tensor:
    """Features and, last, class scores [B,N+C,h,w] of images at 1/`scale` of their size."""
    scores = segmentation.scores(segmentation.classifier(features))
    ratio = STRIDE // (scale * segmentation.feature_stride)
    return shrink(torch.cat((features, scores.to(features.dtype)), dim=1), ratio)
