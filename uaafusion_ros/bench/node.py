"""The node end to end: replayed cameras, fusion and a subscriber, a process each, over DDS."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from uaafusion_ros.bench.run import BenchPlan, describe_machine
from uaafusion_ros.inference.errors import SettingsError

LISTENED = ("fused", "mask")
"""Products whose topics the subscriber can ask for."""


def run_node_bench(
    plan: BenchPlan, seconds: float, rate: float, console: Console
) -> dict[str, Any]:
    """Replay the street at every size into the node with every model in every mode.

    Args:
        seconds: how long a case is replayed. rate: pairs a second; more than the node can fuse
            measures its throughput, fewer its latency.

    Returns:
        `machine` and `cases`; of each case pairs sent, published and dropped by reason, and
        latencies in seconds over the last seconds.

    Raises:
        SettingsError: ROS is not installed, or every case failed.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise SettingsError(
            "--node needs rclpy, not installed in this Python; source ROS 2, or "
            "pip install 'uaafusion_ros[ros,demo]'"
        )
    cases = []
    for model in plan.models:
        for mode in plan.modes:
            for size in plan.sizes:
                title = f"{mode}, compiled" if plan.compiled else mode
                name = f"{model or 'default model'}, {title}, {size[0]}x{size[1]}"
                case = {"model": model, "mode": title, "width": size[0], "height": size[1]}
                try:
                    figures = _run_case(plan, model, mode, size, seconds, rate, console)
                except (OSError, SettingsError) as error:
                    figures = {"error": str(error)}
                    console.print(f"[yellow]{name}:[/yellow] {error}", soft_wrap=True)
                cases.append(case | figures)
    if all("error" in case for case in cases):
        raise SettingsError(f"nothing could be measured: {cases[0]['error']}")
    return {"machine": describe_machine(), "cases": cases}


def _run_case(
    plan: BenchPlan,
    model: str,
    mode: str,
    size: tuple[int, int],
    seconds: float,
    rate: float,
    console: Console,
) -> dict[str, Any]:
    from uaafusion_ros.demo.plan import DemoPlan, recorder_arguments
    from uaafusion_ros.demo.processes import ProcessGroup
    from uaafusion_ros.demo.run import perform
    from uaafusion_ros.demo.topics import FUSED, MASK, TOPICS

    wanted = {"fused": FUSED, "mask": MASK}
    topics: Mapping[str, str] = {
        topic: TOPICS[topic]
        for topic in (*(wanted[product] for product in plan.products), "/diagnostics")
    }
    with tempfile.TemporaryDirectory(prefix="uaafusion_bench_") as folder:
        demo = DemoPlan(
            out=Path(folder),
            infrared=None,
            visible=None,
            seconds=seconds,
            rate=rate,
            condition="night",
            model=model,
            mode=mode,
            street_size=size,
            compiled=plan.compiled,
        )
        title = f"{mode}, {size[0]}x{size[1]}"
        with console.status(title) as status, ProcessGroup(demo.out) as group:
            outcome = perform(demo, recorder_arguments(None, topics), group, console, status)
    report = outcome.report
    return {
        "rate": rate,
        "seconds": seconds,
        "sent": outcome.sent["visible"],
        "published": report.published,
        "frames_per_second": report.published / seconds,
        "dropped": report.dropped["visible"],
        "accounted": report.accounts_for(outcome.sent),
        "latency": report.latency,
        "device": report.device,
    }
