"""Diagnostics as diagnostic_msgs, on their topic and in the log."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from uaafusion_ros.node.diagnostics import Level, Status, diagnose
from uaafusion_ros.node.snapshot import Snapshot

DIAGNOSTICS_TOPIC = "/diagnostics"
DIAGNOSTICS_DEPTH = 10
"""Messages of it that are kept for a slow subscriber."""


class DiagnosticsReporter:
    """Publishes diagnostics of a node on /diagnostics."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # Two instances in different namespaces share the topic.
        self._name = node.get_fully_qualified_name().strip("/")
        self._publisher = node.create_publisher(
            DiagnosticArray, DIAGNOSTICS_TOPIC, DIAGNOSTICS_DEPTH
        )
        self._levels: dict[str, Level] = {}

    def report(self, snapshot: Snapshot) -> None:
        """Publishes what is to be said of ``snapshot``, and logs what has become bad."""
        statuses = diagnose(snapshot)
        self._log_changes(statuses)
        now = self._node.get_clock().now().to_msg()
        self._publisher.publish(diagnostic_array(statuses, self._name, snapshot.device, now))

    def _log_changes(self, statuses: Sequence[Status]) -> None:
        """For those who watch no diagnostics; the node logs its own failures itself."""
        for status in statuses:
            if status.level > self._levels.get(status.name, Level.OK) and status.name != "node":
                self._node.get_logger().warning(f"{status.name}: {status.message}")
        self._levels = {status.name: status.level for status in statuses}


def diagnostic_array(
    statuses: Sequence[Status], node_name: str, hardware: str, stamp: Time
) -> DiagnosticArray:
    """One DiagnosticArray with names ``NODE: STATUS``, as rqt and aggregators read them."""
    message = DiagnosticArray()
    message.header.stamp = stamp
    message.status = [
        DiagnosticStatus(
            name=f"{node_name}: {status.name}",
            level=bytes([status.level]),
            message=status.message,
            hardware_id=hardware,
            values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
        )
        for status in statuses
    ]
    return message
