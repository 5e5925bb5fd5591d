"""The demo's processes: started apart from each other, ended together. Free of ROS."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from uaafusion_ros.node.transport import transport_environment
from uaafusion_ros.signals import signals_handled

TAIL = 15
"""Lines of a log that are shown when its process fails."""

_POLL = 0.05

LAST_DOMAIN = 101
"""Highest ROS_DOMAIN_ID whose ports are free on every platform."""


class DemoError(ChildProcessError):
    """A part of the demo could not do its work.

    Args:
        message: which part, and why.
        log_tail: the end of its log, for people.
    """

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail


def demo_environment(ros_logs: str) -> dict[str, str]:
    """Variables for the demo's processes: loopback only, and a domain of their own.

    Args:
        ros_logs: folder for ROS's own log files.
    """
    environment = dict(os.environ)
    environment |= transport_environment(environment, "fastdds_loopback.xml")
    environment.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % LAST_DOMAIN))
    environment.setdefault("ROS_LOG_DIR", ros_logs)
    return environment | {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "RCUTILS_LOGGING_USE_STDOUT": "0",
        "PYTHONUNBUFFERED": "1",
    }


class DemoProcess:
    """One of our node modules in a process; its standard error goes to a log file.

    Args:
        name: of the module in ``uaafusion_ros.node``, and of the log file.
        events: whether its standard output is JSON lines for `next_event`; otherwise it goes to
            the log as well.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        logs: Path,
        environment: Mapping[str, str],
        *,
        events: bool = False,
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self.log.open("w") as log:
            # A session of its own: Ctrl-C reaches us alone, and we end the processes in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"uaafusion_ros.node.{name}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if events else log,
                stderr=log,
                env=dict(environment),
                text=True,
                start_new_session=True,
            )
        if self._process.stdout is not None:
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not."""
        return self._process.poll() is not None

    def next_event(self, timeout: float) -> dict[str, Any] | None:
        """The next object that it has printed; None when there is none in time."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def check(self) -> None:
        """Raises `DemoError` if it has ended with an error."""
        if self._process.poll() not in (None, 0):
            raise self.error(f"ended with exit status {self._process.returncode}")

    def wait(self, timeout: float) -> None:
        """Waits until it has ended well; raises `DemoError` otherwise."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self.error(f"has not ended within {timeout:.0f} s") from None
        self.check()

    def interrupt(self) -> None:
        """Asks it to end."""
        if not self.ended:
            self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Kills it if it has not ended."""
        if not self.ended:
            self._process.kill()
            self._process.wait()

    def error(self, what: str) -> DemoError:
        """An error about this process, with the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        return DemoError(f"{self.name} {what}; its log is {self.log}", "\n".join(lines))

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # somebody else's print
            if isinstance(event, dict):
                self._events.put(event)


class ProcessGroup:
    """Starts processes, and leaves none behind: not after an error, Ctrl-C, SIGTERM or hang-up."""

    GRACE = 5.0
    """Seconds to end in, before a process is killed."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        # ROS's own files repeat what goes to ours.
        self._ros_logs = tempfile.TemporaryDirectory(prefix="uaafusion_demo_")
        self._environment = demo_environment(self._ros_logs.name)
        self._processes: list[DemoProcess] = []
        self._handled = signals_handled(self.SIGNALS, self._on_signal)
        self._waiting = False
        self._interrupted = False

    def start(self, name: str, arguments: list[str], *, events: bool = False) -> DemoProcess:
        """Starts ``uaafusion_ros.node.NAME``."""
        self._waiting = True  # a process that has begun and is not in the list would stay behind
        try:
            process = DemoProcess(name, arguments, self._logs, self._environment, events=events)
            self._processes.append(process)
        finally:
            self._waiting = False
        if self._interrupted:
            raise KeyboardInterrupt
        return process

    def check(self) -> None:
        """Raises `DemoError` if any of them has failed."""
        for process in self._processes:
            process.check()

    def __enter__(self) -> ProcessGroup:
        self._handled.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting, self._interrupted = True, False
        deadline = time.monotonic() + self.GRACE
        for process in self._processes:
            process.interrupt()
        # A second Ctrl-C means now.
        while not (self._interrupted or all(process.ended for process in self._processes)):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL)
        for process in self._processes:
            process.end()
        self._handled.__exit__(None, None, None)
        self._ros_logs.cleanup()
        if self._interrupted:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        if not self._waiting:
            raise KeyboardInterrupt
