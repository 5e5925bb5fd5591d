"""How the stages begin: handing the image on as it is, so that training starts from a fusion.

Drawn at random, the paper's stages begin with noise and spend hundreds of steps on finding the
image. The shapes are the paper's; only the first values differ from torch's.
"""

from __future__ import annotations

import torch
from torch import nn

from uaafusion_ros.network.memory import Unit
from uaafusion_ros.network.unfolding import ProximalStep, UAAFusion

#: sigmoid(SLOPE * (x - 1/2)) is about x around the middle; a little more keeps the ends apart.
_SLOPE = 4.4


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
