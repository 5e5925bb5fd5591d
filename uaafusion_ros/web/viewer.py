"""One browser that looks: what it wants, and what waits to be sent to it.

A slow browser never makes anything queue. Of each picture one frame at most is on its way and
one waits; a newer one takes the place of the one that waits, which is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from uaafusion_ros.web.pictures import Frame
from uaafusion_ros.web.protocol import Look, Seen


class Channel(Protocol):
    """The part of a WebSocket that a viewer needs."""

    async def send_str(self, data: str) -> None:
        """Sends a text; returns when the network has taken it."""

    async def send_bytes(self, data: bytes) -> None:
        """Sends a binary message; returns when the network has taken it."""


class Viewer:
    """Everything of it happens in the event loop's thread.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._wake = asyncio.Event()
        self._texts: dict[str, str] = {}
        self._waiting: dict[str, Frame] = {}
        self._sent_at: dict[str, float] = {}
        """Of the frames that are on their way."""
        self.pictures: frozenset[str] = frozenset()
        self.sent: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """Frames that gave way to newer ones."""
        self.delay: float | None = None
        """Seconds that the last frame took until it was drawn, smoothed."""

    def take(self, message: Look | Seen) -> None:
        """Follows what the page says."""
        if isinstance(message, Look):
            self.pictures = message.pictures
            self._waiting = {p: f for p, f in self._waiting.items() if p in self.pictures}
        elif (since := self._sent_at.pop(message.picture, None)) is not None:
            delay = self._clock() - since
            self.delay = delay if self.delay is None else 0.8 * self.delay + 0.2 * delay
            self._wake.set()

    def tell(self, kind: str, text: str) -> None:
        """Has a text sent, unless a newer one of its kind comes before its turn."""
        self._texts[kind] = text
        self._wake.set()

    def show(self, frame: Frame) -> None:
        """Has a frame sent, unless a newer one comes before its turn or nobody looks."""
        if frame.picture not in self.pictures:
            return
        if frame.picture in self._waiting:
            self.left_out[frame.picture] += 1
        self._waiting[frame.picture] = frame
        self._wake.set()

    async def send_all(self) -> None:
        """Sends what there is to send, for ever; the channel's errors end it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._texts:
                kind = next(iter(self._texts))
                await self._channel.send_str(self._texts.pop(kind))
            for picture in list(self._waiting):
                if picture in self._sent_at or picture not in self._waiting:
                    continue
                frame = self._waiting.pop(picture)
                self._sent_at[picture] = self._clock()
                self.sent[picture] += 1
                await self._channel.send_bytes(frame.data)
