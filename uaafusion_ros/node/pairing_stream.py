"""One stamped stream on its way to pairing: what is pending, and what its stamps tell. No ROS."""

from __future__ import annotations

import itertools
import statistics
from bisect import insort
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

T = TypeVar("T")

HISTORY = 64  # stamps remembered per stream, and samples kept for diagnostics
RHYTHM_INTERVALS = 32  # recent intervals that must be alike to trust a rhythm …
RHYTHM_INTERVALS_MINIMUM = 16  # … and how many must have been seen


@dataclass(frozen=True)
class Entry(Generic[T]):
    stamp: int  # on the visible clock
    item: T
    arrived: int


class Stream(Generic[T]):
    """Pending frames of one stream, oldest first, and what is known of its stamps."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pending: list[Entry[T]] = []
        self.stale_from = 0  # after a reset: frames from here on may still be of the last round …
        self.stale_left = 0  # … and this many are believed to be
        self.forget()

    def forget(self) -> None:
        self.history: list[int] = []  # recent stamps, sorted
        self.paired_until: int | None = None
        self.lead: int | None = None  # of the newest frame: stamp minus time of arrival

    def insert(self, entry: Entry[T]) -> None:
        insort(self.pending, entry, key=attrgetter("stamp"))
        insort(self.history, entry.stamp)
        del self.history[:-HISTORY]

    @property
    def stamps(self) -> list[int]:
        return [entry.stamp for entry in self.pending]

    @property
    def newest(self) -> int | None:
        return self.history[-1] if self.history else None

    def nearest_seen(self, stamp: int) -> int | None:
        return min(self.history, key=lambda seen: abs(seen - stamp), default=None)

    def steady_interval(self) -> int | None:
        """Shortest recent interval of a stream with a rhythm, else None."""
        recent = self.history[-RHYTHM_INTERVALS - 1 :]
        intervals = [later - earlier for earlier, later in itertools.pairwise(recent)]
        if len(intervals) < RHYTHM_INTERVALS_MINIMUM:
            return None
        shortest = min(intervals)
        return shortest if 2 * shortest >= statistics.median(intervals) else None
