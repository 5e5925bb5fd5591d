"""`uaafusion dataset`: a look at training data, and some of our own making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console


def dataset_check(
    folder: Annotated[
        Path,
        typer.Argument(help="Data set: infrared/ visible/ labels/, FMB or MSRS, or splits of it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.json and contact.png.")] = Path(
        "out/dataset"
    ),
    model: Annotated[
        str, typer.Option(help="Model whose classes the labels are, where the data does not say.")
    ] = "",
) -> None:
    """Count, look at and judge the images of a data set; status 1 when something is wrong."""
    from uaafusion_ros.training.dataset_check import check_dataset

    report = check_dataset(folder, out, console, model=model)
    report.pop("problems")
    typer.echo(json.dumps(report, indent=2))
    if not report["ok"]:
        raise typer.Exit(1)


def dataset_street(
    out: Annotated[Path, typer.Option(help="New folder for the data set.")],
    frames: Annotated[int, typer.Option(help="Streets, of one frame each.")] = 200,
    condition: Annotated[
        list[str] | None,
        typer.Option(help="day, night or fog; repeat, to take them in turn. Default: night, fog."),
    ] = None,
    height: Annotated[int, typer.Option(help="Rows of the images.")] = 300,
    width: Annotated[int, typer.Option(help="Columns of the images.")] = 400,
    seed: Annotated[
        int, typer.Option(help="Number of the first street; the default is not trained on.")
    ] = 500_000,
) -> None:
    """Render synthetic streets with their labels: a data set for `evaluate` or `train`."""
    from rich.progress import track

    from uaafusion_ros.training.street_set import write_street_set

    written = write_street_set(
        out,
        frames=frames,
        height=height,
        width=width,
        conditions=condition or ["night", "fog"],
        seed=seed,
    )
    count = sum(1 for _ in track(written, "rendering", frames, console=console, transient=True))
    typer.echo(f"{count} pairs with labels in {out}")
