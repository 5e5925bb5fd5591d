"""Which source helps which region, and where the segmentation's evidence grows along the stages.

Contributions are section III-B of the paper (arXiv 2502.01467); the pathway attention, integrated
gradients (Sundararajan et al. 2017) along the network's own trajectory, is section III-D.

Shape legend: B batch, C classes, H and W pixels. Images are luminance in 0..1. `S` is anything
that maps [B,1,H,W] to class scores [B,C,H,W]; region R_c is where the labels equal c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.folding import shrink

Scorer = Callable[[Tensor], Tensor]

#: Keeps the ratio of two zero contributions at one half (the release's constant).
RATIO_EPSILON = 1e-8
#: Side of the squares (pixels) that a blurred image is made of.
BLUR_SQUARE = 8


@dataclass(frozen=True)
class Contributions:
    """How much each source supports each class in its region.

    infrared_BC, visible_BC: contributions, zero or more; zero where a class has no region.
    infrared_weight_B1HW: w_i in 0..1, constant over each region; w_v is 1 - w_i.
    """

    infrared_BC: Tensor
    visible_BC: Tensor
    infrared_weight_B1HW: Tensor


@dataclass(frozen=True)
class RegionShares:
    """What `Contributions` holds, before it is painted: three numbers a class, [B,C] each.

    infrared, visible: contributions. share: w_i.
    """

    infrared: Tensor
    visible: Tensor
    share: Tensor

    def paint(self, labels_BHW: Tensor) -> Contributions:
        """Give every pixel its region's weight."""
        return Contributions(self.infrared, self.visible, paint_regions(self.share, labels_BHW))


def region_areas(labels_BHW: Tensor, classes: int) -> Tensor:
    """Return the number of pixels of every class's region, [B,C]."""
    ones = torch.ones_like(labels_BHW, dtype=torch.float32).flatten(1)
    return _sum_by_label(ones, labels_BHW, classes)


def region_scores(scores_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """Return F_c, the mean score of class c over its own region, [B,C]; zero without a region."""
    own = scores_BCHW.gather(1, labels_BHW[:, None])[:, 0].flatten(1)
    classes = scores_BCHW.shape[1]
    sums = _sum_by_label(own.float(), labels_BHW, classes)
    return sums / region_areas(labels_BHW, classes).clamp(min=1)


def per_class_contributions(
    scorer: Scorer,
    source_B1HW: Tensor,
    labels_BHW: Tensor,
    *,
    steps: int,
    classes: int,
    whole_image: bool = False,
) -> Tensor:
    """Integrated gradients of each F_c, summed over R_c and divided by its area: [B,C] (released).

    Args:
        steps: N points k/N, k = 1..N, on the straight path from black to the source.
        whole_image: sum over all pixels instead of the region's, where completeness holds.
    """
    areas = region_areas(labels_BHW, classes)
    present = [int(label) for label in labels_BHW.unique()]
    sums = torch.zeros_like(areas)
    for step in range(1, steps + 1):
        with torch.enable_grad():
            # In this order as the release: a pixel next to a kink of ReLU6 can fall on its other
            # side by one rounding, which moves a contribution by a thousandth.
            point = (source_B1HW.detach() * step / steps).requires_grad_(True)
            # Images of a batch do not see each other, so one pass serves them all.
            means = region_scores(scorer(point), labels_BHW).sum(dim=0)
        for label in present:
            last = label == present[-1]
            (gradient,) = torch.autograd.grad(means[label], point, retain_graph=not last)
            influence = gradient * source_B1HW
            if not whole_image:
                influence = influence * (labels_BHW[:, None] == label)
            sums[:, label] += influence.flatten(1).sum(dim=1)
    return (sums / steps / areas.clamp(min=1)).relu()


def single_threaded(
    function: Callable[[Tensor], Tensor], sources: Sequence[Tensor]
) -> list[Tensor]:
    """Apply `function` to every source, each on one thread of its own.

    Convolutions add in an order that depends on the number of threads. One a source makes the
    result the same on any number of cores, and keeps two cores busy all the same.
    """
    if sources[0].device.type != "cpu":
        return [function(source) for source in sources]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            len(sources), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return list(pool.map(function, sources))
    finally:
        torch.set_num_threads(threads)


def share_of_contributions(infrared_BC: Tensor, visible_BC: Tensor) -> Tensor:
    """Return w_i of every region [B,C], infrared's share of both (paper, equation 12)."""
    return (infrared_BC + RATIO_EPSILON) / (infrared_BC + visible_BC + 2 * RATIO_EPSILON)


def share_of_evidence(infrared_BC: Tensor, visible_BC: Tensor, temperature: float) -> Tensor:
    """Return w_i of every region [B,C] = sigmoid((F_c(i) - F_c(v)) / temperature)."""
    return ((infrared_BC - visible_BC) / temperature).sigmoid()


def shares_from_scores(
    infrared_BCHW: Tensor,
    visible_BCHW: Tensor,
    black_BCHW: Tensor,
    labels_BHW: Tensor,
    temperature: float,
) -> RegionShares:
    """Weigh two sources by completeness, from S(i), S(v) and S(0).

    Args:
        temperature: of `share_of_evidence`; 0 takes the share of the contributions.
    """
    infrared, visible, black = (
        region_scores(scores, labels_BHW) for scores in (infrared_BCHW, visible_BCHW, black_BCHW)
    )
    gains = (infrared - black).relu(), (visible - black).relu()
    if temperature > 0:
        return RegionShares(*gains, share_of_evidence(infrared, visible, temperature))
    return RegionShares(*gains, share_of_contributions(*gains))


class ScoresOfBlack:
    """S(0), computed once a size while S's parameters are frozen."""

    def __init__(self) -> None:
        self._scores: Tensor | None = None

    def __call__(self, segmentation: nn.Module, like_B1HW: Tensor) -> Tensor:
        """Return S(0) [B,C,H,W] of the batch and size of `like_B1HW`."""
        scores = self._scores
        if (
            scores is None
            or scores.shape[-2:] != like_B1HW.shape[-2:]
            or scores.device != like_B1HW.device
            or any(parameter.requires_grad for parameter in segmentation.parameters())
        ):
            scores = self._scores = segmentation(torch.zeros_like(like_B1HW[:1]))
        return scores.expand(like_B1HW.shape[0], -1, -1, -1)


def paint_regions(values_BC: Tensor, labels_BHW: Tensor) -> Tensor:
    """Give every pixel its region's value: [B,C] and labels [B,H,W] to [B,1,H,W]."""
    return values_BC.gather(1, labels_BHW.flatten(1)).view_as(labels_BHW)[:, None]


class Pathway:
    """A_k, the mean of the gains of stages 1 to k, along the trajectory f_0, f_1, …

    Nothing is trained through f_k: attention steers a stage, and no more.

    Args:
        gain: takes k, f_k and f_k - f_{k-1}; returns what stage k adds, [B,1,H,W].
        from_blurred: A_k is the gain of one step, from f_k blurred to f_k, instead, and A_0 is
            not 0. Magnitudes of many steps would add up to more than there is to be seen, and
            a step from another image would count what makes all of f_k brighter.
    """

    def __init__(
        self, gain: Callable[[int, Tensor, Tensor], Tensor], *, from_blurred: bool = False
    ) -> None:
        self._gain = gain
        self.value_B1HW: Tensor | None = None
        self._stage = 0
        self._from_blurred = from_blurred
        self._previous: Tensor | None = None

    def update(self, fused_B1HW: Tensor) -> Tensor | None:
        """Enter stage k with f_k; return A_k [B,1,H,W], or None for 0."""
        fused = fused_B1HW.detach()
        if self._from_blurred:
            self._stage += 1
            self.value_B1HW = self._gain(self._stage, fused, fused - blurred(fused))
        elif self._previous is not None:
            self._stage += 1
            k = self._stage
            gain = self._gain(k, fused, fused - self._previous)
            past = 0.0 if self.value_B1HW is None else self.value_B1HW * (k - 1)
            self.value_B1HW = (past + gain) / k
        self._previous = fused
        return self.value_B1HW


class PathwayAttention(Pathway):
    """A_k by integrated gradients along the trajectory of one forward pass.

    Args:
        scorer: S.
        guide_BCHW: M, the scores of f_0, or the one-hot ground truth in training.
        smoothing: width of the box (pixels, odd) that the gain is averaged over, twice.
        magnitude: whether the gain is the product's magnitude (`ModelConfig.attention_gain`).
        from_blurred: see `Pathway`.
    """

    def __init__(
        self,
        scorer: Scorer,
        guide_BCHW: Tensor,
        *,
        smoothing: int = 1,
        magnitude: bool = False,
        from_blurred: bool = False,
    ) -> None:
        super().__init__(self._attribute, from_blurred=from_blurred)
        self._scorer = scorer
        self._guide = guide_BCHW.detach()
        self._smoothing, self._magnitude = smoothing, magnitude

    def _attribute(self, stage: int, fused: Tensor, change: Tensor) -> Tensor:
        gain = self._gradient(fused) * change
        if self._magnitude:
            gain = gain.abs()
        return smooth(gain, self._smoothing) if self._smoothing > 1 else gain

    def _gradient(self, fused_B1HW: Tensor) -> Tensor:
        with torch.enable_grad():
            point = fused_B1HW.clone().requires_grad_(True)
            scores = self._scorer(point)
            # The mean of M*S over an image is around 1e-7 a pixel, below what half precision
            # resolves; so the sum is differentiated and divided afterwards.
            agreement = (self._guide * scores).sum(dtype=torch.float32)
            (gradient,) = torch.autograd.grad(agreement, point)
        return gradient / self._guide[0].numel()


def blurred(image_B1HW: Tensor) -> Tensor:
    """Average over two boxes of 24 pixels, in squares of 8: objects dissolve, their places stay.

    In operations that every runtime of graphs has.
    """
    coarse = smooth_by_pooling(shrink(image_B1HW, BLUR_SQUARE), 3)
    whole = F.interpolate(coarse, scale_factor=BLUR_SQUARE, mode="bilinear", align_corners=False)
    height, width = image_B1HW.shape[-2:]
    return whole[..., :height, :width]


def gate_of(attention_B1HW: Tensor, form: str) -> Tensor:
    """Return sigmoid(A_k), of a `raw` A_k or of a `normalised` one."""
    if form == "normalised":
        attention_B1HW = normalise_attention(attention_B1HW)
    return attention_B1HW.sigmoid()


def normalise_attention(attention_B1HW: Tensor) -> Tensor:
    """Divide A_k [B,1,H,W] by its root mean square over each image.

    The release feeds A_k, about 1e-7, to a sigmoid, which makes it one half everywhere.
    """
    attention = attention_B1HW.float()
    power = attention.square().mean(dim=(1, 2, 3), keepdim=True)
    return attention * (power + torch.finfo(torch.float32).tiny).rsqrt()


def smooth(image_B1HW: Tensor, width: int) -> Tensor:
    """Average over a box of `width` pixels (odd) twice: a tent, without the box's sharp edges.

    At the border it averages over what lies inside.
    """
    for _ in range(2):
        image_B1HW = _average(_average(image_B1HW, width, -1), width, -2)
    return image_B1HW


def smooth_by_pooling(image_B1hw: Tensor, width: int) -> Tensor:
    """As `smooth`, for a box of few pixels and in operations that every runtime of graphs has."""
    for _ in range(2 if width > 1 else 0):
        image_B1hw = F.avg_pool2d(
            image_B1hw, width, stride=1, padding=width // 2, count_include_pad=False
        )
    return image_B1hw


def _average(image: Tensor, width: int, dim: int) -> Tensor:
    """Average over `width` neighbours along one dimension, by differences of running sums.

    Its cost does not depend on the width; pooling by 21x21 took as long as the gradient itself.
    """
    length = image.shape[dim]
    sums = torch.cat((torch.zeros_like(image.narrow(dim, 0, 1)), image), dim=dim).cumsum(dim)
    centre = torch.arange(length, device=image.device)
    first = (centre - width // 2).clamp(min=0)
    end = (centre + width // 2 + 1).clamp(max=length)
    count = (end - first).to(image.dtype)
    if dim == -2:
        count = count[:, None]
    return (sums.index_select(dim, end) - sums.index_select(dim, first)) / count


def _sum_by_label(values_BP: Tensor, labels_BHW: Tensor, classes: int) -> Tensor:
    labels_BP = labels_BHW.flatten(1)
    if torch.jit.is_tracing():
        # Not every runtime of exported graphs can add what it scatters.
        ids = torch.arange(classes, device=labels_BP.device)[:, None]
        return (values_BP[:, None] * (labels_BP[:, None] == ids)).sum(dim=-1)
    sums = values_BP.new_zeros(values_BP.shape[0], classes)
    return sums.scatter_add(1, labels_BP, values_BP)
