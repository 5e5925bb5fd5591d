"""Runs all checks; ROS is looked for, not required."""

from __future__ import annotations

import os
from dataclasses import dataclass

from uaafusion_ros.doctor.cameras import system_checks
from uaafusion_ros.doctor.checks import Check, error, ok, skipped
from uaafusion_ros.doctor.machine import machine_checks
from uaafusion_ros.doctor.transport import transport_checks
from uaafusion_ros.inference.errors import SettingsError


@dataclass(frozen=True)
class Examination:
    """What to look at; topics that are "" are told by their names."""

    model: str = ""
    infrared: str = ""
    visible: str = ""
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise SettingsError(f"seconds is {self.seconds}, expected above 0 to 3600")


def examine(wanted: Examination) -> dict[str, list[Check]]:
    """All checks by section, in the order in which causes precede effects."""
    # Before the probe, which takes our own transport where the user has chosen none.
    environment = dict(os.environ)
    sections = {"machine": machine_checks(wanted.model)}
    try:
        from uaafusion_ros.node.graph_probe import probe
    except Exception as problem:  # not installed, or libraries that do not fit each other
        advice = "source /opt/ros/DISTRO/setup.bash, or pip install 'uaafusion_ros[ros]'"
        text = f"rclpy cannot be imported ({type(problem).__name__}: {problem})"
        sections["ROS 2"] = [skipped("ROS 2", text, advice), *transport_checks(environment, "")]
        return sections
    try:
        report = probe(wanted.infrared, wanted.visible, wanted.seconds)
    except Exception as problem:  # rcl has errors of its own, for a missing RMW among others
        advice = "check RMW_IMPLEMENTATION, the DDS profile, and the rights to the network"
        failed = error("ROS 2", f"no node could be made: {problem}", advice)
        sections["ROS 2"] = [failed, *transport_checks(environment, "")]
        return sections
    release = environment.get("ROS_DISTRO") or "pip's wheels, or no setup.bash sourced"
    sections["ROS 2"] = [
        ok("ROS 2", f"{release}, {report.middleware}"),
        *transport_checks(environment, report.middleware),
    ]
    sections["running system"] = system_checks(report)
    return sections
