"""What came out of measuring the node: a table for the terminal and one for Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from uaafusion_ros.bench.report import case_name, case_size, measured
from uaafusion_ros.bench.section import write_section
from uaafusion_ros.bench.tables import print_cases
from uaafusion_ros.markdown import markdown_table

_HEADINGS = (
    "model",
    "mode",
    "size",
    "pairs sent at",
    "published",
    "frames/s",
    "dropped",
    "stamp to publication ms, median (worst)",
    "model ms",
    "beside the model ms",
)


def print_table(result: dict[str, Any], console: Console) -> None:
    """Print what every case gave."""
    print_cases(_HEADINGS, _rows(result), _machine(result), console)


def write_markdown(result: dict[str, Any], command: str, path: Path, section: str) -> None:
    """Put a section into a file, in the place of the one before.

    Raises:
        OSError: the file cannot be written.
    """
    lines = markdown_table(_HEADINGS, _rows(result))
    write_section(path, section, [f"`{command}`", "", _machine(result), "", *lines])


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, which cameras, node and subscriber share; "
        f"torch {machine['torch']}, load {machine['load']}"
    )


def _rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    return [_row(case) for case in measured(result)]


def _row(case: dict[str, Any]) -> tuple[str, ...]:
    latency = case["latency"]

    def milliseconds(key: str) -> str:
        return f"{latency[key] * 1e3:.1f}" if key in latency else ""

    worst = milliseconds("since_stamp_worst")
    return (
        case_name(case),
        case["mode"],
        case_size(case),
        f"{case['sent']} at {case['rate']:g} Hz",
        str(case["published"]),
        f"{case['frames_per_second']:.1f}",
        ", ".join(f"{count} {reason}" for reason, count in case["dropped"].items()) or "none",
        f"{milliseconds('since_stamp_median')} ({worst})" if worst else "",
        milliseconds("in_the_model_median"),
        milliseconds("beside_the_model_median"),
    )
