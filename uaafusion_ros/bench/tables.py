"""Tables for terminals of any width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_CASE_WIDTH = 20
_HEADING_WIDTH = 24


def print_cases(
    headings: Sequence[str], rows: Sequence[Sequence[str]], title: str, console: Console
) -> None:
    """Print one row a case; where that is too wide, one column a case, as many as fit."""
    table = Table(*headings, title=title)
    for row in rows:
        table.add_row(*row)
    wide = console.options.update(width=10_000)
    if Measurement.get(console, wide, table).maximum <= console.width:
        console.print(table)
        return
    console.print(title)
    beside = max(1, (console.width - _HEADING_WIDTH) // _CASE_WIDTH)
    for first in range(0, len(rows), beside):
        upright = Table(show_header=False)
        for heading, *values in zip(headings, *rows[first : first + beside], strict=True):
            upright.add_row(heading, *values)
        console.print(upright)
