"""The `uaafusion` command: fuse images, import and describe models, demo, training data."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
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
dataset_app = typer.Typer(no_args_is_help=True, help="Look after training data.")
app.add_typer(dataset_app, name="dataset")
console = Console(stderr=True, highlight=False)


def main() -> None:
    """Entry point; errors that a user can act on are one line, without a traceback."""
    from uaafusion_ros.inference.errors import FrameError, SettingsError
    from uaafusion_ros.network.checkpoint import CheckpointError
    from uaafusion_ros.training.errors import TrainingError

    try:
        app()
    except (CheckpointError, FrameError, SettingsError, TrainingError, OSError) as error:
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
    mode: Annotated[str, typer.Option(help="exact, fast, realtime or auto.")] = "auto",
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
        mode=mode,
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
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder with infrared/, visible/, maybe labels/.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    model: Annotated[
        list[str] | None, typer.Option(help="Model file or name; repeat for several.")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Folder of another method's fused images; repeat.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Pairs to evaluate, evenly spread; 0 is all.")] = 0,
    max_side: Annotated[int, typer.Option(help="Longer side to work at; 0 is full size.")] = 0,
    faithfulness: Annotated[
        int, typer.Option(help="Pairs to measure deletion and insertion on; 0 is none.")
    ] = 20,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    mode: Annotated[
        list[str] | None,
        typer.Option(help="exact, fast or realtime, beside exact; repeat. Default: auto alone."),
    ] = None,
) -> None:
    """Measure models on pairs: metrics.json, per_image.csv and report.md under OUT."""
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
    )
    result = evaluate_models(job, console)
    ranks = result.mean_ranks()
    typer.echo(json.dumps({name: round(rank, 3) for name, rank in ranks.items()}, indent=2))
    console.print(f"{len(result.evaluated)} of {result.found} pairs evaluated into {out}")
    if result.problems:
        console.print(f"[yellow]{len(result.problems)} skipped[/yellow], see above")
        raise typer.Exit(1)


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


@app.command()
def harvest(
    bags: Annotated[list[Path], typer.Argument(help="rosbag2 folders, .mcap or .db3 files.")],
    out: Annotated[Path, typer.Option(help="New folder for train/, val/ and manifest.json.")],
    infrared: Annotated[str, typer.Option(help="Image topic; empty: told by the names.")] = "",
    visible: Annotated[str, typer.Option(help="Image topic; empty: told by the names.")] = "",
    label_with: Annotated[
        str, typer.Option(help="Model (file or name) that labels pixels it is sure of.")
    ] = "",
    confidence: Annotated[
        float | None, typer.Option(help="Score that a label needs.", show_default="the trainer's")
    ] = None,
    max_skew: Annotated[float, typer.Option(help="Seconds between the stamps of a pair.")] = 0.05,
    infrared_offset: Annotated[float, typer.Option(help="Seconds added to infrared stamps.")] = 0.0,
    every: Annotated[float, typer.Option(help="Least seconds between pairs.")] = 0.0,
    val_share: Annotated[float, typer.Option(help="Last part of a bag that goes to val.")] = 0.2,
    split_gap: Annotated[float, typer.Option(help="Seconds left out between train and val.")] = 2.0,
    difference: Annotated[
        float, typer.Option(help="Grey levels by which a pair differs from the last; 0 keeps all.")
    ] = 2.0,
    homography: Annotated[
        str, typer.Option(help="Infrared to visible pixel, nine numbers; empty: resize.")
    ] = "",
    gain_limits: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Fixed infrared range; else percentiles of the image.", metavar="MIN MAX"
        ),
    ] = None,
    kelvin_per_count: Annotated[float, typer.Option(help="Above 0: the limits are kelvin.")] = 0.0,
) -> None:
    """Make training pairs of recordings, paired and registered as by the node."""
    from uaafusion_ros.inference.settings import PipelineSettings
    from uaafusion_ros.training.harvest import harvest as harvest_bags
    from uaafusion_ros.training.harvest_plan import HarvestPlan, parse_homography

    frames = PipelineSettings(
        homography=parse_homography(homography), kelvin_per_count=kelvin_per_count
    )
    if gain_limits is not None:
        frames = replace(
            frames, gain_control="fixed", gain_minimum=gain_limits[0], gain_maximum=gain_limits[1]
        )
    manifest = harvest_bags(
        HarvestPlan(
            bags=tuple(bags),
            out=out,
            infrared=infrared,
            visible=visible,
            label_with=label_with,
            confidence=confidence,
            max_skew=max_skew,
            infrared_offset=infrared_offset,
            every=every,
            val_share=val_share,
            split_gap=split_gap,
            difference=difference,
            frames=frames,
        ),
        console,
    )
    manifest.pop("pairs")
    typer.echo(json.dumps(manifest, indent=2))
    if not manifest["splits"]["train"]:
        console.print("[red]no pair for training[/red]; the counts above say why")
        raise typer.Exit(1)


@dataset_app.command("check")
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


@app.command()
def train(
    config: Annotated[Path, typer.Option(help="Settings of the run, YAML.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings on top of the file: key=value.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was stopped.")] = False,
) -> None:
    """Train a model: segmentation, adaptation to pairs, fusion. Also under torchrun."""
    from uaafusion_ros.training.run import train as train_model
    from uaafusion_ros.training.settings_file import read_settings

    settings = read_settings(config, overrides or [])
    train_model(settings, resume=resume, console=console)


def train_main() -> None:
    """Entry point of `ros2 run uaafusion_ros train`."""
    sys.argv.insert(1, "train")
    main()


if __name__ == "__main__":
    main()
