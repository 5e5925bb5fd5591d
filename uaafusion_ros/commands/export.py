"""`uaafusion export`: realtime mode as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.frame_options import MaskSizes, Model


def export(
    onnx: Annotated[Path, typer.Option(help="The .onnx file to write.")],
    model: Model = "",
    size: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH, as 480x640, or dynamic for any size.")
    ] = "dynamic",
    half: Annotated[
        bool, typer.Option("--half", help="Compute in float16; for GPUs. Inputs stay float32.")
    ] = False,
    mask_sizes: MaskSizes = "",
) -> None:
    """Write realtime mode whole as ONNX, for onnxruntime; refused if it differs from PyTorch."""
    from uaafusion_ros.export.run import ExportJob, export_model, parse_export_size
    from uaafusion_ros.inference.settings import parse_mask_sizes

    sizes = parse_mask_sizes(mask_sizes)
    parity = export_model(ExportJob(model, onnx, parse_export_size(size), half, sizes))
    console.print(f"{onnx}: {onnx.stat().st_size / 1e6:.1f} MB, {parity.summary()}")
