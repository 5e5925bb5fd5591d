"""`uaafusion fuse`: image files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import Device, MaskSizes, MaxSide, Mode, Model


def fuse(
    infrared: Annotated[Path, typer.Option(help="Infrared image, or a folder of them.")],
    visible: Annotated[Path, typer.Option(help="Visible image, or a folder (same stems).")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Model = "",
    arrays: Annotated[bool, typer.Option(help="Write arrays/STEM.npz as well.")] = False,
    sequence: Annotated[
        bool, typer.Option(help="The files are one recording: smooth over time.")
    ] = False,
    device: Device = "auto",
    max_side: MaxSide = 0,
    mask_sizes: MaskSizes = "",
    mode: Mode = "auto",
    providers: Annotated[
        str, typer.Option(help="For .onnx: auto, tensorrt, cuda or cpu (onnxruntime).")
    ] = "auto",
    engine_cache: Annotated[
        str, typer.Option(help="Folder for TensorRT's engines; empty: ~/.cache/uaafusion.")
    ] = "",
) -> None:
    """Fuse image pairs: fused/, mask/, overlay/ and attribution/ under OUT."""
    from uaafusion_ros.inference.files import FuseJob, fuse_files
    from uaafusion_ros.inference.providers import ProviderSettings
    from uaafusion_ros.inference.settings import parse_mask_sizes

    job = FuseJob(
        infrared=infrared,
        visible=visible,
        out=out,
        model=model,
        arrays=arrays,
        sequence=sequence,
        device=device,
        max_side=max_side,
        mode=mode,
        mask_sizes=parse_mask_sizes(mask_sizes),
        providers=ProviderSettings(providers, engine_cache),
    )
    report = fuse_files(job, console)
    console.print(f"{report.fused} of {report.found} pairs fused into {out}")
    if report.problems:
        console.print(f"[yellow]{len(report.problems)} skipped[/yellow], see above")
        raise typer.Exit(1)
