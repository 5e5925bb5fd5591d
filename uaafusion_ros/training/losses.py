"""Losses of the paper's training (arXiv 2502.01467, section III-E), each usable alone.

Shape legend: B batch, C classes, H and W pixels; images are luminance in 0..1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def gradient_magnitude(image_B1HW: Tensor) -> Tensor:
    """|sobel_x| + |sobel_y| of [B,1,H,W], borders reflected."""
    kernels = torch.stack((_SOBEL, _SOBEL.T))[:, None].to(image_B1HW)
    gradients = F.conv2d(F.pad(image_B1HW, (1, 1, 1, 1), mode="reflect"), kernels)
    return gradients.abs().sum(dim=1, keepdim=True)


def data_loss(fused: Tensor, infrared: Tensor, visible: Tensor, infrared_weight: Tensor) -> Tensor:
    """mse(w_i (i - f), 0) + mse(w_v (v - f), 0); all [B,1,H,W]."""
    infrared_term = (infrared_weight * (infrared - fused)).square().mean()
    return infrared_term + ((1 - infrared_weight) * (visible - fused)).square().mean()


def gradient_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """L1 of the fused gradient to the stronger of the sources' gradients; all [B,1,H,W]."""
    strongest = torch.maximum(gradient_magnitude(infrared), gradient_magnitude(visible))
    return F.l1_loss(gradient_magnitude(fused), strongest)


def intensity_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """L1 to the brighter source: keeps warm people and lit signs alike; all [B,1,H,W]."""
    return F.l1_loss(fused, torch.maximum(infrared, visible))


def segmentation_loss(
    logits_BCHW: Tensor,
    labels_BHW: Tensor,
    class_weights_C: Tensor | None = None,
    total: Tensor | None = None,
) -> Tensor:
    """Cross-entropy that ignores class 0; zero where nothing is labelled.

    Args:
        total: what the sum is divided by; None is `label_total` of this batch. Parts of a batch
            take the whole batch's, so that their sum does not depend on the division.
    """
    summed = F.cross_entropy(
        logits_BCHW.float(), labels_BHW, class_weights_C, ignore_index=0, reduction="sum"
    )
    total = label_total(labels_BHW, class_weights_C) if total is None else total
    return summed / total.clamp(min=1e-6)


def label_total(labels_BHW: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
    """Return the summed class weight of all labelled pixels."""
    labelled = labels_BHW[labels_BHW != 0]
    if class_weights_C is None:
        return torch.tensor(float(labelled.numel()), device=labels_BHW.device)
    return class_weights_C.to(labels_BHW.device)[labelled].sum()
