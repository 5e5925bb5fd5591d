"""`uaafusion import-checkpoint`: the authors' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from uaafusion_ros import __version__
from uaafusion_ros.commands.console import console


def import_checkpoint(
    source: Annotated[Path, typer.Argument(help="The authors' released .pth file.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    data_step: Annotated[
        bool, typer.Option("--data-step", help="Keep the step sizes of the file.")
    ] = False,
) -> None:
    """Convert the authors' released checkpoint."""
    from uaafusion_ros.network.authors import import_authors_checkpoint
    from uaafusion_ros.network.checkpoint import CheckpointInfo, save_checkpoint

    model = import_authors_checkpoint(source, data_step=data_step)
    notes = (
        "step sizes as in the file" if data_step else "step sizes 0: the release has no data step"
    )
    info = CheckpointInfo(
        config=model.config,
        name=out.stem,
        version=__version__,
        training_data="as the imported checkpoint",
        licence="as the imported checkpoint",
        notes=f"imported from {source.name}; {notes}",
    )
    save_checkpoint(out, model, info)
    if data_step:
        console.print(f"{out}: data step on, with the step sizes in the file")
    else:
        console.print(
            f"{out}: step sizes set to 0. The released code computes its data step but drops the "
            "result, so these weights were trained without it; --data-step keeps the file's."
        )
