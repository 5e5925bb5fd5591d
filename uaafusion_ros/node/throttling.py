"""Warnings that do not flood the log: one of a kind every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PERIOD = 5.0
"""Seconds between two warnings of one kind."""


class ThrottledWarnings:
    """Logs the first warning of each kind at once and later ones at most once a period.

    Args:
        warn: logs a text.
        clock: monotonic seconds.
    """

    def __init__(
        self, warn: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def __call__(self, kind: str, text: str) -> None:
        """Logs ``text``, or counts it if one of its ``kind`` was logged a moment ago."""
        with self._lock:
            now = self._clock()
            if now - self._last.get(kind, float("-inf")) < PERIOD:
                self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
                return
            self._last[kind] = now
            kept_back = self._kept_back.pop(kind, 0)
        self._warn(f"{text} ({kept_back} more like it before)" if kept_back else text)
