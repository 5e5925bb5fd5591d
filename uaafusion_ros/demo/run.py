"""Runs the demo: starts its parts, waits for the right moments, and draws up what came out."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status

from uaafusion_ros.demo.plan import (
    DemoPlan,
    node_arguments,
    recorder_arguments,
    replay_arguments,
)
from uaafusion_ros.demo.processes import DemoError, DemoProcess, ProcessGroup
from uaafusion_ros.demo.report import STREAMS, NodeReport

PARTS = RECORDER, NODE, REPLAY = ("recorder", "fusion_node", "camera_replay")
"""Modules of ``uaafusion_ros.node`` that run as processes."""

RESULTS = SHEET, VIDEO, BAG, SUMMARY = ("demo.png", "demo.mp4", "outputs.mcap", "summary.json")

START_TIMEOUT = 120.0
"""Seconds until the model is loaded; a busy machine takes its time to import PyTorch."""

DRAIN_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
UNCHANGED_REPORTS = 6
"""Reports without a change after which nothing more is expected of the node."""

REQUIREMENTS = {"rclpy": "ros", "rosbags": "demo", "matplotlib": "demo", "av": "demo"}
"""Modules, and the extra of this package that brings them."""


@dataclass(frozen=True)
class _Outcome:
    sent: dict[str, int]
    unreadable: int
    report: NodeReport


def run_demo(plan: DemoPlan, console: Console) -> dict[str, Any]:
    """Run the demo and leave its results in ``plan.out``.

    Leaves ``demo.png``, ``demo.mp4``, ``outputs.mcap`` with rosbag2's ``metadata.yaml``,
    ``summary.json`` and the processes' ``logs/``.

    Returns:
        what stands in ``summary.json``.

    Raises:
        DemoError: a process failed, or took longer than it may, or something is not installed.
        OSError: the folder cannot be written.
    """
    _require_modules()
    _make_room(plan.out)
    bag = plan.out / BAG
    try:
        with console.status("starting") as status, ProcessGroup(plan.out / "logs") as group:
            outcome = _perform(plan, bag, group, console, status)
    except DemoError as error:
        if error.log_tail:
            console.print(error.log_tail, markup=False, soft_wrap=True)
        raise
    with console.status("drawing"):
        summary = _draw_up(plan, bag, outcome)
    _conclude(plan, summary, console)
    return summary


def _require_modules() -> None:
    missing = [name for name in REQUIREMENTS if importlib.util.find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({REQUIREMENTS[name] for name in missing}))
        raise DemoError(
            f"the demo needs {', '.join(missing)}, not installed in this Python: "
            f"pip install 'uaafusion_ros[{extras}]'"
            + (", or source a ROS 2 installation" if "rclpy" in missing else "")
        )


def _make_room(out: Path) -> None:
    """Empties ``out`` of what an earlier demo left, and of nothing else."""
    for name in (*RESULTS, "metadata.yaml"):
        (out / name).unlink(missing_ok=True)
    (out / "logs").mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        (out / "logs" / f"{name}.log").unlink(missing_ok=True)


def _perform(
    plan: DemoPlan, bag: Path, group: ProcessGroup, console: Console, status: Status
) -> _Outcome:
    recorder = group.start(RECORDER, recorder_arguments(bag), events=True)
    node = group.start(NODE, node_arguments(plan))

    status.update("loading the model")
    report = _wait_for_report(
        group, recorder, lambda report: report.state == "active", START_TIMEOUT, node
    )
    introduction = f"{report.model} on {report.device}; {plan.source}"
    console.print(introduction, markup=False, soft_wrap=True)

    # Started last: it sends as soon as somebody listens, whom we want to be all.
    replay = group.start(REPLAY, replay_arguments(plan, START_TIMEOUT))
    status.update("rendering" if plan.infrared is None else "starting the replay")

    def show(report: NodeReport) -> bool:
        if report.received["visible"]:
            sent = f"{report.received['visible']} of {plan.pairs} pairs sent"
            status.update(f"{sent}, {report.published} fused")
        return replay.ended

    _wait_for_report(group, recorder, show, START_TIMEOUT + 3 * plan.seconds, replay)
    sent, unreadable = _sent(replay)
    report = _drain(group, recorder, sent, node)
    status.update("closing the recording")
    recorder.interrupt()
    recorder.wait(STOP_TIMEOUT)
    node.interrupt()
    node.wait(STOP_TIMEOUT)
    return _Outcome(sent, unreadable, report)


def _wait_for_report(
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


def _sent(replay: DemoProcess) -> tuple[dict[str, int], int]:
    """Images sent of each stream and images that could not be read, as the replay counts them."""
    replay.check()
    for line in reversed(replay.log.read_text(errors="replace").splitlines()):
        _, found, summary = line.partition("summary {")
        if found:
            counts = json.loads("{" + summary)
            return counts["sent"], counts["unreadable"]
    raise replay.error("has not said how many images it sent")


def _drain(
    group: ProcessGroup, recorder: DemoProcess, sent: dict[str, int], node: DemoProcess
) -> NodeReport:
    """Waits until the node has dealt with all images, or nothing more comes of it."""
    unchanged = 0
    latest: NodeReport | None = None

    def done(report: NodeReport) -> bool:
        nonlocal unchanged, latest
        unchanged = unchanged + 1 if latest and report.counts == latest.counts else 0
        latest = report
        return report.complete(sent) or unchanged >= UNCHANGED_REPORTS

    return _wait_for_report(group, recorder, done, DRAIN_TIMEOUT, node)


def _draw_up(plan: DemoPlan, bag: Path, outcome: _Outcome) -> dict[str, Any]:
    from uaafusion_ros.demo.pictures import draw_pictures
    from uaafusion_ros.demo.recording import Recording

    recording = Recording(bag)
    report = outcome.report
    summary = {
        "source": plan.source,
        "seconds": plan.seconds,
        "rate": plan.rate,
        "model": report.model,
        "device": report.device,
        "sizes": {stream: recording.size(stream) for stream in STREAMS},
        "sent": outcome.sent,
        "unreadable": outcome.unreadable,
        "received": report.received,
        "pairs": report.pairs,
        "published": report.published,
        "dropped": report.dropped,
        "accounted": report.accounts_for(outcome.sent),
        "latency": recording.latency(),
        "node_latency": report.latency,
        "recorded": dict(sorted(recording.counts.items())),
    }
    if recording.fused_stamps:
        draw_pictures(recording, plan.out / SHEET, plan.out / VIDEO, plan.rate)
    text = json.dumps(summary, indent=2)
    (plan.out / SUMMARY).write_text(text + "\n", encoding="utf-8")
    return summary


def _conclude(plan: DemoPlan, summary: dict[str, Any], console: Console) -> None:
    drops = [f"{count} {reason}" for reason, count in summary["dropped"]["visible"].items()]
    console.print(
        f"{summary['sent']['visible']} pairs sent, {summary['published']} fused"
        + "".join(f", {drop}" for drop in drops)
    )
    if summary["latency"]:
        latency = summary["latency"]
        console.print(
            f"latency from stamp to receipt: median {latency['median']:.2f} s, "
            f"95 % below {latency['p95']:.2f} s"
        )
    else:
        console.print(f"[red]nothing was fused[/red]; see {plan.out / 'logs' / f'{NODE}.log'}")
    if not summary["accounted"]:
        console.print(
            "[yellow]not every image is accounted for[/yellow]: sent is not published plus dropped;"
            " see summary.json"
        )
    files = ", ".join(RESULTS)
    console.print(f"{plan.out}: {files}", markup=False, soft_wrap=True)
