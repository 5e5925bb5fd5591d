"""Images and features brought to another size.

With `align_corners` the first and the last pixels of both sizes meet, as in the release. Where a
coarse feature lands then depends on the size of the image, by up to one of its cells (32 pixels).
Without, a pixel is a cell of its own size, and a feature lands the same way in all images.

Shape legend: B batch, N channels, H and W pixels; h and w are H/f and W/f, rounded up, of a power
of two f.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize(image_BNHW: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    """Resize bilinearly to the height and width of `like`."""
    if image_BNHW.shape[-2:] == like.shape[-2:]:
        return image_BNHW
    return F.interpolate(
        image_BNHW, size=like.shape[-2:], mode="bilinear", align_corners=align_corners
    )


def scale(image_BNHW: Tensor, factor: float, align_corners: bool) -> Tensor:
    """Resize bilinearly to `factor` times height and width, rounded down."""
    if factor == 1:
        return image_BNHW
    return F.interpolate(
        image_BNHW, scale_factor=factor, mode="bilinear", align_corners=align_corners
    )


def enlarge(features_BNhw: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    """Enlarge what strided convolutions made of something of the size of `like` to that size."""
    if align_corners:
        return resize(features_BNhw, like, align_corners)
    (rows, columns), (height, width) = features_BNhw.shape[-2:], like.shape[-2:]
    factor = 1
    while rows * factor < height or columns * factor < width:
        factor *= 2
    # The last cells may reach beyond an image that the strides do not divide.
    return scale(features_BNhw, float(factor), align_corners)[..., :height, :width]
