"""`uaafusion video`: recordings as a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import (
    Device,
    InfraredOffset,
    Jobs,
    MaskSizes,
    MaxSide,
    MaxSkew,
    Mode,
    Model,
    Topic,
    frame_settings,
)
from uaafusion_ros.node.pairing import DEFAULT_MAX_SKEW


def video(
    bags: Annotated[
        list[Path], typer.Argument(help="Recordings with our topics, or of cameras: then fused.")
    ],
    out: Annotated[Path, typer.Option(help="The .mp4 file.")],
    grid: Annotated[
        bool, typer.Option(help="Inputs, fused, segmentation and attribution side by side.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Frames a second; 0: the camera's.")] = 0.0,
    infrared: Topic = "",
    visible: Topic = "",
    model: Model = "",
    mode: Mode = "auto",
    jobs: Jobs = 0,
    device: Device = "auto",
    max_side: MaxSide = 0,
    mask_sizes: MaskSizes = "",
    max_skew: MaxSkew = DEFAULT_MAX_SKEW,
    infrared_offset: InfraredOffset = 0.0,
) -> None:
    """Make a video of recordings; what has not been fused yet is fused on the way."""
    from uaafusion_ros.offline.plan import FusionPlan
    from uaafusion_ros.offline.video import VideoJob, film

    plan = FusionPlan(
        bags=tuple(bags),
        infrared=infrared,
        visible=visible,
        model=model,
        device=device,
        jobs=jobs,
        max_skew=max_skew,
        infrared_offset=infrared_offset,
        frames=frame_settings(mode=mode, max_side=max_side, mask_sizes=mask_sizes),
    )
    moments = film(VideoJob(plan, out, grid, rate), console)
    console.print(f"{moments} fused images in {out}", markup=False, soft_wrap=True)
