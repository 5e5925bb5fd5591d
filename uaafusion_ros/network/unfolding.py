"""UAAFusion: deep unfolding of attribution-guided fusion (arXiv 2502.01467, TCSVT 2024).

min_f 1/2 |sqrt(w_i)(f - i)|^2 + 1/2 |sqrt(w_v)(f - v)|^2 + lambda prior(f) is unfolded into K
stages; each takes a gradient step on the data terms and a learned proximal step on the prior.

Shape legend: B batch, C classes, H and W pixels; images are luminance in 0..1.
"""

from __future__ import annotations

import copy
import enum
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.attribution import (
    Contributions,
    PathwayAttention,
    normalise_attention,
    per_class_contributions,
    region_scores,
    single_threaded,
    weights_from_contributions,
    weights_from_evidence,
)
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.memory import Memory, Unit
from uaafusion_ros.network.segmentation import SegmentationNetwork

MINIMUM_SIDE = 32
INITIAL_STEP = 0.001
#: Keeps the logit of black and white finite; less than one grey level of 255.
RESIDUAL_MARGIN = 0.003


class Output(enum.Flag):
    """What a caller wants; work that reaches none of it is left out."""

    FUSED = enum.auto()
    CONTRIBUTIONS = enum.auto()
    ATTENTION = enum.auto()
    LABELS = enum.auto()
    SCORES = enum.auto()
    ALL = FUSED | CONTRIBUTIONS | ATTENTION | LABELS | SCORES


@dataclass(frozen=True)
class FusionOutput:
    """The outputs that were asked for; the others are None.

    fused_B1HW: fused luminance in 0..1, before any stretch.
    contributions: contributions and infrared weight of every region.
    attention_B1HW: sigmoid(A) of the last stage in 0..1; one half where it says nothing.
    labels_BHW: the regions, argmax of S(f_0), int64.
    scores_BCHW: S of the fused image.
    """

    fused_B1HW: Tensor | None = None
    contributions: Contributions | None = None
    attention_B1HW: Tensor | None = None
    labels_BHW: Tensor | None = None
    scores_BCHW: Tensor | None = None


class ProximalStep(nn.Module):
    """Prox_k with its memory (paper, section III-D, figure 4)."""

    def __init__(self, config: ModelConfig, stage: int) -> None:
        super().__init__()
        pixels, channels = config.unshuffle**2, config.channels
        self.image_entry = Unit(pixels, channels, channels)
        self.long_entry = Unit(3 * channels, channels, channels)
        self.gated = Unit(channels, channels, channels)
        self.image_exit = Unit(channels, channels // 2, pixels)
        self.residual = config.residual
        if config.residual:
            # The first step of training then hands the image on as it is.
            self.image_exit.silence()
        # What the last stage would remember reaches no output.
        self.memory = Memory(channels, has_state=stage > 0) if stage < config.stages - 1 else None

    def forward(
        self, fused: Tensor, gate: Tensor | None, memories: _Memories
    ) -> tuple[Tensor, _Memories]:
        """Return the next fused image and memories; `gate` is sigmoid(A_k), None for one half."""
        features = self.image_entry(fused)
        long = self.long_entry(torch.cat((features, memories.long, memories.short), dim=1))
        short = torch.addcmul(long, self.gated(long), _HALF.to(long) if gate is None else gate)
        result = self.image_exit(short)
        if self.residual:
            result = result + fused.logit(eps=RESIDUAL_MARGIN)
        result = result.sigmoid()
        state = memories.state
        if self.memory is not None:
            long, state = self.memory(features, long, short, state)
        return result, _Memories(long, short, state)


@dataclass(frozen=True)
class _Memories:
    long: Tensor
    short: Tensor
    state: tuple[Tensor, Tensor] | None


_HALF = torch.tensor(0.5)


class UAAFusion(nn.Module):
    """Fuses an infrared and a visible luminance image, steered by attribution of `segmentation`.

    Input: infrared and visible [B,1,H,W] in 0..1, equal shapes, sides of at least 32, B >= 1.

    Raises:
        ValueError: shapes that differ or are too small.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.segmentation = SegmentationNetwork(config)
        pixels, half = config.unshuffle**2, config.channels // 2
        self.infrared_entry = Unit(pixels, half, half)
        self.visible_entry = Unit(pixels, half, half)
        self.stages = nn.ModuleList(ProximalStep(config, k) for k in range(config.stages))
        self.step_sizes = nn.Parameter(torch.full((config.stages,), INITIAL_STEP))
        self._has_data_step = True
        self._black_scores: Tensor | None = None
        self._differentiated: SegmentationNetwork | None = None

    def prepare_for_inference(self) -> UAAFusion:
        """Fold batch norms, freeze all parameters and note whether the data step does anything."""
        self.eval().requires_grad_(False)
        if self.config.contributions == "per_class":
            # Folding rounds anew, and these gradients jump at the kinks of ReLU6: contributions
            # that match the release to 1e-4 need its arithmetic.
            self._differentiated = copy.deepcopy(self.segmentation)
        self.segmentation.fold()
        self._black_scores = None
        self._has_data_step = bool((self.step_sizes != 0).any())
        return self

    def forward(
        self,
        infrared_B1HW: Tensor,
        visible_B1HW: Tensor,
        outputs: Output = Output.ALL,
        *,
        regions_BHW: Tensor | None = None,
    ) -> FusionOutput:
        """Compute what `outputs` names.

        Args:
            regions_BHW: int64 ground truth that takes the place of argmax S(f_0) (training).
        """
        _check_images(infrared_B1HW, visible_B1HW)
        start = (infrared_B1HW + visible_B1HW) / 2
        guide, labels = self._regions(start, outputs, regions_BHW)
        contributions = None
        if labels is not None and (
            Output.CONTRIBUTIONS in outputs or self._weights_are_used(outputs)
        ):
            contributions = self.contributions(infrared_B1HW, visible_B1HW, labels)
        fused, gate = None, None
        if outputs & (Output.FUSED | Output.ATTENTION | Output.SCORES):
            target = None
            if contributions is not None and self._weights_are_used(outputs):
                weight = contributions.infrared_weight_B1HW
                target = torch.lerp(visible_B1HW, infrared_B1HW, weight)
            fused, gate = self._unfold(infrared_B1HW, visible_B1HW, start, target, guide, outputs)
        scores = None
        if fused is not None and Output.SCORES in outputs:
            scores = self.segmentation(fused)
        return FusionOutput(
            fused_B1HW=fused if Output.FUSED in outputs else None,
            contributions=contributions if Output.CONTRIBUTIONS in outputs else None,
            attention_B1HW=gate if Output.ATTENTION in outputs else None,
            labels_BHW=labels if Output.LABELS in outputs else None,
            scores_BCHW=scores,
        )

    def contributions(
        self, infrared_B1HW: Tensor, visible_B1HW: Tensor, labels_BHW: Tensor
    ) -> Contributions:
        """Return both sources' contributions and the infrared weight, in the model's own form."""
        if self.config.contributions == "per_class":
            infrared, visible = single_threaded(
                lambda source: per_class_contributions(
                    self._differentiated or self.segmentation,
                    source,
                    labels_BHW,
                    steps=self.config.attribution_steps,
                    classes=len(self.config.classes),
                ),
                (infrared_B1HW, visible_B1HW),
            )
            weight = weights_from_contributions(infrared, visible, labels_BHW)
            return Contributions(infrared, visible, weight)
        return self._completeness_contributions(infrared_B1HW, visible_B1HW, labels_BHW)

    def _completeness_contributions(
        self, infrared_B1HW: Tensor, visible_B1HW: Tensor, labels_BHW: Tensor
    ) -> Contributions:
        # Over the whole image, integrated gradients sum to F_c(x) - F_c(black): two forward passes
        # and no gradient. They run as one batch.
        with torch.no_grad():
            both = self.segmentation(torch.cat((infrared_B1HW, visible_B1HW)))
            infrared, visible = (region_scores(part, labels_BHW) for part in both.chunk(2))
            black = region_scores(self._scores_of_black(infrared_B1HW), labels_BHW)
            gains = (infrared - black).relu(), (visible - black).relu()
        if self.config.weight_temperature > 0:
            weight = weights_from_evidence(
                infrared, visible, labels_BHW, self.config.weight_temperature
            )
        else:
            weight = weights_from_contributions(*gains, labels_BHW)
        return Contributions(*gains, weight)

    def _scores_of_black(self, like_B1HW: Tensor) -> Tensor:
        """S(0) of this size; while parameters are frozen it is computed once a size."""
        cached = self._black_scores
        if (
            cached is None
            or cached.shape[-2:] != like_B1HW.shape[-2:]
            or cached.device != like_B1HW.device
            or any(parameter.requires_grad for parameter in self.segmentation.parameters())
        ):
            cached = self.segmentation(torch.zeros_like(like_B1HW[:1]))
            self._black_scores = cached
        return cached.expand(like_B1HW.shape[0], -1, -1, -1)

    def _regions(
        self, start: Tensor, outputs: Output, given: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return M and the region labels, each None when nothing asked for needs it."""
        unfolds = bool(outputs & (Output.FUSED | Output.ATTENTION | Output.SCORES))
        needs_guide = unfolds and self.config.attention != "off" and self.config.stages > 1
        needs_labels = bool(
            outputs & (Output.LABELS | Output.CONTRIBUTIONS)
        ) or self._weights_are_used(outputs)
        if given is not None:
            one_hot = F.one_hot(given, len(self.config.classes)).permute(0, 3, 1, 2)
            return one_hot.to(start.dtype), given
        if not needs_guide and not needs_labels:
            return None, None
        with torch.no_grad():
            guide = self.segmentation(start)
            return (guide if needs_guide else None), (guide.argmax(dim=1) if needs_labels else None)

    def _weights_are_used(self, outputs: Output) -> bool:
        return self._has_data_step and bool(
            outputs & (Output.FUSED | Output.ATTENTION | Output.SCORES)
        )

    def _unfold(
        self,
        infrared: Tensor,
        visible: Tensor,
        start: Tensor,
        target: Tensor | None,
        guide: Tensor | None,
        outputs: Output,
    ) -> tuple[Tensor | None, Tensor]:
        """Run the stages from f_0; return the fused image and the last stage's sigmoid(A)."""
        height, width = start.shape[-2:]
        entries = torch.cat(
            (self.infrared_entry(self._fold(infrared)), self.visible_entry(self._fold(visible))),
            dim=1,
        )
        memories = _Memories(entries, entries, None)
        attention = None
        if guide is not None:
            attention = PathwayAttention(
                self.segmentation, guide, smoothing=self.config.attention_smoothing
            )
        fused, gate = start, None
        needs_last = bool(outputs & (Output.FUSED | Output.SCORES))
        for index, stage in enumerate(self.stages):
            if attention is not None:
                gate = self._gate(attention.update(fused))
            if index == len(self.stages) - 1 and not needs_last:
                break
            if target is not None:
                fused = torch.lerp(fused, target, self.step_sizes[index])
            folded, memories = stage(self._fold(fused), self._fold_gate(gate), memories)
            # Autocast hands back half precision; the data step and the attribution keep theirs.
            fused = self._unfold_pixels(folded, height, width).to(start.dtype)
        gate = torch.full_like(start, 0.5) if gate is None else gate
        return (fused if needs_last else None), gate

    def _gate(self, attention: Tensor | None) -> Tensor | None:
        if attention is None:
            return None
        if self.config.attention == "normalised":
            attention = normalise_attention(attention)
        return attention.sigmoid()

    def _fold(self, image: Tensor) -> Tensor:
        """[B,1,H,W] to [B,r*r,h,w]; sides that r does not divide are padded by repetition."""
        ratio = self.config.unshuffle
        if ratio == 1:
            return image
        height, width = image.shape[-2:]
        padding = (0, -width % ratio, 0, -height % ratio)
        if any(padding):
            image = F.pad(image, padding, mode="replicate")
        return F.pixel_unshuffle(image, ratio)

    def _fold_gate(self, gate: Tensor | None) -> Tensor | None:
        if gate is None or self.config.unshuffle == 1:
            return gate
        return self._fold(gate).mean(dim=1, keepdim=True)

    def _unfold_pixels(self, folded: Tensor, height: int, width: int) -> Tensor:
        if self.config.unshuffle == 1:
            return folded
        return F.pixel_shuffle(folded, self.config.unshuffle)[..., :height, :width]


def _check_images(infrared: Tensor, visible: Tensor) -> None:
    if infrared.shape != visible.shape or infrared.dim() != 4 or infrared.shape[1] != 1:
        raise ValueError(
            f"infrared is {list(infrared.shape)} and visible {list(visible.shape)}, "
            "expected the same [B,1,H,W]"
        )
    if infrared.shape[0] < 1 or min(infrared.shape[-2:]) < MINIMUM_SIDE:
        raise ValueError(
            f"images are {list(infrared.shape)}, expected sides of at least {MINIMUM_SIDE} pixels"
        )
