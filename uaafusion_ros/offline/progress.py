"""How far the work on a recording is, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from uaafusion_ros.bag_salvage import RawMessage
from uaafusion_ros.offline.frames import FusedPair
from uaafusion_ros.offline.stream import FusionStream


def watched(
    items: Iterator[RawMessage | FusedPair], stream: FusionStream, console: Console
) -> Iterator[RawMessage | FusedPair]:
    """Pass the items of a stream on and show what of its images is read, and the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("images,"),
        TimeElapsedColumn(),
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=60) as progress:
        task = progress.add_task(stream.recordings.path.name, total=stream.images)
        for item in items:
            progress.update(task, completed=sum(stream.pairs.found.values()))
            yield item
