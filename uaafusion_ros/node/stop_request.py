"""The request to end a process, which a signal may make at any moment, and more than once."""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable


class StopRequest:
    """What a `threading.Event` is, but one that a signal handler may set.

    Python runs signal handlers in the main thread, between any two of its steps. The lock of an
    Event is not reentrant: a handler that comes while the main thread is about to wait, or inside
    the `set` of a signal before, waits for ever for a lock that its own thread holds.
    `queue.SimpleQueue` is reentrant by its documentation.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Makes the request; from any thread, and from a signal handler."""
        self._is_set = True
        self._tokens.put(None)

    def is_set(self) -> bool:
        """Whether the request has been made."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the request, at most ``timeout`` seconds; returns whether it has been made."""
        if not self._is_set:
            try:
                self._tokens.get(timeout=timeout)
            except queue.Empty:
                return self._is_set
            self._tokens.put(None)  # for whoever else waits
        return True


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def on_signals(act: Callable[[], object]) -> None:
    """Has SIGINT and SIGTERM call ``act``, which must not wait for a lock."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: act())


def ignore_signals() -> None:
    """The last thing that a process does before it returns its exit status.

    The interpreter puts back the signals' own handling when it ends, and one more Ctrl-C would make
    a failure of a process that has ended well. What is ignored, it leaves alone.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
