"""`uaafusion bag`: recordings with the fusion in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import (
    Device,
    GainLimits,
    Homography,
    InfraredOffset,
    Jobs,
    KelvinPerCount,
    MaskSizes,
    MaxSide,
    MaxSkew,
    Mode,
    Model,
    Topic,
    frame_settings,
)
from uaafusion_ros.node.pairing import DEFAULT_MAX_SKEW


def bag(
    bags: Annotated[
        list[Path], typer.Argument(help="rosbag2 folders, .mcap or .db3 files, read as one.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for the recording (MCAP).")],
    infrared: Topic = "",
    visible: Topic = "",
    model: Model = "",
    mode: Mode = "auto",
    only_outputs: Annotated[bool, typer.Option(help="Leave the original topics out.")] = False,
    jobs: Jobs = 0,
    resume: Annotated[
        bool, typer.Option(help="Go on where Ctrl-C stopped an earlier run.")
    ] = False,
    device: Device = "auto",
    max_side: MaxSide = 0,
    mask_sizes: MaskSizes = "",
    max_skew: MaxSkew = DEFAULT_MAX_SKEW,
    infrared_offset: InfraredOffset = 0.0,
    homography: Homography = "",
    gain_limits: GainLimits = None,
    kelvin_per_count: KelvinPerCount = 0.0,
) -> None:
    """Fuse recordings: the original topics and ours, as the node publishes them, in one bag."""
    from uaafusion_ros.offline.bag import BagJob, fuse_bag
    from uaafusion_ros.offline.plan import FusionPlan

    plan = FusionPlan(
        bags=tuple(bags),
        infrared=infrared,
        visible=visible,
        model=model,
        device=device,
        jobs=jobs,
        max_skew=max_skew,
        infrared_offset=infrared_offset,
        frames=frame_settings(
            homography, gain_limits, kelvin_per_count, mode, max_side, mask_sizes
        ),
    )
    summary = fuse_bag(BagJob(plan, out, only_outputs, resume), console)
    typer.echo(json.dumps(summary, indent=2))
    if not summary["complete"]:
        console.print(f"interrupted; {out} holds what was fused so far, --resume goes on")
        raise typer.Exit(130)
    if not summary["fused"]:
        console.print("[red]nothing was fused[/red]; the counts above say why")
        raise typer.Exit(1)
