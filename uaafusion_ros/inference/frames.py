"""What goes into the pipeline, between its steps, and comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.settings import MINIMUM_SIDE
from uaafusion_ros.inference.thermal import check_finite


@dataclass(frozen=True)
class FusionResult:
    """What was asked for, at the visible image's size; the rest is None.

    fused: BGR uint8 [H,W,3]. mask: class ids uint8 [H,W], the segmentation of the fused image.
    infrared_weight: float32 [H,W] in 0..1, 1 where a region comes from infrared alone.
    attention: float32 [H,W] in 0..1, one half where attribution says nothing.
    arrays: the network's arrays at its working size, before the stretch.
    timings: seconds of `prepare`, `network` and `finish`.
    """

    fused: np.ndarray | None = None
    mask: np.ndarray | None = None
    infrared_weight: np.ndarray | None = None
    attention: np.ndarray | None = None
    arrays: NetworkArrays | None = None
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedFrame:
    """A pair ready for the network.

    thermal, luminance: float32 [H,W] in 0..1, aligned. chroma: uint8 [H,W,2], None for grey images.
    """

    thermal: np.ndarray
    luminance: np.ndarray
    chroma: np.ndarray | None


def check_pair(infrared: np.ndarray, visible: np.ndarray) -> None:
    """Refuse images that cannot be fused; what they may be says `FusionPipeline.__call__`.

    Raises:
        FrameError: what was found and what was expected.
    """
    for name, image in (("infrared", infrared), ("visible", visible)):
        colour = name == "visible" and image.ndim == 3 and image.shape[2] == 3
        if image.ndim != 2 and not colour:
            expected = "[H,W]" if name == "infrared" else "[H,W] or [H,W,3]"
            raise FrameError(f"{name} image is {list(image.shape)}, expected {expected}")
        if min(image.shape[:2]) < MINIMUM_SIDE:
            raise FrameError(
                f"{name} image is {image.shape[1]}x{image.shape[0]}, expected sides of at least "
                f"{MINIMUM_SIDE} pixels"
            )
    if visible.dtype == np.uint8:
        return
    if visible.ndim == 2 and visible.dtype in (np.float32, np.float64):
        check_finite("visible", visible)
        if visible.min() >= 0 and visible.max() <= 1:
            return
        raise FrameError(
            f"visible float image spans {visible.min():.3g}..{visible.max():.3g}, expected 0..1"
        )
    raise FrameError(f"visible image is {visible.dtype}, expected uint8, or float grey in 0..1")
