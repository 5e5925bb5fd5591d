"""Runs the cases of a benchmark one after the other, each in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from uaafusion_ros.bench.case import BenchCase
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.threads import let_waiting_threads_sleep
from uaafusion_ros.network.modes import MODES

PRODUCTS = ("fused", "mask", "weight", "attention")


@dataclass(frozen=True)
class BenchPlan:
    """What to measure.

    Raises:
        SettingsError: an unknown mode or product, or a malformed size.
    """

    models: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    modes: tuple[str, ...] = MODES
    products: tuple[str, ...] = ("fused", "mask")
    repeats: int = 5
    threads: int = 0
    device: str = "cpu"
    compiled: bool = False

    def __post_init__(self) -> None:
        for kind, values, allowed in (
            ("mode", self.modes, MODES),
            ("product", self.products, PRODUCTS),
        ):
            for value in values:
                if value not in allowed:
                    raise SettingsError(f"{kind} is {value!r}, expected some of {list(allowed)}")
        if self.repeats < 1:
            raise SettingsError(f"repeats is {self.repeats}, expected at least 1")

    def cases(self) -> Iterator[BenchCase]:
        """Every model in every mode at every size."""
        for model in self.models:
            for mode in self.modes:
                for width, height in self.sizes:
                    yield BenchCase(
                        model=model,
                        mode=mode,
                        width=width,
                        height=height,
                        repeats=self.repeats,
                        threads=self.threads,
                        products=tuple(product.upper() for product in self.products),
                        device=self.device,
                    )


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Read "320x256,640x480" as widths and heights.

    Raises:
        SettingsError: something else.
    """
    sizes = []
    for part in text.split(","):
        width, x, height = part.strip().lower().partition("x")
        if not (x and width.isdecimal() and height.isdecimal()):
            raise SettingsError(f"size is {part!r}, expected WIDTHxHEIGHT, for example 320x256")
        sizes.append((int(width), int(height)))
    return tuple(sizes)


def run_bench(plan: BenchPlan, console: Console) -> dict[str, Any]:
    """Measure all cases; one that cannot be measured is reported with its reason.

    Returns:
        what the JSON file holds: `machine`, and a list of `cases`.

    Raises:
        SettingsError: not a single case could be measured.
    """
    results = []
    for case in plan.cases():
        name = f"{case.model or 'default model'}, {case.mode}, {case.width}x{case.height}"
        with console.status(name):
            result = run_case(case)
        results.append(result)
        if "error" in result:
            console.print(f"[yellow]{name}:[/yellow] {result['error']}", soft_wrap=True)
    if all("error" in result for result in results):
        raise SettingsError(f"nothing could be measured: {results[0]['error']}")
    return {"machine": describe_machine(), "cases": results}


def run_case(case: BenchCase) -> dict[str, Any]:
    """Measure one case in a fresh process."""
    known = replace(case, model=_whole_path(case.model))
    done = subprocess.run(
        [sys.executable, "-m", "uaafusion_ros.bench.case", json.dumps(asdict(known))],
        capture_output=True,
        text=True,
        env=_environment(),
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {**asdict(case), "products": list(case.products), "error": last}
    return {**json.loads(done.stdout.splitlines()[-1]), "model": case.model}


def _environment() -> dict[str, str]:
    """The variables of this process, with the threads' waiting as in the node."""
    environment = dict(os.environ)
    let_waiting_threads_sleep(environment)
    return environment


def describe_machine() -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": round(load, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
    }


def cpu_name() -> str:
    """The processor as the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _whole_path(model: str) -> str:
    return str(Path(model).absolute()) if model and Path(model).is_file() else model
