"""`uaafusion dataset check`: a look at training data."""

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
