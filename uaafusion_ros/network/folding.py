"""Pixels folded into channels and back, for work at a lower resolution.

Shape legend: B batch, N channels, H and W pixels; h and w are H/r and W/r, rounded up.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def fold(image_BNHW: Tensor, ratio: int) -> Tensor:
    """[B,N,H,W] to [B,N*r*r,h,w]; sides that r does not divide are padded by repetition."""
    if ratio == 1:
        return image_BNHW
    return F.pixel_unshuffle(_pad(image_BNHW, ratio), ratio)


def unfold(folded: Tensor, ratio: int, height: int, width: int) -> Tensor:
    """[B,N*r*r,h,w] to [B,N,H,W]; what `fold` padded is cut off."""
    if ratio == 1:
        return folded
    return F.pixel_shuffle(folded, ratio)[..., :height, :width]


def shrink(image_BNHW: Tensor, ratio: int) -> Tensor:
    """Average over squares of r pixels: [B,N,H,W] to [B,N,h,w]."""
    if ratio == 1:
        return image_BNHW
    return F.avg_pool2d(_pad(image_BNHW, ratio), ratio)


def _pad(image: Tensor, ratio: int) -> Tensor:
    height, width = image.shape[-2:]
    padding = (0, -width % ratio, 0, -height % ratio)
    return F.pad(image, padding, mode="replicate") if any(padding) else image
