"""`uaafusion replay-test`: a recording as a regression test."""

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


def replay_test(
    bags: Annotated[list[Path], typer.Argument(help="Recordings of the cameras, read as one.")],
    expect: Annotated[Path | None, typer.Option(help="Compare with this stored run.")] = None,
    record: Annotated[Path | None, typer.Option(help="Store this run: a .json file.")] = None,
    node: Annotated[
        bool, typer.Option("--node", help="Play it to the live node too: rates and latency.")
    ] = False,
    pictures: Annotated[int, typer.Option(help="Pairs whose pictures are stored.")] = 8,
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
    homography: Homography = "",
    gain_limits: GainLimits = None,
    kelvin_per_count: KelvinPerCount = 0.0,
) -> None:
    """Fuse a recording and compare with an earlier run; exit status 1 where they differ."""
    from rich.markup import escape

    from uaafusion_ros.inference.errors import SettingsError
    from uaafusion_ros.offline.plan import FusionPlan
    from uaafusion_ros.offline.replay import compare, replay, stored_stamps
    from uaafusion_ros.offline.replay import record as store
    from uaafusion_ros.offline.replay_file import read_expected

    if (expect is None) == (record is None):
        raise SettingsError("give either --expect FILE, to compare, or --record FILE, to store")
    expected = None if expect is None else read_expected(expect)
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
    run = replay(plan, pictures if expect is None else stored_stamps(expect), console)
    live = None
    if node:
        from uaafusion_ros.demo.replay_test import play_to_node

        live = play_to_node(plan, run.topics, console)
    for text in run.damage:
        console.print(f"[yellow]damaged: {escape(text)}[/yellow]", soft_wrap=True)
    if record is not None:
        store(record, run, live)
        console.print(f"{run.fused} pairs stored in {record}", markup=False, soft_wrap=True)
        if not run.fused:
            raise typer.Exit(1)
        return
    assert expect is not None and expected is not None
    differences = compare(expect, run)
    if live is not None:
        from uaafusion_ros.demo.replay_test import compare_node

        differences += compare_node(expected, live)
    content = {key: value for key, value in run.content().items() if key != "checksums"}
    identical = run.checksums == expected["replay"]["checksums"]
    result = {"differences": differences, "identical": identical, "replay": content, "node": live}
    typer.echo(json.dumps(result, indent=2))
    for text in differences:
        console.print(f"[red]differs:[/red] {escape(text)}", soft_wrap=True)
    if differences:
        raise typer.Exit(1)
    pixels = "the same pixels" if identical else "pixels within the limits"
    console.print(f"as in {expect}: {run.fused} pairs, {pixels}", markup=False, soft_wrap=True)
