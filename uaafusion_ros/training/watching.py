"""What a person sees of a run: a progress bar, a CSV, TensorBoard, pictures and a plot."""

from __future__ import annotations

import csv
import math
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from uaafusion_ros.training.trainer import StepReport

LOSSES = (
    *("data", "gradient", "intensity", "shadow", "checkerboard", "saliency", "similarity"),
    *("complement", "imitation", "segmentation", "overlap", "attention", "weight", "fused"),
)
COLUMNS = ("phase", "step", "total", *LOSSES, "learning_rate", "seconds")
#: Of the running mean that the progress line and the plot show.
_SMOOTHING = 0.95


class Watch:
    """Records every step under `out`; only the first of several processes has one."""

    def __init__(self, out: Path, console: Console, finished: list[str], current: tuple) -> None:
        """Continue the curves of an earlier run up to `current`, (phase, step), or begin anew."""
        self._out, self._console = out, console
        self._csv = out / "losses.csv"
        _keep_rows(self._csv, finished, *current)
        self._file = self._csv.open("a", newline="")
        self._rows = csv.writer(self._file)
        self._board = self._open_board()
        self._progress: Progress | None = None
        self._average: float | None = None
        self._phase, self._steps, self._offset = "", 0, 0
        self._began = self._start = 0.0

    def _open_board(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.say("TensorBoard is not installed (extra `train`): no scalars, no pictures in it")
            return None
        return SummaryWriter(str(self._out / "tensorboard"))

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(escape(text), soft_wrap=True, highlight=False)

    def begin(self, phase: str, steps: int, done: int) -> None:
        """A phase of `steps` starts, of which `done` are behind it."""
        self._phase, self._steps, self._start = phase, steps, done
        self._began, self._average = time.monotonic(), None
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn(f"{phase} {{task.completed}}/{{task.total}}"),
                BarColumn(),
                TextColumn("loss {task.fields[loss]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._progress.start()
            self._progress.add_task(phase, total=steps, completed=done, loss="")

    def step(self, report: StepReport) -> None:
        """Record one step."""
        total = sum(report.losses.values())
        before = total if self._average is None else self._average
        self._average = _SMOOTHING * before + (1 - _SMOOTHING) * total
        parts = [f"{report.losses[name]:.9g}" if name in report.losses else "" for name in LOSSES]
        seconds = f"{time.monotonic() - self._began:.2f}"
        rate = f"{report.learning_rate:.6g}"
        self._rows.writerow((self._phase, report.step, f"{total:.9g}", *parts, rate, seconds))
        if self._board is not None:
            values = {**report.losses, "total": total, "learning rate": report.learning_rate}
            for name, value in values.items():
                self._board.add_scalar(f"{self._phase}/{name}", value, report.step)
        if self._progress is not None:
            task = self._progress.task_ids[0]
            shown = f"{self._average:.4f}"
            self._progress.update(task, completed=report.step, loss=shown)

    def flush(self, step: int, numbers: dict[str, Any]) -> None:
        """Bring the curves to disk, before the state that goes with them."""
        self._file.flush()
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(f"{self._phase}/{name}", value, step)
            self._board.flush()
        if self._progress is None and self._average is not None:
            pace = (time.monotonic() - self._began) / max(step - self._start, 1)
            left = time.strftime("%H:%M:%S", time.gmtime(pace * (self._steps - step)))
            shown = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
            self.say(
                f"{self._phase} {step}/{self._steps} loss {self._average:.4f} {shown}"
                f"{' ' if shown else ''}{pace:.2f} s a step, left {left}"
            )

    def picture(self, step: int, image: np.ndarray) -> None:
        """Keep a picture, BGR uint8 [H,W,3]."""
        folder = self._out / "pictures"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{self._phase}_{step:06d}.jpg"), image)
        if self._board is not None:
            rgb = np.ascontiguousarray(image[..., ::-1])
            self._board.add_image(f"{self._phase}/pair", rgb, step, dataformats="HWC")

    def end(self) -> None:
        """The phase is over, or was stopped."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def close(self) -> None:
        """Finish the files."""
        self.end()
        self._file.close()
        if self._board is not None:
            self._board.close()

    def plot(self) -> Path | None:
        """Draw the curves of all phases; None where matplotlib is absent."""
        self._file.flush()
        try:
            from matplotlib.figure import Figure
        except ImportError:
            self.say("matplotlib is not installed (extra `train`): no plot")
            return None
        curves = _read_curves(self._csv)
        figure = Figure(figsize=(5 * len(curves), 3.6), layout="constrained")
        for index, (phase, values) in enumerate(curves.items()):
            axes = figure.add_subplot(1, len(curves), index + 1)
            for name, points in values.items():
                steps, losses = zip(*points, strict=True)
                axes.plot(steps, _smooth(losses), label=name, linewidth=2 if name == "total" else 1)
            axes.set(title=phase, xlabel="step", ylabel="weighted loss", yscale="log")
            axes.legend(fontsize="small", framealpha=0.5)
        path = self._out / "losses.png"
        figure.savefig(path, dpi=110)
        return path


def _keep_rows(path: Path, finished: list[str], phase: str, step: int) -> None:
    """Drop the rows behind the state that a resumed run goes on from, and a half-written one."""
    kept = []
    last_steps = {phase: step} | dict.fromkeys(finished, math.inf)
    if path.is_file():
        with path.open(newline="") as file:
            # By name: an earlier version may have had fewer losses.
            kept = [
                [row.get(name, "") for name in COLUMNS]
                for row in csv.DictReader(file)
                if None not in (*row, *row.values())  # too long, too short
                and int(row["step"]) <= last_steps.get(row["phase"], -1)
            ]
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *kept])
    os.replace(temporary, path)


def _read_curves(path: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name in ("total", *LOSSES):
                if row[name]:
                    phase = curves.setdefault(row["phase"], {})
                    phase.setdefault(name, []).append((int(row["step"]), float(row[name])))
    return curves


def _smooth(values: tuple[float, ...]) -> list[float]:
    average, smooth = values[0], []
    for value in values:
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        smooth.append(average)
    return smooth
