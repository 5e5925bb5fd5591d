"""The models that can be measured: any file, and the authors' shape with random weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from uaafusion_ros.inference.models import read_model
from uaafusion_ros.network.checkpoint import CheckpointInfo
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.network.unfolding import UAAFusion

RELEASE = "release"
"""The authors' shape, which runs without a data step; random weights."""
PAPER = "paper"
"""The same with the paper's data step, which needs the contributions of every class."""

HEAD_CHANNELS = 48
"""Width of the head that a model without one is given to time `realtime`."""

AUTHORS_PASSES = 283
"""Forward passes of their segmentation network that a frame costs the authors' code, N = 5 and 15
classes present; counted once, at 320x256."""


def build_model(
    name: str, mode: str, infrared_B1HW: Tensor, visible_B1HW: Tensor
) -> tuple[UAAFusion, CheckpointInfo, bool]:
    """Return a model to time, and whether its head is untrained.

    Random weights are scaled so that every class has a region in the given pair.

    Raises:
        CheckpointError: no such model.
    """
    torch.manual_seed(0)
    if name in (RELEASE, PAPER):
        info = CheckpointInfo(config=ModelConfig(), name=name)
        model = UAAFusion(info.config)
        with torch.no_grad():
            model.step_sizes.fill_(0.1 if name == PAPER else 0.0)
        spread_classes(model.segmentation, (infrared_B1HW + visible_B1HW) / 2)
    else:
        model, info, _ = read_model(name)
    if mode != "realtime" or model.student is not None:
        return model, info, False
    config = replace(
        info.config,
        student_channels=HEAD_CHANNELS,
        attention="off" if info.config.attention == "off" else "normalised",
        attention_gain="magnitude",
    )
    headed = UAAFusion(config)
    headed.load_state_dict(model.state_dict(), strict=False)
    return headed, replace(info, config=config), True


def spread_classes(segmentation: SegmentationNetwork, image_B1HW: Tensor) -> None:
    """Give a random network activations of ordinary size, and each class a share of the image."""
    norms = [m for m in segmentation.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        # Two images, because a norm of one value a channel has no variance.
        segmentation.train()(torch.cat((image_B1HW, image_B1HW.flip(-1))))
        segmentation.eval()
        logits = segmentation.logits(image_B1HW)
        mean, deviation = logits.mean(dim=(0, 2, 3)), logits.std(dim=(0, 2, 3)) + 1e-9
        classifier = segmentation.classifier
        assert classifier.bias is not None
        classifier.bias.copy_((classifier.bias - mean) / deviation)
        classifier.weight.div_(deviation[:, None, None, None])


def yardstick() -> SegmentationNetwork:
    """The segmentation network of the release, as its authors run it: batch norms apart."""
    torch.manual_seed(0)
    return SegmentationNetwork(ModelConfig()).eval().requires_grad_(False)
