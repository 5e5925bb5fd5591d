"""The node's output topics, and how a fusion result becomes their images. Free of ROS.

The node publishes them; `uaafusion bag` writes the same into recordings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.render import attribution_overlay, mask_overlay
from uaafusion_ros.network.config import class_list

if TYPE_CHECKING:
    from uaafusion_ros.inference.frames import FusionResult

NOTHING = Product(0)

OUTPUT_DEPTH = 5
"""Messages of an output that its publisher keeps for a slow subscriber."""


class Output(Enum):
    """Topics that follow the frames, with the products each is made of and what it shows."""

    FUSED = ("~/fused/image", Product.FUSED, "fused luminance with the visible image's colours")
    CAMERA_INFO = ("~/fused/camera_info", NOTHING, "the visible camera's")
    MASK = ("~/segmentation/mask", Product.MASK, "class ids")
    MASK_OVERLAY = (
        "~/segmentation/overlay",
        Product.FUSED | Product.MASK,
        "class colours on the fused image",
    )
    ATTRIBUTION = (
        "~/attribution/overlay",
        Product.FUSED | Product.WEIGHT | Product.ATTENTION,
        "orange: from infrared, blue: from visible; brighter: more attention",
    )
    WEIGHT = ("~/attribution/infrared_weight", Product.WEIGHT, "0 (visible) to 1 (infrared)")

    def __init__(self, topic: str, products: Product, description: str) -> None:
        self.topic = topic
        self.products = products
        self.description = description


CLASSES_TOPIC = "~/segmentation/classes"

Palette = Sequence[tuple[int, int, int]]


def needed_products(outputs: Collection[Output]) -> Product:
    """What the outputs are made of."""
    products = NOTHING
    for output in outputs:
        products |= output.products
    return products


def classes_json(classes: Sequence[str], palette: Palette) -> str:
    """Names and colours of the classes, as the latched topic holds them."""
    return json.dumps(class_list(classes, palette))


def picture(
    output: Output, result: FusionResult, palette: Palette, opacity: float
) -> tuple[np.ndarray, str] | None:
    """The image of an output and its encoding; None where ``result`` lacks what it is made of.

    Args:
        palette: RGB of the classes. opacity: 0..1, of their colours in the overlay.
    """
    fused, mask = result.fused, result.mask
    weight, attention = result.infrared_weight, result.attention
    if output is Output.FUSED and fused is not None:
        return fused, "bgr8"
    if output is Output.MASK and mask is not None:
        return mask, "mono8"
    if output is Output.WEIGHT and weight is not None:
        return weight, "32FC1"
    if output is Output.MASK_OVERLAY and fused is not None and mask is not None:
        return mask_overlay(fused, mask, palette, opacity), "bgr8"
    if output is Output.ATTRIBUTION and not (fused is None or weight is None or attention is None):
        return attribution_overlay(fused, weight, attention), "bgr8"
    return None
