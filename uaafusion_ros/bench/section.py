"""A section of a Markdown file that a command writes anew; the rest of the file is people's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def write_section(path: Path, name: str, lines: Sequence[str]) -> None:
    """Put `lines` between the marks of `name`, in the place of what stands there.

    Raises:
        OSError: the file cannot be written.
    """
    begin, end = f"<!-- uaafusion bench {name}: begin -->", f"<!-- uaafusion bench {name}: end -->"
    section = "\n".join([begin, *lines, end])
    text = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n"
    before, begun, rest = text.partition(begin)
    if begun:
        text = before + section + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
