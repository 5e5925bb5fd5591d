"""Mode `exact`: attribution by the paper's own equations; the yardstick of the other modes.

The unfolding asks two questions of a frame: which source helps which region (w_i, section III-B),
and where does each stage look (A_k, section III-D)? A `Mode` answers them with an `Attribution` for
every frame: exactly here, at a lower price in fast.py, by a learned guess in student.py.

Shape legend: B batch, C classes, N channels, H and W pixels, h and w those of S's features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from uaafusion_ros.network.attribution import (
    Contributions,
    PathwayAttention,
    RegionShares,
    ScoresOfBlack,
    gate_of,
    per_class_contributions,
    share_of_contributions,
    shares_from_scores,
    single_threaded,
)
from uaafusion_ros.network.once import once
from uaafusion_ros.network.segmentation import SegmentationNetwork

if TYPE_CHECKING:
    from uaafusion_ros.network.unfolding import UAAFusion


class Frame:
    """One pair on its way through the model, and what S sees in its average f_0.

    S looks when somebody first asks, so that nothing is computed for nobody. infrared, visible and
    start, which is f_0, are [B,1,H,W] in 0..1.

    Args:
        regions_BHW: int64 ground truth that takes the place of S(f_0) (training).
    """

    def __init__(
        self,
        segmentation: SegmentationNetwork,
        infrared_B1HW: Tensor,
        visible_B1HW: Tensor,
        regions_BHW: Tensor | None = None,
    ) -> None:
        self.infrared, self.visible = infrared_B1HW, visible_B1HW
        self.start = (infrared_B1HW + visible_B1HW) / 2
        self._segmentation, self._given = segmentation, regions_BHW

    @once
    def features(self) -> Tensor:
        """What S's classifier reads of f_0, [B,N,h,w]."""
        with torch.no_grad():
            return self._segmentation.features(self.start)

    @once
    def guide(self) -> Tensor:
        """M = S(f_0), or the one-hot ground truth, [B,C,H,W]."""
        if self._given is not None:
            classes = self._segmentation.classes
            return F.one_hot(self._given, classes).permute(0, 3, 1, 2).to(self.start.dtype)
        with torch.no_grad():
            return self._segmentation.scores(self._logits)

    @once
    def labels(self) -> Tensor:
        """The regions, R_c where they equal c: int64 [B,H,W]."""
        if self._given is not None:
            return self._given
        with torch.no_grad():
            return self._segmentation.class_ids(self._logits)

    @once
    def _logits(self) -> Tensor:
        return self._segmentation.classify(self.features, self.start)


def pathway_of(model: UAAFusion, frame: Frame) -> PathwayAttention:
    """Return the A_k that the model's description asks for, before the first stage."""
    config = model.config
    return PathwayAttention(
        model.segmentation,
        frame.guide,
        smoothing=config.attention_smoothing,
        magnitude=config.attention_gain == "magnitude",
        from_blurred=config.attends_from_blurred,
    )


class Attribution(Protocol):
    """The answers for one frame."""

    def contributions(self) -> Contributions:
        """Which source helps which region."""

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        """Enter stage k = 0, 1, … with f_k: where it looks.

        Returns:
            sigmoid(A_k) [B,1,H,W]; None where it is one half everywhere.
        """


class Mode(Protocol):
    """A way of attribution. May remember frames, so it belongs to one stream of them."""

    def __call__(self, frame: Frame) -> Attribution:
        """Return the answers for the next frame."""

    def reset(self) -> None:
        """Forget earlier frames: the sequence has ended or jumped."""


class Exact:
    """Every frame by the model's own equations."""

    def __init__(self, model: UAAFusion) -> None:
        self._model, self._black = model, ScoresOfBlack()

    def __call__(self, frame: Frame) -> ExactAttribution:
        """See `Mode`."""
        return ExactAttribution(self._model, frame, self._black)

    def reset(self) -> None:
        """S(0), all that is kept, does not depend on the frames."""


class ExactAttribution:
    """See `Exact`."""

    def __init__(self, model: UAAFusion, frame: Frame, black: ScoresOfBlack) -> None:
        self._model, self._frame, self._black = model, frame, black

    def contributions(self) -> Contributions:
        """See `Attribution`."""
        if self._model.config.contributions == "per_class":
            return self._per_class()
        return self._completeness()

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        """See `Attribution`."""
        form = self._model.config.attention
        if form == "off":
            return None
        attention = self._pathway.update(fused_B1HW)
        return None if attention is None else gate_of(attention, form)

    @once
    def _pathway(self) -> PathwayAttention:
        return pathway_of(self._model, self._frame)

    def _per_class(self) -> Contributions:
        labels = self._frame.labels
        infrared, visible = single_threaded(
            lambda source: per_class_contributions(
                self._model.differentiated,
                source,
                labels,
                steps=self._model.config.attribution_steps,
                classes=len(self._model.config.classes),
            ),
            (self._frame.infrared, self._frame.visible),
        )
        share = share_of_contributions(infrared, visible)
        return RegionShares(infrared, visible, share).paint(labels)

    def _completeness(self) -> Contributions:
        # Over the whole image, integrated gradients sum to F_c(x) - F_c(black): two forward passes
        # and no gradient. They run as one batch.
        frame, segmentation = self._frame, self._model.segmentation
        with torch.no_grad():
            infrared, visible = segmentation(torch.cat((frame.infrared, frame.visible))).chunk(2)
            black = self._black(segmentation, frame.start)
            temperature = self._model.config.weight_temperature
            shares = shares_from_scores(infrared, visible, black, frame.labels, temperature)
        return shares.paint(frame.labels)
