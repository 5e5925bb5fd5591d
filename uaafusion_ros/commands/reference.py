"""Writes docs/commands.md: the commands of `uaafusion` and their options, from the code itself.

python -m uaafusion_ros.commands.reference docs/commands.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from uaafusion_ros.cli import app
from uaafusion_ros.markdown import markdown_table

HEAD = """\
# Commands

`make reference` wrote this page from the code, and a test compares it. `uaafusion COMMAND --help`
says the same, `uaafusion --version` the version. The exit status is 0 where everything worked, 1
where something did not (a pair that was skipped, a check that failed), 2 for an error that is told
in one line, 130 after Ctrl-C.
"""


def leaves(command: Any, name: str = "uaafusion") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its full name."""
    for word, part in getattr(command, "commands", {}).items():
        full = f"{name} {word}"
        if hasattr(part, "commands"):
            yield from leaves(part, full)
        else:
            yield full, part


def reference() -> str:
    """The page."""
    return "\n".join(
        [HEAD, *(line for leaf in leaves(get_command(app)) for line in _section(*leaf))]
    )


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{_plain(inspect.cleandoc(command.help))}\n"
    rows = [_parameter(parameter) for parameter in command.params]
    yield from markdown_table(("Option", "Default", ""), rows)
    yield ""


def _parameter(parameter: Any) -> tuple[str, str, str]:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [parameter.name.upper()]
    if parameter.required:
        default = "required"
    elif parameter.default in (None, "", ()) or callable(parameter.default):
        default = ""
    else:
        default = f"`{_shown(parameter.default)}`"
    return ", ".join(f"`{name}`" for name in names), default, _plain(parameter.help or "")


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, (tuple, list)):
        return " ".join(map(str, default))
    return str(default)


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def main(arguments: Sequence[str]) -> None:
    """Writes the page to the file that the command line names."""
    (path,) = arguments
    Path(path).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
