"""`uaafusion train`: the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros.commands.console import console


def train(
    config: Annotated[Path, typer.Option(help="Settings of the run, YAML.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings on top of the file: key=value.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was stopped.")] = False,
) -> None:
    """Train a model: segmentation, adaptation to pairs, fusion. Also under torchrun."""
    from uaafusion_ros.training.kept_memory import keep_freed_memory
    from uaafusion_ros.training.run import train as train_model
    from uaafusion_ros.training.settings_file import read_settings

    settings = read_settings(config, overrides or [])
    # Here, and not in the run: a program that trains among other things may need its memory back.
    keep_freed_memory()
    train_model(settings, resume=resume, console=console)
