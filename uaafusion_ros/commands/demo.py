"""`uaafusion demo`: live topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import Mode, Model
from uaafusion_ros.network.modes import AUTO


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the recording.")] = Path("out/demo"),
    infrared: Annotated[Path | None, typer.Option(help="Folder of infrared images.")] = None,
    visible: Annotated[Path | None, typer.Option(help="Folder of visible images.")] = None,
    seconds: Annotated[float, typer.Option(help="How long to record.")] = 20.0,
    rate: Annotated[float, typer.Option(help="Pairs a second.")] = 5.0,
    condition: Annotated[str, typer.Option(help="day, night or fog (synthetic street).")] = "night",
    model: Model = "",
    mode: Mode = AUTO,
) -> None:
    """Replay a street (or images) and fuse it on live ROS 2 topics; record what comes out."""
    from uaafusion_ros.demo import DemoPlan, run_demo

    plan = DemoPlan(
        out=out,
        infrared=infrared,
        visible=visible,
        seconds=seconds,
        rate=rate,
        condition=condition,
        model=model,
        mode=mode,
    )
    summary = run_demo(plan, console)
    typer.echo(json.dumps(summary, indent=2))
    if not summary["published"] or not summary["accounted"]:
        raise typer.Exit(1)
