"""Fusion by saliency and guided filters (Li, Kang and Hu 2013), as a target to learn from.

Every place is taken from the source that shows more there, with weights that follow the sources'
own edges. So the target keeps the contrast of both, where the brighter source washes out by day
and the mean of both fades; learned beside the other losses, not copied.

Shape legend: B batch, H and W pixels; images are luminance in 0..1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Width of the box that parts a source into base and detail (the paper's).
_BASE_WIDTH = 31
#: Radius and regularisation of the guided filters of base and detail (the paper's).
_BASE_FILTER, _DETAIL_FILTER = (45, 0.3), (7, 1e-6)
_SALIENCY_RADIUS, _SALIENCY_SIGMA = 5, 5.0
_LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


@torch.no_grad()
def guided_fusion(infrared_B1HW: Tensor, visible_B1HW: Tensor) -> Tensor:
    """Fuse two [B,1,H,W] into one, in 0..1; no gradient."""
    sources = infrared_B1HW.float(), visible_B1HW.float()
    salient = _saliency(sources[0]) >= _saliency(sources[1])
    choices = salient.float(), 1 - salient.float()
    bases = [_box(source, _BASE_WIDTH // 2) for source in sources]
    details = [source - base for source, base in zip(sources, bases, strict=True)]
    fused = torch.zeros_like(sources[0])
    for layers, (radius, regularisation) in ((bases, _BASE_FILTER), (details, _DETAIL_FILTER)):
        weights = [
            guided_filter(source, choice, radius, regularisation).clamp(0, 1)
            for source, choice in zip(sources, choices, strict=True)
        ]
        total = weights[0] + weights[1] + 1e-6
        fused = fused + (weights[0] * layers[0] + weights[1] * layers[1]) / total
    return fused.clamp(0, 1)


def guided_filter(guide: Tensor, image: Tensor, radius: int, regularisation: float) -> Tensor:
    """Smooth `image` along the edges of `guide` (He, Sun and Tang 2013); all [B,1,H,W]."""
    mean_guide, mean_image = _box(guide, radius), _box(image, radius)
    covariance = _box(guide * image, radius) - mean_guide * mean_image
    variance = (_box(guide * guide, radius) - mean_guide.square()).clamp(min=0)
    slope = covariance / (variance + regularisation)
    offset = mean_image - slope * mean_guide
    return _box(slope, radius) * guide + _box(offset, radius)


def _saliency(image: Tensor) -> Tensor:
    kernel = _LAPLACIAN.to(image)[None, None]
    strength = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), kernel).abs()
    offsets = torch.arange(-_SALIENCY_RADIUS, _SALIENCY_RADIUS + 1, device=image.device)
    line = torch.exp(-offsets.square() / (2 * _SALIENCY_SIGMA**2)).to(image)
    line = line / line.sum()
    padded = F.pad(strength, (_SALIENCY_RADIUS,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line[None, None, None]), line[None, None, :, None])


def _box(image: Tensor, radius: int) -> Tensor:
    """The mean over a square, over what of it lies inside the image.

    As two passes; a radius beyond the image's side is cut, which changes nothing but the cost.
    """
    height, width = image.shape[-2:]
    down, across = min(radius, height - 1), min(radius, width - 1)
    rows = _line_mean(image, down, vertical=True)
    return _line_mean(rows, across, vertical=False)


def _line_mean(image: Tensor, radius: int, *, vertical: bool) -> Tensor:
    # Sums over windows as differences of running sums: the cost does not depend on the radius.
    dim = -2 if vertical else -1
    length = image.shape[dim]
    sums = image.double().cumsum(dim)
    sums = torch.cat((torch.zeros_like(sums.narrow(dim, 0, 1)), sums), dim)
    places = torch.arange(length, device=image.device)
    last = (places + radius + 1).clamp(max=length)
    first = (places - radius).clamp(min=0)
    windows = sums.index_select(dim, last) - sums.index_select(dim, first)
    counts = (last - first).view((-1, 1) if vertical else (-1,))
    return (windows / counts).to(image.dtype)
