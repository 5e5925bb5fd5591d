"""Runs a node as a process that ends cleanly on SIGINT and SIGTERM, whenever they come."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from uaafusion_ros.inference.threads import let_waiting_threads_sleep
from uaafusion_ros.node.leaving import leave_ros
from uaafusion_ros.node.stop_request import StopRequest, ignore_signals, on_signals
from uaafusion_ros.node.transport import use_image_transport

GRACE = 0.5
"""Seconds that a callback in work, and then a frame in work, may take at the end."""

Stop = Callable[[], None]


class RunnableNode(Protocol):
    """A node that `run` can end."""

    def close(self, timeout: float) -> bool:
        """Ends the node's work within ``timeout`` seconds; returns whether it has ended."""


def run(
    load: Callable[[], Callable[[Stop], RunnableNode]], args: Sequence[str] | None = None
) -> int:
    """Spins a node until a signal comes or the node asks to stop.

    The executor spins in a thread of its own, and signals wake the main thread. So whatever a
    callback does, a signal is noticed at once, and the node still has a valid context to say
    goodbye in.

    Args:
        load: imports what the node needs, which takes seconds with PyTorch, and returns what makes
            the node; that is given a function by which the node can end itself.
        args: command line, None for the process's own.

    Returns:
        the exit status: 0, or 1 after an error, which has been logged.
    """
    try:
        return _run(load, args)
    finally:
        ignore_signals()


def _run(load: Callable[[], Callable[[Stop], RunnableNode]], args: Sequence[str] | None) -> int:
    on_signals(lambda: os._exit(0))  # nothing has begun that would have to be ended
    let_waiting_threads_sleep()
    create_node = load()
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.logging import get_logger
    from rclpy.signals import SignalHandlerOptions

    from uaafusion_ros.node.declarations import ParameterError

    stop = StopRequest()
    on_signals(stop.set)
    try:
        use_image_transport()
    except FileNotFoundError as error:
        print(f"images may get lost between processes: {error}", file=sys.stderr)
    try:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # an argument or a parameter file that ROS cannot read
        print(error, file=sys.stderr)
        return 1
    try:
        node = create_node(stop.set)
    except ParameterError as error:
        get_logger("uaafusion_ros").fatal(str(error))
        leave_ros(status=1)
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinner = _Spinner(executor, stop)
    spinner.start()
    stop.wait()
    _finish(node, executor, spinner)
    leave_ros(node, status=spinner.status)
    return spinner.status


class _Spinner(threading.Thread):
    """Spins an executor; an exception in a callback ends it and sets ``stop``."""

    def __init__(self, executor: Any, stop: StopRequest) -> None:
        super().__init__(name="executor", daemon=True)
        self._executor = executor
        self._stop_request = stop
        self.status = 0

    def run(self) -> None:
        from rclpy.executors import ExternalShutdownException

        try:
            # Not `spin`, which can only be ended by destroying what it waits for; nor does waking
            # the executor make it return.
            while not self._stop_request.is_set():
                self._executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            pass
        except Exception:
            traceback.print_exc()
            self.status = 1
        self._stop_request.set()


def _finish(node: Any, executor: Any, spinner: _Spinner) -> None:
    spinner.join(GRACE)
    # Executors of some ROS 2 releases wait for callbacks that wait for something themselves.
    if spinner.is_alive() or not node.close(GRACE) or not executor.shutdown(GRACE):
        # A model being loaded or a slow frame cannot be interrupted, and tearing down the
        # interpreter under a running thread crashes; nothing is left to save.
        node.get_logger().warning("leaving without waiting for the work that is still going on")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(spinner.status)
