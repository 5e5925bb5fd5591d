"""`uaafusion harvest`: recordings into training pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import (
    GainLimits,
    Homography,
    InfraredOffset,
    KelvinPerCount,
    MaxSkew,
    Topic,
    frame_settings,
)
from uaafusion_ros.node.pairing import DEFAULT_MAX_SKEW


def harvest(
    bags: Annotated[list[Path], typer.Argument(help="rosbag2 folders, .mcap or .db3 files.")],
    out: Annotated[Path, typer.Option(help="New folder for train/, val/ and manifest.json.")],
    infrared: Topic = "",
    visible: Topic = "",
    label_with: Annotated[
        str, typer.Option(help="Model (file or name) that labels pixels it is sure of.")
    ] = "",
    confidence: Annotated[
        float | None, typer.Option(help="Score that a label needs.", show_default="the trainer's")
    ] = None,
    max_skew: MaxSkew = DEFAULT_MAX_SKEW,
    infrared_offset: InfraredOffset = 0.0,
    every: Annotated[float, typer.Option(help="Least seconds between pairs.")] = 0.0,
    val_share: Annotated[float, typer.Option(help="Last part of a bag that goes to val.")] = 0.2,
    split_gap: Annotated[float, typer.Option(help="Seconds left out between train and val.")] = 2.0,
    difference: Annotated[
        float, typer.Option(help="Grey levels by which a pair differs from the last; 0 keeps all.")
    ] = 2.0,
    homography: Homography = "",
    gain_limits: GainLimits = None,
    kelvin_per_count: KelvinPerCount = 0.0,
) -> None:
    """Make training pairs of recordings, paired and registered as by the node."""
    from uaafusion_ros.training.harvest import harvest as harvest_bags
    from uaafusion_ros.training.harvest_plan import HarvestPlan

    frames = frame_settings(homography, gain_limits, kelvin_per_count)
    manifest = harvest_bags(
        HarvestPlan(
            bags=tuple(bags),
            out=out,
            infrared=infrared,
            visible=visible,
            label_with=label_with,
            confidence=confidence,
            max_skew=max_skew,
            infrared_offset=infrared_offset,
            every=every,
            val_share=val_share,
            split_gap=split_gap,
            difference=difference,
            frames=frames,
        ),
        console,
    )
    manifest.pop("pairs")
    typer.echo(json.dumps(manifest, indent=2))
    if not manifest["splits"]["train"]:
        console.print("[red]no pair for training[/red]; the counts above say why")
        raise typer.Exit(1)
