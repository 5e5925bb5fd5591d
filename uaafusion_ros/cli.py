"""The `uaafusion` command; what its commands do stands in commands/."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from uaafusion_ros import __version__
from uaafusion_ros.commands.bag import bag
from uaafusion_ros.commands.bench import bench
from uaafusion_ros.commands.calibrate import calibrate
from uaafusion_ros.commands.console import console
from uaafusion_ros.commands.dataset import dataset_check, dataset_street
from uaafusion_ros.commands.demo import demo
from uaafusion_ros.commands.doctor import doctor
from uaafusion_ros.commands.evaluate import evaluate
from uaafusion_ros.commands.export import export
from uaafusion_ros.commands.fuse import fuse
from uaafusion_ros.commands.harvest import harvest
from uaafusion_ros.commands.import_checkpoint import import_checkpoint
from uaafusion_ros.commands.info import info
from uaafusion_ros.commands.replay_test import replay_test
from uaafusion_ros.commands.train import train
from uaafusion_ros.commands.video import video

#: Status of a command that Ctrl-C has ended, as shells have it.
_INTERRUPTED = 130

app = typer.Typer(
    name="uaafusion",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Attribution-guided fusion of infrared and visible images.",
)
dataset_app = typer.Typer(no_args_is_help=True, help="Look after training data.")

app.command()(fuse)
app.command()(info)
app.command()(export)
app.command("import-checkpoint")(import_checkpoint)
app.command()(demo)
app.command()(bag)
app.command()(video)
app.command("replay-test")(replay_test)
app.command()(doctor)
app.command()(harvest)
app.command()(calibrate)
app.add_typer(dataset_app, name="dataset")
dataset_app.command("check")(dataset_check)
dataset_app.command("street")(dataset_street)
app.command()(train)
app.command()(evaluate)
app.command()(bench)


def main() -> None:
    """Entry point; errors that a user can act on are one line, without a traceback."""
    from uaafusion_ros.inference.threads import let_waiting_threads_sleep

    let_waiting_threads_sleep()
    from uaafusion_ros.calibration.errors import CalibrationError
    from uaafusion_ros.export.errors import ExportError
    from uaafusion_ros.inference.errors import DeviceMemoryError, FrameError, SettingsError
    from uaafusion_ros.network.checkpoint import CheckpointError
    from uaafusion_ros.training.errors import TrainingError

    foreseen = (
        *(CalibrationError, CheckpointError, DeviceMemoryError, ExportError),
        *(FrameError, SettingsError, TrainingError, OSError),
    )
    try:
        app()
    except foreseen as error:
        console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(_INTERRUPTED)
    except SystemExit as leaving:  # what Typer makes of Ctrl-C, without a word
        if leaving.code == _INTERRUPTED:
            console.print("interrupted")
        raise


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


def train_main() -> None:
    """Entry point of `ros2 run uaafusion_ros train`."""
    sys.argv.insert(1, "train")
    main()


if __name__ == "__main__":
    main()
