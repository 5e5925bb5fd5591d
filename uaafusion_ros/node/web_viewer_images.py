"""Image messages as the page shows them. Free of ROS."""

from __future__ import annotations

from typing import Any

import numpy as np

from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import GainControl
from uaafusion_ros.node.images import visible_array
from uaafusion_ros.node.inputs import COMPRESSED_DECODERS, RAW_DECODERS
from uaafusion_ros.node.outputs import Output
from uaafusion_ros.stamps import stamp_of
from uaafusion_ros.web.pictures import Decoded, Decoders

OUTPUTS = {
    "fused": Output.FUSED,
    "segmentation": Output.MASK_OVERLAY,
    "attribution": Output.ATTRIBUTION,
}
"""The fusion node's topics that pictures of the page show; the others show its inputs."""


def page_decoders() -> Decoders:
    """What makes images of the messages of each picture, Image or CompressedImage."""
    return {
        "infrared": _Infrared(),
        "visible": lambda message: _decoded(_input(message, "visible"), message),
        **{
            picture: lambda message: _decoded(visible_array(message), message)
            for picture in OUTPUTS
        },
    }


class _Infrared:
    """Counts and temperatures by the gain control that the fusion has too, with its defaults."""

    def __init__(self) -> None:
        self._gain, self._settings = GainControl(), PipelineSettings()

    def __call__(self, message: Any) -> Decoded:
        array = _input(message, "infrared")
        if array.dtype == np.uint8:
            return _decoded(array, message)
        grey = np.rint(self._gain(array, self._settings) * 255).astype(np.uint8)
        return _decoded(grey, message)


def _input(message: Any, stream: str) -> np.ndarray:
    decoders = COMPRESSED_DECODERS if hasattr(message, "format") else RAW_DECODERS
    return decoders[stream](message)


def _decoded(array: np.ndarray, message: Any) -> Decoded:
    kind = getattr(message, "encoding", "") or getattr(message, "format", "")
    size = f"{array.shape[1]} × {array.shape[0]} {kind}"
    return Decoded(array, size, stamp_of(message))
