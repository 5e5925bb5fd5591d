"""Losses of the paper's training (arXiv 2502.01467, section III-E), each usable alone.

Shape legend: B batch, C classes, H and W pixels; images are luminance in 0..1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from uaafusion_ros.training.guided_fusion import guided_fusion

_SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


#: Constants of SSIM for images in 0..1, as small as the published figures' (a range of 2 of 255).
_SSIM_LUMINANCE, _SSIM_CONTRAST = 1e-6, 4e-6
_SSIM_WINDOW = 7
_SALIENCY_BETA = 0.1
_SHADOW_SHARE = 0.4
#: Side of the box that alternation is averaged over, twice; even, so that what is smooth cancels.
_ALTERNATION_WINDOW = 4


def image_gradient(image_B1HW: Tensor) -> Tensor:
    """Sobel's derivatives to the right and downwards, [B,2,H,W], borders reflected."""
    kernels = torch.stack((_SOBEL, _SOBEL.T))[:, None].to(image_B1HW)
    return F.conv2d(F.pad(image_B1HW, (1, 1, 1, 1), mode="reflect"), kernels)


def data_loss(fused: Tensor, infrared: Tensor, visible: Tensor, infrared_weight: Tensor) -> Tensor:
    """mse(w_i (i - f), 0) + mse(w_v (v - f), 0); all [B,1,H,W]."""
    infrared_term = (infrared_weight * (infrared - fused)).square().mean()
    return infrared_term + ((1 - infrared_weight) * (visible - fused)).square().mean()


def gradient_loss(
    fused: Tensor, infrared: Tensor, visible: Tensor, *, signed: bool = False
) -> Tensor:
    """L1 of the fused gradient to the stronger of the sources' gradients; all [B,1,H,W].

    Args:
        signed: compare directions too. The paper compares |sobel_x| + |sobel_y| alone, which an
            edge of the wrong sign satisfies as well: optimised to its end it draws saw teeth along
            edges where the sources disagree.
    """
    gradients = [image_gradient(image) for image in (fused, infrared, visible)]
    magnitudes = [gradient.abs().sum(dim=1, keepdim=True) for gradient in gradients]
    if not signed:
        return F.l1_loss(magnitudes[0], torch.maximum(magnitudes[1], magnitudes[2]))
    stronger = torch.where(magnitudes[1] > magnitudes[2], gradients[1], gradients[2])
    # Summed over both directions, as the magnitudes are.
    return 2 * F.l1_loss(gradients[0], stronger)


def intensity_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """L1 to the brighter source: keeps warm people and lit signs alike; all [B,1,H,W]."""
    return F.l1_loss(fused, torch.maximum(infrared, visible))


def shadow_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """How far the image falls below two fifths of the brighter source; all [B,1,H,W].

    Contrast and saliency are bought cheapest by making what is dark black; what a camera sees in
    the dark is then lost.
    """
    return (_SHADOW_SHARE * torch.maximum(infrared, visible) - fused).relu().mean()


def checkerboard_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """How far rows, columns or diagonals alternate beyond both sources; all [B,1,H,W].

    Stages at half resolution draw even and odd rows with channels of their own (checkerboard
    artefacts: Odena et al. 2016). Where the sources disagree, a comb of both has the contrast that
    the other terms ask for.
    """
    own, *sources = _alternation(torch.stack((fused, infrared, visible))).abs()
    return (own - torch.maximum(*sources)).relu().sum(dim=1).mean()


def _alternation(images_NB1HW: Tensor) -> Tensor:
    """Amplitude of a change of sign from pixel to pixel: along x, along y and both, [N,B,3,h,w]."""
    y, x = (torch.arange(side, device=images_NB1HW.device) for side in images_NB1HW.shape[-2:])
    steps = torch.stack(torch.broadcast_tensors(x, y[:, None], x + y[:, None]))
    alternating = (images_NB1HW * (1 - 2 * (steps % 2))).flatten(0, 1)
    for _ in range(2):
        alternating = F.avg_pool2d(alternating, _ALTERNATION_WINDOW, stride=1)
    return alternating.unflatten(0, images_NB1HW.shape[:2])


def saliency_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """Distance to the fusion by saliency and guided filters; all [B,1,H,W].

    Quadratic up to a tenth of the range: an L1 would take the median of all that pulls at a pixel
    and leave the other terms without a say.
    """
    return F.smooth_l1_loss(fused, guided_fusion(infrared, visible), beta=_SALIENCY_BETA)


def similarity_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """1 - the mean SSIM (Wang et al. 2004) to both sources, in 0..2; all [B,1,H,W]."""
    similarities = structural_similarity(fused, infrared) + structural_similarity(fused, visible)
    return 1 - similarities.mean() / 2


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """SSIM of every window of 7x7 pixels of two [B,1,H,W], in -1..1."""

    def local_mean(image: Tensor) -> Tensor:
        return F.avg_pool2d(image, _SSIM_WINDOW, stride=1)

    means = local_mean(first), local_mean(second)
    product = means[0] * means[1]
    squares = means[0].square() + means[1].square()
    covariance = local_mean(first * second) - product
    variances = (local_mean(first.square() + second.square()) - squares).clamp(min=0)
    return (
        (2 * product + _SSIM_LUMINANCE)
        * (2 * covariance + _SSIM_CONTRAST)
        / ((squares + _SSIM_LUMINANCE) * (variances + _SSIM_CONTRAST))
    )


def complement_loss(fused: Tensor, infrared: Tensor, visible: Tensor) -> Tensor:
    """1 - the mean correlation of what one source adds with that source, in 0..2; all [B,1,H,W].

    The sum of the correlations of differences (Aslantas and Bendes 2015): f - v should be what
    the infrared image shows, f - i what the visible one does. It keeps the contrast of both.
    """
    gains = _correlation(fused - visible, infrared) + _correlation(fused - infrared, visible)
    return 1 - gains.mean() / 2


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's correlation of every image of a batch, [B]; 0 where one is constant."""
    centred = [
        (image - image.mean(dim=(1, 2, 3), keepdim=True)).flatten(1) for image in (first, second)
    ]
    norms = [image.square().sum(dim=1) for image in centred]
    return (centred[0] * centred[1]).sum(dim=1) * (norms[0] * norms[1] + 1e-6).rsqrt()


def imitation_loss(fused: Tensor, taught: Tensor) -> Tensor:
    """L1 to another fused image, and of the gradients of both; all [B,1,H,W]."""
    return F.l1_loss(fused, taught) + F.l1_loss(image_gradient(fused), image_gradient(taught))


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


def overlap_loss(logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """1 - the soft IoU of the classes in every image, their mean over its classes, in 0..1.

    Intersection and union of scores with labels (Rahman and Wang 2016); unlabelled pixels count
    in neither. An image at a time, so that a lone sign weighs as much as the road beneath it, and
    that the parts of a batch add up to the whole.
    """
    labelled = (labels_BHW != 0)[:, None]
    scores = logits_BCHW.float().softmax(dim=1) * labelled
    truth = F.one_hot(labels_BHW, logits_BCHW.shape[1]).permute(0, 3, 1, 2) * labelled
    shared = (scores * truth).sum(dim=(2, 3))
    areas = truth.sum(dim=(2, 3))
    overlaps = shared / (scores.sum(dim=(2, 3)) + areas - shared).clamp(min=1e-6)
    present = (areas > 0).float()
    missed = (present * (1 - overlaps)).sum(dim=1) / present.sum(dim=1).clamp(min=1)
    return missed.mean()


def label_total(labels_BHW: Tensor, class_weights_C: Tensor | None = None) -> Tensor:
    """Return the summed class weight of all labelled pixels."""
    labelled = labels_BHW[labels_BHW != 0]
    if class_weights_C is None:
        return torch.tensor(float(labelled.numel()), device=labels_BHW.device)
    return class_weights_C.to(labels_BHW.device)[labelled].sum()
