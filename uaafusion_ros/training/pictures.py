"""One picture of what a model does with a pair, for the eye."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import torch

from uaafusion_ros.inference.render import attribution_overlay, mask_overlay
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.datasets import Sample
from uaafusion_ros.training.kept_images import luminance_tensor

#: Longer side that the pair is shown and computed at.
_LONGER_SIDE = 320


@torch.no_grad()
def picture_of(model: UAAFusion, sample: Sample, mode: str) -> np.ndarray:
    """Return infrared, visible, fused, mask and attribution side by side, BGR uint8 [H,5W,3].

    Works on a copy: what a model caches or counts in training stays as it is.
    """
    assert sample.infrared is not None
    device = next(model.parameters()).device
    shown = copy.deepcopy(model).eval().requires_grad_(False)
    infrared, visible = (_shrink(image) for image in (sample.infrared, sample.visible))
    tensors = [luminance_tensor(image, device) for image in (infrared, visible)]
    wanted = Output.ALL & ~(Output.MASK | Output.SCORES)
    result = shown(*tensors, wanted, mode=shown.mode(mode, FastSettings()))
    fused = (result.fused_B1HW[0, 0].clamp(0, 1) * 255).round().byte().cpu().numpy()
    mask = result.labels_BHW[0].byte().cpu().numpy()
    weight = result.contributions.infrared_weight_B1HW[0, 0].float().cpu().numpy()
    attention = result.attention_B1HW[0, 0].float().cpu().numpy()
    grey = [cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) for image in (infrared, visible, fused)]
    overlays = [
        mask_overlay(grey[2], mask, model.config.palette),
        attribution_overlay(grey[2], weight, attention),
    ]
    return np.hstack([*grey, *overlays])


def _shrink(image: np.ndarray) -> np.ndarray:
    scale = min(1.0, _LONGER_SIDE / max(image.shape))
    size = (max(32, round(image.shape[1] * scale)), max(32, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
