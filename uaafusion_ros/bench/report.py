"""What came out of a benchmark: a table for the terminal, one for Markdown, and a plot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from uaafusion_ros.bench.case import PARTS
from uaafusion_ros.bench.models import AUTHORS_PASSES
from uaafusion_ros.bench.section import write_section
from uaafusion_ros.bench.tables import print_cases
from uaafusion_ros.inference.models import DEFAULT_MODEL
from uaafusion_ros.inference.onnx_file import is_onnx
from uaafusion_ros.markdown import markdown_table

_HEADINGS = (
    "model",
    "mode",
    "size",
    "median ms",
    "p95 ms",
    "frames/s",
    "CPU ms",
    *PARTS,
    "other",
    "S passes",
    "of authors",
    "floor",
    "GMAC",
    "peak RSS MiB",
)


def print_table(result: dict[str, Any], console: Console) -> None:
    """Print what every case cost."""
    rows = [_row(case) for case in measured(result)]
    print_cases(_HEADINGS, rows, machine_line(result), console)


def write_markdown(
    result: dict[str, Any], command: str, path: Path, section: str = "models"
) -> None:
    """Put a section into a file, in the place of the one before; the rest of the file stays.

    Raises:
        OSError: the file cannot be written.
    """
    table = markdown_table(_HEADINGS, [_row(case) for case in measured(result)])
    lines = [f"`{command}`", "", machine_line(result), "", *table, "", *cost_lines(result)]
    write_section(path, section, lines)


def machine_line(result: dict[str, Any]) -> str:
    """Where the figures come from."""
    machine, cases = result["machine"], measured(result)
    cores = machine["cores"]
    load = machine["load"]
    busy = "; the machine was busy, so ratios and CPU times count" if load > 1.5 * cores else ""
    threads = sorted({case["threads"] for case in cases})
    peak = max(case["peak_multiply_adds_per_cpu_second"] for case in cases)
    return (
        f"{machine['cpu']}, {cores} cores, {'/'.join(map(str, threads))} threads, "
        f"torch {machine['torch']}, peak {peak / 1e9:.0f} GMAC/s a core measured, load {load}{busy}"
    )


def cost_lines(result: dict[str, Any]) -> list[str]:
    """One sentence a model and mode: cost a megapixel, and how far above the physical floor."""
    lines = []
    for (model, mode), cases in _curves(result).items():
        small, large = cases[0], cases[-1]
        text = f"- {model}, {mode}: {_per_megapixel(small):.1f} CPU seconds a megapixel"
        if large is not small:
            text += (
                f" at {case_size(small)}, {_per_megapixel(large):.1f} at {case_size(large)}; "
                f"cost against size is {'linear' if _is_linear(small, large) else 'not linear'}"
            )
        lines.append(f"{text}; {large['frame_cpu'] / floor_cpu(large):.1f} times its floor.")
    return lines


def floor_cpu(case: dict[str, Any]) -> float:
    """CPU seconds that the multiply-adds alone would take at the measured peak."""
    return case["multiply_adds"] / case["peak_multiply_adds_per_cpu_second"]


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw cost against image size, with the physical floor.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for (model, mode), cases in _curves(result).items():
        megapixels = [case["width"] * case["height"] / 1e6 for case in cases]
        (line,) = axes.plot(
            megapixels, [case["frame_cpu"] for case in cases], "o-", label=f"{model}, {mode}"
        )
        floors = [floor_cpu(case) for case in cases]
        axes.plot(megapixels, floors, ":", color=line.get_color())
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="megapixels",
        ylabel="CPU seconds a frame (dotted: multiply-adds at peak)",
        title=result["machine"]["cpu"],
    )
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _row(case: dict[str, Any]) -> tuple[str, ...]:
    split = case["split"]
    head = " (untrained head)" if case["untrained_head"] else ""
    return (
        case_name(case),
        case["mode"] + head,
        case_size(case),
        f"{case['frame'] * 1e3:.0f}",
        f"{case['frame_p95'] * 1e3:.0f}",
        f"{case['frames_per_second']:.1f}",
        f"{case['frame_cpu'] * 1e3:.0f}",
        *(f"{split[name] / case['frame_split']:.0%}" for name in (*PARTS, "other")),
        f"{case['passes_cpu']:.2f}",
        f"1/{AUTHORS_PASSES / case['passes_cpu']:.0f}",
        f"{floor_cpu(case) / case['frame_cpu']:.0%}",
        f"{case['multiply_adds'] / 1e9:.1f}",
        f"{case['peak_rss_mib']:.0f}",
    )


def measured(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The cases that did not fail."""
    return [case for case in result["cases"] if "error" not in case]


def _curves(result: dict[str, Any]) -> dict[tuple[str, str], Sequence[dict[str, Any]]]:
    """Cases of one model and mode, from small to large."""
    curves = defaultdict(list)
    for case in measured(result):
        curves[case_name(case), case["mode"]].append(case)
    return {
        key: sorted(cases, key=lambda case: case["width"] * case["height"])
        for key, cases in curves.items()
    }


def case_name(case: dict[str, Any]) -> str:
    """The model, by the name of its file."""
    path = Path(case["model"])
    return path.name if is_onnx(path) else path.stem or DEFAULT_MODEL


def case_size(case: dict[str, Any]) -> str:
    """Width and height, as people write them."""
    return f"{case['width']}x{case['height']}"


def _per_megapixel(case: dict[str, Any]) -> float:
    return case["frame_cpu"] / (case["width"] * case["height"]) * 1e6


def _is_linear(small: dict[str, Any], large: dict[str, Any]) -> bool:
    return 0.75 < _per_megapixel(large) / _per_megapixel(small) < 1.33
