"""The `uaafusion` command: fuse images, import and describe models, run the demo."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from uaafusion_ros import __version__

app = typer.Typer(
    name="uaafusion",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Attribution-guided fusion of infrared and visible images.",
)
console = Console(stderr=True, highlight=False)


def main() -> None:
    """Entry point; errors that a user can act on are one line, without a traceback."""
    from uaafusion_ros.inference.errors import FrameError, SettingsError
    from uaafusion_ros.network.checkpoint import CheckpointError

    try:
        app()
    except (CheckpointError, FrameError, SettingsError, OSError) as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
def fuse(
    infrared: Annotated[Path, typer.Option(help="Infrared image, or a folder of them.")],
    visible: Annotated[Path, typer.Option(help="Visible image, or a folder (same stems).")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Annotated[str, typer.Option(help="Model file or name; empty is the default.")] = "",
    arrays: Annotated[bool, typer.Option(help="Write arrays/STEM.npz as well.")] = False,
    sequence: Annotated[
        bool, typer.Option(help="The files are one recording: smooth over time.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    max_side: Annotated[int, typer.Option(help="Longer side to work at; 0 is full size.")] = 0,
) -> None:
    """Fuse image pairs: fused/, mask/, overlay/ and attribution/ under OUT."""
    from uaafusion_ros.inference.files import FuseJob, fuse_files

    job = FuseJob(
        infrared=infrared,
        visible=visible,
        out=out,
        model=model,
        arrays=arrays,
        sequence=sequence,
        device=device,
        max_side=max_side,
    )
    report = fuse_files(job, console)
    console.print(f"{report.fused} of {report.found} pairs fused into {out}")
    if report.problems:
        console.print(f"[yellow]{len(report.problems)} skipped[/yellow], see above")
        raise typer.Exit(1)


@app.command("import-checkpoint")
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


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="Model file or name; empty is the default.")] = "",
) -> None:
    """Print what a model file says of itself, as JSON."""
    from dataclasses import asdict

    from uaafusion_ros.inference.models import find_model
    from uaafusion_ros.network.checkpoint import read_info

    path = find_model(model)
    typer.echo(json.dumps({"file": str(path), **asdict(read_info(path))}, indent=2))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the recording.")] = Path("out/demo"),
    infrared: Annotated[Path | None, typer.Option(help="Folder of infrared images.")] = None,
    visible: Annotated[Path | None, typer.Option(help="Folder of visible images.")] = None,
    seconds: Annotated[float, typer.Option(help="How long to record.")] = 20.0,
    rate: Annotated[float, typer.Option(help="Pairs a second.")] = 5.0,
    condition: Annotated[str, typer.Option(help="day, night or fog (synthetic street).")] = "night",
    model: Annotated[str, typer.Option(help="Model file or name; empty is the default.")] = "",
) -> None:
    """Replay a street (or images) and fuse it on live ROS 2 topics; record what comes out."""
    from uaafusion_ros.demo import DemoPlan, run_demo

    plan = DemoPlan(
        out=out,
        infrared=infrared,
        visible=visible,
        seconds=seconds,
        rate=rate,
        condition=condition,
        model=model,
    )
    summary = run_demo(plan, console)
    typer.echo(json.dumps(summary, indent=2))
    if not summary["published"] or not summary["accounted"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
