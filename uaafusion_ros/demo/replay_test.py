"""Plays a recording to the real node over DDS, and compares its rates and latency."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from uaafusion_ros.bags import COMPRESSED
from uaafusion_ros.demo.plan import latched, recorder_arguments, ros_arguments
from uaafusion_ros.demo.processes import DemoError, DemoProcess, ProcessGroup
from uaafusion_ros.demo.report import STREAMS, NodeReport
from uaafusion_ros.demo.waiting import drain, images_sent, wait_for_report
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.modes import AUTO
from uaafusion_ros.node.compressed_images import COMPRESSED_SUFFIX
from uaafusion_ros.offline.plan import FusionPlan
from uaafusion_ros.offline.recordings import Recordings
from uaafusion_ros.offline.replay_file import Limits
from uaafusion_ros.stamps import SECOND

START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0


def play_to_node(plan: FusionPlan, topics: dict[str, str], console: Console) -> dict[str, Any]:
    """Run the fusion node in a domain of its own, on this machine alone, at the recorded pace.

    Args:
        topics: image topic of each stream.

    Returns:
        ``pair_ratio`` and ``rate`` (fused images a second), ``latency_ms`` (median from receipt to
        publication), and what became of all images.

    Raises:
        DemoError: a process failed, or took longer than it may.
        SettingsError: what the node cannot be told.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise DemoError("--node needs rclpy: source a ROS 2 installation, or pip install its extra")
    if plan.frames.mode != AUTO:
        raise SettingsError("--node: the node chooses its mode by itself; leave --mode out")
    recordings = Recordings(plan.bags)
    compressed = {recordings.topics[topic].type == COMPRESSED for topic in topics.values()}
    if len(compressed) > 1:
        raise SettingsError("--node: the node takes both streams raw or both compressed")
    with (
        tempfile.TemporaryDirectory(prefix="uaafusion_replay_") as folder,
        ProcessGroup(Path(folder)) as group,
        console.status("starting the node"),
    ):
        return _play(plan, topics, Path(folder), group, transport=compressed.pop())


def _play(
    plan: FusionPlan,
    topics: dict[str, str],
    folder: Path,
    group: ProcessGroup,
    *,
    transport: bool,
) -> dict[str, Any]:
    arguments = recorder_arguments(folder / "outputs.mcap")
    recorder = group.start("recorder", arguments, events=True)
    node = group.start("fusion_node", _node_arguments(plan, compressed=transport))
    wait_for_report(group, recorder, lambda report: report.state == "active", START_TIMEOUT, node)
    player = group.start("bag_player", _player_arguments(plan, topics))
    latencies: list[float] = []

    def note(report: NodeReport) -> bool:
        if "since_receipt_median" in report.latency:
            latencies.append(report.latency["since_receipt_median"])
        return player.ended

    wait_for_report(group, recorder, note, START_TIMEOUT + 3600.0, player)
    sent, _ = images_sent(player)
    report = drain(group, recorder, sent, node)
    _stop(recorder, node)
    duration = _duration(plan, topics)
    return {
        "sent": sent,
        "received": report.received,
        "dropped": report.dropped,
        "published": report.published,
        "pair_ratio": round(report.pairs / max(1, min(sent.values())), 4),
        "rate": round(report.published / duration, 3) if duration else 0.0,
        "latency_ms": round(statistics.median(latencies) * 1e3, 1) if latencies else None,
    }


def compare_node(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What the live node does worse than in the stored run, by more than its limits."""
    before, limits = expected.get("node"), Limits.of(expected)
    if before is None:
        return ["the stored run was made without --node; record it with --node"]
    differences = []
    for stream in STREAMS:
        if lost := found["sent"][stream] - found["received"][stream]:
            differences.append(f"{lost} {stream} images were lost on the way to the node")
    if before["pair_ratio"] - found["pair_ratio"] > limits.node_pair_ratio:
        differences.append(
            f"the node paired {found['pair_ratio']:.1%} of the images, expected "
            f"{before['pair_ratio']:.1%}"
        )
    if found["rate"] < limits.node_rate * before["rate"]:
        differences.append(
            f"the node fused {found['rate']:.2f} pairs a second, expected {before['rate']:.2f}"
        )
    own, other = found["latency_ms"], before["latency_ms"]
    if own is not None and other is not None and own > limits.node_latency * other:
        differences.append(
            f"the node's median latency is {own:.0f} ms, expected {other:.0f} ms and at most "
            f"{limits.node_latency:g} times that"
        )
    return differences


def _node_arguments(plan: FusionPlan, *, compressed: bool) -> list[str]:
    frames = plan.frames
    parameters: dict[str, object] = {
        "diagnostics_period": 0.5,
        "input_transport": "compressed" if compressed else "raw",
        "max_skew": float(plan.max_skew),
        "infrared_offset": float(plan.infrared_offset),
        "max_side": frames.max_side,
        "gain.control": frames.gain_control,
        "gain.minimum": float(frames.gain_minimum),
        "gain.maximum": float(frames.gain_maximum),
        "gain.kelvin_per_count": float(frames.kelvin_per_count),
    }
    if plan.model:
        path = Path(plan.model)
        parameters["model"] = str(path.absolute()) if path.is_file() else plan.model
    if plan.device != "auto":
        parameters["device"] = plan.device
    if frames.homography is not None:
        parameters["homography"] = list(frames.homography)
    for stream in STREAMS:
        topic = f"/{stream}/image_raw" + (COMPRESSED_SUFFIX if compressed else "")
        parameters |= latched(topic, "subscription")
    return ros_arguments(parameters)


def _player_arguments(plan: FusionPlan, topics: dict[str, str]) -> list[str]:
    arguments = [f"--{stream}={topic}" for stream, topic in topics.items()]
    return arguments + [f"--bag={path.absolute()}" for path in plan.bags]


def _stop(recorder: DemoProcess, node: DemoProcess) -> None:
    for process in (recorder, node):
        process.interrupt()
        process.wait(STOP_TIMEOUT)


def _duration(plan: FusionPlan, topics: dict[str, str]) -> float:
    """Seconds that the images of the recording take."""
    recordings = Recordings(plan.bags)
    keys = [(topic, recordings.topics[topic].type) for topic in topics.values()]
    received = [raw.received for raw in recordings.messages(keys)]
    return (max(received) - min(received)) / SECOND if received else 0.0
