"""Times as the package compares them: integer nanoseconds; imports nothing."""

from __future__ import annotations

from typing import Any

SECOND = 1_000_000_000
"""Nanoseconds."""


def stamp_of(message: Any) -> int:
    """Return the stamp in nanoseconds of a message with a ``std_msgs/Header``."""
    stamp = message.header.stamp
    return int(stamp.sec) * SECOND + int(stamp.nanosec)
