"""Waits for what the fusion node reports of itself, and for the end of a replay."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from uaafusion_ros.demo.processes import DemoError, DemoProcess, ProcessGroup
from uaafusion_ros.demo.report import NodeReport

DRAIN_TIMEOUT = 60.0
UNCHANGED_REPORTS = 6
"""Reports without a change after which nothing more is expected of the node."""


def wait_for_report(
    group: ProcessGroup,
    recorder: DemoProcess,
    done: Callable[[NodeReport], bool],
    timeout: float,
    awaited: DemoProcess,
) -> NodeReport:
    """Returns the first report of the node for which ``done`` is true.

    Raises:
        DemoError: a process or the node has failed, or ``awaited`` has not got there in time.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        event = recorder.next_event(0.2)
        group.check()
        if event is None or event["event"] != "diagnostics":
            continue
        report = NodeReport.from_event(event)
        if report.failure:
            raise DemoError(f"the fusion node reports: {report.failure}")
        if done(report):
            return report
    raise awaited.error(f"has not done its part within {timeout:.0f} s")


def images_sent(replay: DemoProcess) -> tuple[dict[str, int], int]:
    """Images sent of each stream and images that could not be read, as the replay counts them."""
    replay.check()
    for line in reversed(replay.log.read_text(errors="replace").splitlines()):
        _, found, summary = line.partition("summary {")
        if found:
            counts = json.loads("{" + summary)
            return counts["sent"], counts["unreadable"]
    raise replay.error("has not said how many images it sent")


def drain(
    group: ProcessGroup, recorder: DemoProcess, sent: Mapping[str, int], node: DemoProcess
) -> NodeReport:
    """Waits until the node has dealt with all images, or nothing more comes of it.

    Raises:
        DemoError: see `wait_for_report`.
    """
    unchanged = 0
    latest: NodeReport | None = None

    def done(report: NodeReport) -> bool:
        nonlocal unchanged, latest
        unchanged = unchanged + 1 if latest and report.counts == latest.counts else 0
        latest = report
        return report.complete(sent) or unchanged >= UNCHANGED_REPORTS

    return wait_for_report(group, recorder, done, DRAIN_TIMEOUT, node)
