"""A process's farewell to ROS, which the middleware may not survive.

Fast DDS takes leave of its listener without a limit of time, and with the standard libraries that
the wheels are built with it then spins on the very lock that a discovery callback in work needs
(Fast-DDS issue 6513). Two processes that end in the same moment met this in one of about sixty
trials: the one that hears of the other's end while it ends itself keeps a core busy for minutes.
rclpy holds the interpreter's lock meanwhile, so neither a thread nor a signal handler of Python's
can help.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 5.0
"""Seconds for the middleware's end, which takes a few hundredths of one."""

_CLOCK_MONOTONIC = 1
_SIGEV_THREAD = 2


def leave_ros(*nodes: Any, status: int = 0, patience: float = PATIENCE) -> None:
    """Destroys the nodes and shuts rclpy down; ends the process if that takes too long.

    To be called last, when everything that has to be saved is saved.

    Args:
        status: exit status of a process that is ended; it had nothing else left to do.
        patience: seconds.
    """
    import rclpy

    with _exit_after(patience, status):
        for node in nodes:
            node.destroy_node()
        # Otherwise it puts back handlers that were never its own, by way of the default: for some
        # microseconds SIGINT and SIGTERM would kill.
        rclpy.shutdown(uninstall_handlers=False)


@contextmanager
def _exit_after(seconds: float, status: int) -> Iterator[None]:
    """Ends the process by C's `_exit`, from a thread of the C library, unless the block ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    timer = ctypes.c_void_p()
    try:
        c = ctypes.CDLL(None)
        event = _SignalEvent(status, notify=_SIGEV_THREAD)
        event.function = ctypes.cast(c._exit, ctypes.c_void_p)
        when = _TimerSetting(seconds=int(seconds), nanoseconds=int(seconds % 1 * 1e9))
        created = c.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)) == 0
        armed = created and c.timer_settime(timer, 0, ctypes.byref(when), None) == 0
    except AttributeError:  # a C library without timers; the block runs unwatched
        armed = False
    try:
        yield
    finally:
        if armed:
            c.timer_delete(timer)


class _SignalEvent(ctypes.Structure):
    """`struct sigevent` of Linux with the members of SIGEV_THREAD."""

    _fields_ = (
        ("value", ctypes.c_size_t),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("padding", ctypes.c_byte * 32),
    )


class _TimerSetting(ctypes.Structure):
    """`struct itimerspec`: once, after so long."""

    _fields_ = (
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )
