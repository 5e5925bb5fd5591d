"""`uaafusion bench`: what a frame costs."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import Device


def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model file or name, or release or paper: the authors' shape, random weights, "
            "without and with the paper's data step. Repeat for several."
        ),
    ] = None,
    sizes: Annotated[str, typer.Option(help="WIDTHxHEIGHT, comma-separated.")] = "320x256,640x480",
    modes: Annotated[str, typer.Option(help="Comma-separated.")] = "exact,fast,realtime",
    products: Annotated[
        str, typer.Option(help="What is asked for: fused, mask, weight, attention.")
    ] = "fused,mask",
    repeats: Annotated[int, typer.Option(help="Frames a case.")] = 5,
    threads: Annotated[int, typer.Option(help="Of torch; 0 is its own number.")] = 0,
    device: Device = "cpu",
    node: Annotated[
        bool, typer.Option("--node", help="The whole node over DDS, with replayed cameras.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Realtime mode compiled for each size (--node).")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long to replay a case (--node).")] = 20.0,
    rate: Annotated[float, typer.Option(help="Pairs a second (--node).")] = 30.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw cost against image size here.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Put the table into this file, in the last one's place.")
    ] = None,
    section: Annotated[
        str,
        typer.Option(
            help="Which table of that file, for tables of several runs; empty: models, or node."
        ),
    ] = "",
) -> None:
    """Measure models: time by part, memory, and the ratio to one pass of the release's network."""
    from uaafusion_ros.bench import node_report, report
    from uaafusion_ros.bench.run import BenchPlan, parse_sizes, run_bench

    plan = BenchPlan(
        models=tuple(model or [""]),
        sizes=parse_sizes(sizes),
        modes=tuple(part.strip() for part in modes.split(",")),
        products=tuple(part.strip() for part in products.split(",")),
        repeats=repeats,
        threads=threads,
        device=device,
        compiled=compiled,
    )
    command = shlex.join(["uaafusion", *sys.argv[1:]])
    section = section or ("node" if node else "models")
    if node:
        from uaafusion_ros.bench.node import run_node_bench

        result = run_node_bench(plan, seconds, rate, console)
        node_report.print_table(result, console)
        if markdown is not None:
            node_report.write_markdown(result, command, markdown, section)
    else:
        result = run_bench(plan, console)
        report.print_table(result, console)
        if plot is not None:
            report.plot(result, plot)
        if markdown is not None:
            report.write_markdown(result, command, markdown, section)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
