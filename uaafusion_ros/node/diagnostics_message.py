"""Diagnostics as diagnostic_msgs."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from uaafusion_ros.node.diagnostics import Status


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
