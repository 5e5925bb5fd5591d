"""`uaafusion evaluate`: the measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import Device, MaskSizes, MaxSide


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder with infrared/, visible/, maybe labels/.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    model: Annotated[
        list[str] | None, typer.Option(help="Model file or name; repeat. Default: uaafusion_edge.")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Folder of another method's fused images; repeat.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Pairs to evaluate, evenly spread; 0 is all.")] = 0,
    max_side: MaxSide = 0,
    faithfulness: Annotated[
        int, typer.Option(help="Pairs to measure deletion and insertion on; 0 is none.")
    ] = 20,
    device: Device = "auto",
    mode: Annotated[
        list[str] | None,
        typer.Option(help="exact, fast or realtime, beside exact; repeat. Default: auto alone."),
    ] = None,
    marked: Annotated[
        Path | None,
        typer.Option(help="COCO JSON of regions of known class; evaluates the pairs it lists."),
    ] = None,
    mask_sizes: MaskSizes = "",
) -> None:
    """Measure models on pairs: metrics.json, per_image.csv and report.md under OUT."""
    from uaafusion_ros.inference.settings import parse_mask_sizes
    from uaafusion_ros.training.evaluation import EvaluationJob, evaluate_models

    job = EvaluationJob(
        models=tuple(model or [""]),
        data=data,
        out=out,
        compare=tuple(compare or []),
        limit=limit,
        max_side=max_side,
        faithfulness=faithfulness,
        device=device,
        modes=tuple(mode or ()),
        marked=marked,
        mask_sizes=parse_mask_sizes(mask_sizes),
    )
    result = evaluate_models(job, console)
    ranks = result.mean_ranks()
    typer.echo(json.dumps({name: round(rank, 3) for name, rank in ranks.items()}, indent=2))
    console.print(f"{len(result.evaluated)} of {result.found} pairs evaluated into {out}")
    if result.problems:
        console.print(f"[yellow]{len(result.problems)} skipped[/yellow], see above")
        raise typer.Exit(1)
