"""One picture on its way from messages to viewers: the newest, at a bounded rate."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from uaafusion_ros.web.pictures import Decoded, Frame, make_frame
from uaafusion_ros.web.settings import PageSettings

WINDOW = 5.0
"""Seconds over which rates are taken."""

QUIET = 3.0
"""Seconds without a message after which a picture counts as silent, or PERIODS of its messages if
they come less often."""
PERIODS = 2.5


class Feed:
    """Turns messages of one picture into frames while somebody looks.

    All of it happens in the event loop's thread, but decoding and compressing, which happen in
    ``workers``.

    Args:
        decode: see `Decoders`.
        deliver: takes each frame.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        picture: str,
        decode: Callable[[Any], Decoded],
        settings: PageSettings,
        workers: Executor,
        deliver: Callable[[Frame], None],
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._picture, self._decode, self._settings = picture, decode, settings
        self._workers, self._deliver, self._clock = workers, deliver, clock
        self._logger = logger
        self._newest: Any = None
        self._arrived = asyncio.Event()
        self._times: deque[float] = deque(maxlen=1000)
        self._number = 0
        self._since = 0.0
        self.wanted = False
        self.description = ""
        self.error = ""
        """Why the last message is no picture; empty if it is one."""

    def want(self, wanted: bool) -> None:
        """Whether somebody looks. What came before is forgotten."""
        if wanted != self.wanted:
            self.wanted, self._since = wanted, self._clock()
            self._newest, self.description, self.error = None, "", ""
            self._times.clear()

    def offer(self, message: Any) -> None:
        """Takes a message; it replaces one that nobody has got to."""
        if self.wanted:
            self._newest = message
            self._times.append(self._clock())
            self._arrived.set()

    def rate(self) -> float:
        """Messages a second that have come lately."""
        now = self._clock()
        span = min(WINDOW, now - self._since)
        recent = sum(now - when <= span for when in self._times)
        return recent / span if span > 0.5 else 0.0

    def silent_for(self) -> float:
        """Seconds since the last message, or since somebody looks; 0 while the next may be due."""
        silent = self._clock() - (self._times[-1] if self._times else self._since)
        usual = self._times[-1] - self._times[-2] if len(self._times) > 1 else 0.0
        return silent if silent > max(QUIET, PERIODS * usual) else 0.0

    @property
    def seen(self) -> bool:
        """Whether a message has come since somebody looks."""
        return bool(self._times)

    async def run(self) -> None:
        """Makes frames for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            begun = loop.time()
            message, self._newest = self._newest, None
            if message is None:
                continue
            self._number += 1
            try:
                frame = await loop.run_in_executor(self._workers, self._make, message, self._number)
            except Exception as error:
                if not isinstance(error, ValueError):
                    self._logger.exception("%s image that cannot be shown", self._picture)
                self.error = f"An image cannot be shown: {error}"
            else:
                self.description, self.error = frame.description, ""
                self._deliver(frame)
            await asyncio.sleep(max(0.0, begun + 1 / self._settings.rate - loop.time()))

    def _make(self, message: Any, number: int) -> Frame:
        settings = self._settings
        decoded = self._decode(message)
        return make_frame(self._picture, number, decoded, settings.longest_side, settings.quality)
