"""`uaafusion calibrate`: where infrared pixels lie in the visible image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import InfraredOffset, MaxSkew


def calibrate(
    bag: Annotated[
        Path | None, typer.Argument(help="rosbag2 folder, .mcap or .db3 file.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for registration.yaml and overlay.png.")] = Path(
        "out/calibration"
    ),
    infrared: Annotated[str, typer.Option(help="Folder of images, or topic of the bag.")] = "",
    visible: Annotated[str, typer.Option(help="Folder of images, or topic of the bag.")] = "",
    points: Annotated[
        Path | None, typer.Option(help="YAML with clicked points, instead of an estimate.")
    ] = None,
    pairs: Annotated[int, typer.Option(help="Pairs to use, spread over all.")] = 40,
    max_skew: MaxSkew = 0.02,
    infrared_offset: InfraredOffset = 0.0,
    force: Annotated[
        bool, typer.Option(help="Write the parameters even if they are not to be trusted.")
    ] = False,
) -> None:
    """Estimate the homography from infrared to visible pixels, and write the node's parameters."""
    from uaafusion_ros.calibration.run import CalibrationJob, summary
    from uaafusion_ros.calibration.run import calibrate as run

    def problem(text: str) -> None:
        console.print(f"[yellow]skipped:[/yellow] {escape(text)}", soft_wrap=True)

    job = CalibrationJob(
        out=out,
        bag=bag,
        infrared=infrared,
        visible=visible,
        points=points,
        pairs=pairs,
        max_skew=max_skew,
        infrared_offset=infrared_offset,
        force=force,
    )
    result = run(job, problem)
    console.print(summary(result.estimate), soft_wrap=True)
    for caution in result.cautions:
        console.print(f"[yellow]note:[/yellow] {escape(caution)}", soft_wrap=True)
    for doubt in result.doubts:
        console.print(f"[red]not to be trusted:[/red] {escape(doubt)}", soft_wrap=True)
    if result.picture is not None:
        console.print(f"look at {result.picture}: orange edges must lie on the visible ones")
    if result.parameters is None:
        console.print(f"[red]nothing written[/red] to {out}; --force writes it all the same")
        raise typer.Exit(1)
    typer.echo(result.parameters)
