"""`uaafusion doctor`: what is fine, and what to do."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from uaafusion_ros.commands.frame_options import Model


def doctor(
    infrared: Annotated[str, typer.Option(help="Image topic; empty: told by itself.")] = "",
    visible: Annotated[str, typer.Option(help="Image topic; empty: told by itself.")] = "",
    model: Model = "",
    seconds: Annotated[float, typer.Option(help="How long to listen to the cameras.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Look at this machine and the running system; every line is fine or says what to do."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    from uaafusion_ros.doctor.checks import Verdict
    from uaafusion_ros.doctor.examination import Examination, examine

    sections = examine(Examination(model, infrared, visible, seconds))
    verdicts = [check.verdict for checks in sections.values() for check in checks]
    failed = Verdict.ERROR in verdicts
    if as_json:
        content = {name: [asdict(check) for check in checks] for name, checks in sections.items()}
        typer.echo(json.dumps(content, indent=2))
        raise typer.Exit(int(failed))
    out = Console(highlight=False)
    marks = {
        Verdict.OK: ("OK   ", "green"),
        Verdict.WARN: ("WARN ", "yellow"),
        Verdict.ERROR: ("ERROR", "red"),
        Verdict.SKIPPED: ("--   ", "dim"),
    }
    for section, checks in sections.items():
        out.print(Text(section, style="bold"))
        for check in checks:
            mark, style = marks[check.verdict]
            line = Text.assemble(" ", (mark, style), f" {check.name}: {check.found}")
            out.print(line, soft_wrap=True)
            if check.advice:
                out.print(Text(f"       -> {check.advice}"), soft_wrap=True)
    counts = {kind: verdicts.count(kind) for kind in Verdict}
    out.print(
        f"{counts[Verdict.ERROR]} errors, {counts[Verdict.WARN]} warnings, "
        f"{counts[Verdict.OK]} fine, {counts[Verdict.SKIPPED]} not looked at"
    )
    raise typer.Exit(int(failed))
