"""How networks begin. The stages hand the image on as it is: training starts from a fusion.

Drawn at random, the paper's stages begin with noise and spend hundreds of steps on finding the
image. The shapes are the paper's; only the first values differ from torch's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.encoder import CHROMA_CHANNELS
from uaafusion_ros.network.memory import Unit
from uaafusion_ros.network.unfolding import ProximalStep, UAAFusion
from uaafusion_ros.training.pretrained import chroma_weights

#: sigmoid(SLOPE * (x - 1/2)) is about x around the middle; a little more keeps the ends apart.
_SLOPE = 4.4
#: Of a segmentation network: what of it sees an image first.
STEM_WEIGHT = "encoder.stem.conv.weight"


@torch.no_grad()
def pass_images_through(model: UAAFusion) -> None:
    """Let the first channel of every stage carry the image, in place.

    For stages that draw their image anew; those that correct it (`residual`) do so by themselves.
    """
    if model.config.residual or model.config.unshuffle != 1:
        return
    carried = [model.infrared_entry, model.visible_entry]
    for stage in model.stages:
        assert isinstance(stage, ProximalStep)
        carried += [stage.image_entry, stage.long_entry]
        _carry_nothing(stage.gated)
        _carry(stage.image_exit)
        last = stage.image_exit[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        last.weight.mul_(_SLOPE)
        last.bias.fill_(-_SLOPE / 2)
    for unit in carried:
        _carry(unit)


def with_or_without_colour(stem_weight: Tensor, config: ModelConfig) -> Tensor:
    """Return the `STEM_WEIGHT` of another network as one of `config` has it.

    Where it never saw colours and is to, the encoder that comes from ImageNet answers them as it
    did there; any other does not answer them until it has learned to.

    Raises:
        ImportError: ImageNet's weights are not installed (extra `train`).
    """
    if not config.segmentation_colour:
        return stem_weight[:, :1].contiguous()
    if stem_weight.shape[1] > 1:
        return stem_weight
    if config.encoder == "efficientnet_lite0":
        return torch.cat((stem_weight, chroma_weights().to(stem_weight)), dim=1)
    return F.pad(stem_weight, (0, 0, 0, 0, 0, CHROMA_CHANNELS))


def _carry(unit: Unit) -> None:
    for convolution in (unit[0], unit[-1]):
        assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
        convolution.weight[0].zero_()
        convolution.weight[0, 0, 1, 1] = 1
        convolution.bias[0] = 0


def _carry_nothing(unit: Unit) -> None:
    last = unit[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    last.weight[0].zero_()
    last.bias[0] = 0
