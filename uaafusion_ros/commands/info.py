"""`uaafusion info`: what a model file says."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def info(
    model: Annotated[str, typer.Argument(help="Model file or name; empty is the default.")] = "",
) -> None:
    """Print what a model file says of itself, as JSON."""
    from dataclasses import asdict

    from uaafusion_ros.inference.models import find_model
    from uaafusion_ros.inference.onnx_file import is_onnx, read_onnx
    from uaafusion_ros.network.checkpoint import read_info

    path = find_model(model)
    if is_onnx(path):
        file = read_onnx(path)
        said = {**asdict(file.info), "export": asdict(file.export)}
    else:
        said = asdict(read_info(path))
    typer.echo(json.dumps({"file": str(path), **said}, indent=2))
