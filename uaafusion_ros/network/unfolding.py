"""UAAFusion: deep unfolding of attribution-guided fusion (arXiv 2502.01467, TCSVT 2024).

min_f 1/2 |sqrt(w_i)(f - i)|^2 + 1/2 |sqrt(w_v)(f - v)|^2 + lambda prior(f) is unfolded into K
stages; each takes a gradient step on the data terms and a learned proximal step on the prior.

Shape legend: B batch, C classes, H and W pixels; images are luminance in 0..1.
"""

from __future__ import annotations

import copy
import enum
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from uaafusion_ros.network.attribution import Contributions
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.encoder import CHROMA_CHANNELS
from uaafusion_ros.network.exact import Attribution, Exact, Frame, Mode
from uaafusion_ros.network.fast import Fast
from uaafusion_ros.network.folding import fold, shrink, unfold
from uaafusion_ros.network.memory import Memory, Unit
from uaafusion_ros.network.modes import FastSettings, resolve_mode
from uaafusion_ros.network.segmentation import SegmentationNetwork, class_ids
from uaafusion_ros.network.student import Realtime, StudentHead

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
    MASK = enum.auto()
    SCORES = enum.auto()
    ALL = FUSED | CONTRIBUTIONS | ATTENTION | LABELS | MASK | SCORES


@dataclass(frozen=True)
class FusionOutput:
    """The outputs that were asked for; the others are None.

    fused_B1HW: fused luminance in 0..1, before any stretch.
    contributions: contributions and infrared weight of every region.
    attention_B1HW: sigmoid(A_K) in 0..1, over the whole path f_0 to f_K; one half where it says
        nothing.
    labels_BHW: the regions, argmax of S(f_0), int64.
    mask_BHW: the class of the highest score of S of the fused image, int64.
    scores_BCHW: S of the fused image, the mean over its readings.
    """

    fused_B1HW: Tensor | None = None
    contributions: Contributions | None = None
    attention_B1HW: Tensor | None = None
    labels_BHW: Tensor | None = None
    mask_BHW: Tensor | None = None
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
        self.student: StudentHead | None = None
        if config.student_channels:
            self.student = StudentHead(config, self.segmentation.feature_channels)
        self._has_data_step = True
        self._differentiated: SegmentationNetwork | None = None
        self.exact: Mode = Exact(self)

    def prepare_for_inference(self, *, channels_last: bool = False) -> UAAFusion:
        """Fold batch norms, freeze all parameters and note whether the data step does anything.

        Args:
            channels_last: keep the weights in the order that suits depthwise convolutions on CPUs.
        """
        self.eval().requires_grad_(False)
        if self.config.contributions == "per_class":
            # Folding rounds anew, and these gradients jump at the kinks of ReLU6: contributions
            # that match the release to 1e-4 need its arithmetic.
            self._differentiated = copy.deepcopy(self.segmentation)
        self.segmentation.fold()
        if channels_last:
            for part in (self.segmentation, self.infrared_entry, self.visible_entry, self.stages):
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.exact = Exact(self)
        self._has_data_step = bool((self.step_sizes != 0).any())
        return self

    def read_masks_at(self, sizes: tuple[float, ...]) -> None:
        """Read masks at other sizes than the description says; see `ModelConfig.mask_sizes`.

        Raises:
            ConfigError: sizes that cannot be.
        """
        self.config = replace(self.config, mask_sizes=sizes)
        self.segmentation.mask_sizes = sizes

    @property
    def differentiated(self) -> SegmentationNetwork:
        """S in the arithmetic that it was trained in, for gradients that tell their roundings."""
        return self._differentiated or self.segmentation

    def mode(self, name: str, fast: FastSettings) -> Mode:
        """Return the way of attribution that `name` means, to be kept for one stream of frames.

        Raises:
            ModeError: an unknown mode, or one that this model does not have.
        """
        resolved = resolve_mode(name, self.config)
        if resolved == "fast":
            return Fast(self, fast)
        return Realtime(self, fast) if resolved == "realtime" else self.exact

    def forward(
        self,
        infrared_B1HW: Tensor,
        visible_B1HW: Tensor,
        outputs: Output = Output.ALL,
        *,
        mode: Mode | None = None,
        regions_BHW: Tensor | None = None,
        chroma_B2HW: Tensor | None = None,
    ) -> FusionOutput:
        """Compute what `outputs` names.

        Args:
            chroma_B2HW: the visible image's Cr and Cb in -0.5..0.5, with which S reads the fused
                image if it has learned to (`segmentation_colour`); None is grey.
            mode: who attributes; None is `exact`.
            regions_BHW: int64 ground truth that takes the place of argmax S(f_0) (training).
        """
        _check_images(infrared_B1HW, visible_B1HW, chroma_B2HW)
        frame = Frame(self.segmentation, infrared_B1HW, visible_B1HW, regions_BHW)
        attribution = (mode or self.exact)(frame)
        segments = bool(outputs & (Output.MASK | Output.SCORES))
        unfolds = segments or bool(outputs & (Output.FUSED | Output.ATTENTION))
        weighs = unfolds and self._has_data_step
        contributions, fused, gate, mask, scores = None, None, None, None, None
        if weighs or Output.CONTRIBUTIONS in outputs:
            contributions = attribution.contributions()
        if unfolds:
            weight = contributions.infrared_weight_B1HW if contributions and weighs else None
            fused, gate = self._unfold(frame, weight, attribution, outputs)
        if fused is not None and segments:
            mask, scores = self._segment(fused, chroma_B2HW, outputs)
        return FusionOutput(
            fused_B1HW=fused if Output.FUSED in outputs else None,
            contributions=contributions if Output.CONTRIBUTIONS in outputs else None,
            attention_B1HW=gate if Output.ATTENTION in outputs else None,
            labels_BHW=frame.labels if Output.LABELS in outputs else None,
            mask_BHW=mask,
            scores_BCHW=scores,
        )

    def _segment(
        self, fused: Tensor, chroma: Tensor | None, outputs: Output
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return mask and scores as far as they are wanted, of the same readings."""
        if Output.SCORES not in outputs:
            return self.segmentation.mask(fused, chroma), None
        scores = self.segmentation.mask_scores(fused, chroma)
        return class_ids(scores) if Output.MASK in outputs else None, scores

    def _unfold(
        self, frame: Frame, weight: Tensor | None, attribution: Attribution, outputs: Output
    ) -> tuple[Tensor, Tensor]:
        """Run the stages from f_0; return the fused image f_K and sigmoid(A_K).

        Args:
            weight: w_i; None leaves the data step out.
        """
        ratio = self.config.unshuffle
        infrared, visible, fused = frame.infrared, frame.visible, frame.start
        target = None if weight is None else torch.lerp(visible, infrared, weight)
        entries = torch.cat(
            (
                self.infrared_entry(fold(infrared, ratio)),
                self.visible_entry(fold(visible, ratio)),
            ),
            dim=1,
        )
        memories = _Memories(entries, entries, None)
        gate = None
        for index, stage in enumerate(self.stages):
            gate = attribution.gate(fused)
            if target is not None:
                fused = torch.lerp(fused, target, self.step_sizes[index])
            coarse_gate = None if gate is None else shrink(gate, ratio)
            folded, memories = stage(fold(fused, ratio), coarse_gate, memories)
            # Autocast hands back half precision; the data step and the attribution keep theirs.
            fused = unfold(folded, ratio, *fused.shape[-2:]).to(fused.dtype)
        if Output.ATTENTION in outputs:
            # No stage reads A_K, but who asks where the evidence came from wants the whole path.
            gate = attribution.gate(fused)
        return fused, torch.full_like(fused, 0.5) if gate is None else gate


def _check_images(infrared: Tensor, visible: Tensor, chroma: Tensor | None) -> None:
    if infrared.shape != visible.shape or infrared.dim() != 4 or infrared.shape[1] != 1:
        raise ValueError(
            f"infrared is {list(infrared.shape)} and visible {list(visible.shape)}, "
            "expected the same [B,1,H,W]"
        )
    if infrared.shape[0] < 1 or min(infrared.shape[-2:]) < MINIMUM_SIDE:
        raise ValueError(
            f"images are {list(infrared.shape)}, expected sides of at least {MINIMUM_SIDE} pixels"
        )
    count, _, *size = infrared.shape
    if chroma is not None and list(chroma.shape) != [count, CHROMA_CHANNELS, *size]:
        raise ValueError(
            f"chroma is {list(chroma.shape)}, expected {[count, CHROMA_CHANNELS, *size]}"
        )
