"""Runs the demo: starts its parts, waits for the right moments, and draws up what came out."""

from __future__ import annotations

import importlib.util
import json
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
from uaafusion_ros.demo.processes import DemoError, ProcessGroup
from uaafusion_ros.demo.report import STREAMS, NodeReport
from uaafusion_ros.demo.waiting import drain, images_sent, wait_for_report

PARTS = RECORDER, NODE, REPLAY = ("recorder", "fusion_node", "camera_replay")
"""Modules of ``uaafusion_ros.node`` that run as processes."""

RESULTS = SHEET, VIDEO, BAG, SUMMARY = ("demo.png", "demo.mp4", "outputs.mcap", "summary.json")

START_TIMEOUT = 120.0
"""Seconds until the model is loaded; a busy machine takes its time to import PyTorch."""

STOP_TIMEOUT = 60.0

REQUIREMENTS = {"rclpy": "ros", "rosbags": "demo", "matplotlib": "demo", "av": "demo"}
"""Modules, and the extra of this package that brings them."""


@dataclass(frozen=True)
class Outcome:
    """What was sent, and what the node says became of it."""

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
            outcome = perform(plan, recorder_arguments(bag), group, console, status)
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


def perform(
    plan: DemoPlan,
    recorded: list[str],
    group: ProcessGroup,
    console: Console,
    status: Status,
) -> Outcome:
    """Replay the cameras of ``plan`` into the node until it has dealt with every image.

    Args:
        recorded: command line of the recorder, from `recorder_arguments`.

    Raises:
        DemoError: a process failed, or took longer than it may.
    """
    recorder = group.start(RECORDER, recorded, events=True)
    node = group.start(NODE, node_arguments(plan))

    status.update("loading the model")
    report = wait_for_report(
        group,
        recorder,
        lambda report: report.state == "active",
        START_TIMEOUT * (3 if plan.compiled else 1),
        node,
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

    wait_for_report(group, recorder, show, START_TIMEOUT + 3 * plan.seconds, replay)
    sent, unreadable = images_sent(replay)
    report = drain(group, recorder, sent, node)
    status.update("closing the recording")
    recorder.interrupt()
    recorder.wait(STOP_TIMEOUT)
    node.interrupt()
    node.wait(STOP_TIMEOUT)
    return Outcome(sent, unreadable, report)


def _draw_up(plan: DemoPlan, bag: Path, outcome: Outcome) -> dict[str, Any]:
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
