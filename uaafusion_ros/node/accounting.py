"""Counts of what happened to every image, kept by all threads of the node.

For each stream ``received = published + drops + pending`` holds at any moment: an image is
received once and leaves once, as half of a published pair or with a reason.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeVar

EnumT = TypeVar("EnumT", bound=Enum)

STREAMS = ("infrared", "visible")

WINDOW = 5.0
"""Seconds over which rates and recent drops are taken."""


class FrameDrop(str, Enum):
    """Why the node dropped an image; pairing has reasons of its own."""

    INVALID_IMAGE = "invalid_image"
    """Its fields contradict each other or its encoding is unknown."""

    UNDECODABLE = "undecodable"
    """Its pixels, or its partner's, could not be decoded."""

    REFUSED = "refused"
    """The pipeline cannot take the frame, for example for its NaN or its size."""

    FAILED = "failed"
    """An unexpected error while the pair was fused or published."""

    OUT_OF_MEMORY = "out_of_memory"
    """The device had no memory for the pair, nor for a smaller version of it."""

    SUPERSEDED = "superseded"
    """A newer pair arrived before the worker was free."""

    NOT_LISTENED = "not_listened"
    """Nobody subscribed to an output."""

    STOPPED = "stopped"
    """The node was deactivated or shut down while the pair waited."""


class Latency(NamedTuple):
    """Median and worst over the last seconds, in seconds."""

    median: float
    worst: float


class _Published(NamedTuple):
    time: float
    since_receipt: float
    since_stamp: float
    skew: float
    model: float
    beside: float


@dataclass(frozen=True)
class Figures:
    """A consistent copy of the counts, and what changed within the window.

    Keys of the counters are ``received/STREAM``, ``lost/STREAM``, ``drop/STREAM/REASON``,
    ``flat/STREAM``, ``repeated/STREAM``, ``paired``, ``published`` and ``resets``.
    """

    total: Counter[str]
    recent: Counter[str]
    span: float
    """Seconds that ``recent`` covers."""

    silent_for: dict[str, float | None]
    """Seconds since each stream's last message, None before the first."""

    still_for: dict[str, float]
    """Seconds, by its stamps, for which each stream's image has been the same; 0 if it changes."""

    last_error: dict[str, str]
    """The newest error text for each stream, and for ``output``."""

    since_receipt: Latency | None
    since_stamp: Latency | None
    """None also where stamps and the node's clock are not comparable."""

    median_skew: float | None

    model: Latency | None = None
    """Time in the model."""

    beside: Latency | None = None
    """Time that the worker spent on a pair otherwise, from decoding to publishing."""

    def rate(self, key: str) -> float:
        """Events a second within the window."""
        return self.recent[key] / self.span if self.span > 0 else 0.0

    def drops(self, stream: str, *, recent: bool = False) -> dict[str, int]:
        """Drops of a stream by reason."""
        prefix = f"drop/{stream}/"
        counts = self.recent if recent else self.total
        return {
            key.removeprefix(prefix): count
            for key, count in sorted(counts.items())
            if key.startswith(prefix) and count
        }

    def pending(self, stream: str) -> int:
        """Images that were received and have neither been published nor dropped yet."""
        gone = self.total["published"] + sum(self.drops(stream).values())
        return self.total[f"received/{stream}"] - gone

    def summary(self) -> str:
        """The account of both streams in one line."""
        accounts = []
        for stream in STREAMS:
            drops = "".join(f", {count} {reason}" for reason, count in self.drops(stream).items())
            accounts.append(
                f"{stream}: {self.total[f'received/{stream}']} received = "
                f"{self.total['published']} published{drops}, {self.pending(stream)} pending"
            )
        return "; ".join(accounts)


@dataclass
class Accounting:
    """Thread-safe counters; every method returns at once.

    Args:
        clock: monotonic seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _total: Counter[str] = field(default_factory=Counter)
    _history: deque[tuple[float, Counter[str]]] = field(default_factory=deque)
    _last_message: dict[str, float] = field(default_factory=dict)
    _still_for: dict[str, float] = field(default_factory=dict)
    _last_error: dict[str, str] = field(default_factory=dict)
    _published: deque[_Published] = field(default_factory=lambda: deque(maxlen=1000))
    _absorbed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._history.append((self.clock(), Counter()))

    def received(self, stream: str) -> None:
        """A message arrived, good or bad."""
        with self._lock:
            self._total[f"received/{stream}"] += 1
            self._last_message[stream] = self.clock()

    def lost(self, stream: str, count: int) -> None:
        """The transport says that messages were lost before they came here; none was received."""
        with self._lock:
            self._total[f"lost/{stream}"] += count

    def flat(self, stream: str) -> None:
        """A constant image was fused."""
        with self._lock:
            self._total[f"flat/{stream}"] += 1

    def changed(self, stream: str) -> None:
        """An image differs from the one before."""
        with self._lock:
            self._still_for[stream] = 0.0

    def repeated(self, stream: str, seconds: float) -> None:
        """An image under a new stamp has the pixels of the one before, for so long."""
        with self._lock:
            self._total[f"repeated/{stream}"] += 1
            self._still_for[stream] = seconds

    def paired(self) -> None:
        """Pairing found a pair."""
        with self._lock:
            self._total["paired"] += 1

    def reset(self) -> None:
        """Time ran backwards."""
        with self._lock:
            self._total["resets"] += 1

    def drop(self, stream: str, reason: str, error: str = "") -> None:
        """One image of a stream was lost."""
        with self._lock:
            self._total[f"drop/{stream}/{reason}"] += 1
            if error:
                self._last_error[stream] = error

    def drop_pair(self, reason: str, error: str = "") -> None:
        """Both images of a pair were lost."""
        with self._lock:
            for stream in STREAMS:
                self._total[f"drop/{stream}/{reason}"] += 1
            if error:
                self._last_error["output"] = error

    def published(
        self,
        since_receipt: float,
        since_stamp: float,
        skew: float,
        model: float = 0.0,
        beside: float = 0.0,
    ) -> None:
        """A pair was fused and published; times in seconds.

        Args:
            model: spent in the model. beside: spent on the pair otherwise, from decoding to
                publishing.
        """
        with self._lock:
            self._total["published"] += 1
            self._published.append(
                _Published(self.clock(), since_receipt, since_stamp, skew, model, beside)
            )

    def absorb(self, drops: Mapping[tuple[str, EnumT], int]) -> list[tuple[str, EnumT]]:
        """Takes over the drops that the current pairing has counted since the last call.

        Returns:
            the streams and reasons that have grown.
        """
        grown = []
        with self._lock:
            for (stream, reason), count in drops.items():
                key = f"drop/{stream}/{reason.name.lower()}"
                if count > self._absorbed[key]:
                    self._total[key] += count - self._absorbed[key]
                    self._absorbed[key] = count
                    grown.append((stream, reason))
        return grown

    def forget_absorbed(self) -> None:
        """The next `absorb` sees a new pairing, which counts from zero."""
        with self._lock:
            self._absorbed.clear()

    def figures(self) -> Figures:
        """A consistent copy of all counts; also the end of a step of the window."""
        with self._lock:
            now = self.clock()
            while len(self._history) > 1 and self._history[1][0] <= now - WINDOW:
                self._history.popleft()
            start, before = self._history[0]
            total = self._total.copy()
            self._history.append((now, total))
            recent = Counter({key: total[key] - before[key] for key in total})
            published = [entry for entry in self._published if entry.time > now - WINDOW]
            return Figures(
                total=total.copy(),
                recent=recent,
                span=now - start,
                silent_for={
                    stream: now - self._last_message[stream]
                    if stream in self._last_message
                    else None
                    for stream in STREAMS
                },
                still_for={stream: self._still_for.get(stream, 0.0) for stream in STREAMS},
                last_error=dict(self._last_error),
                since_receipt=_latency([entry.since_receipt for entry in published]),
                since_stamp=_latency([entry.since_stamp for entry in published], comparable=True),
                median_skew=_median([entry.skew for entry in published]),
                model=_latency([entry.model for entry in published if entry.model]),
                beside=_latency([entry.beside for entry in published if entry.beside]),
            )


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _latency(values: list[float], *, comparable: bool = False) -> Latency | None:
    """Median and worst; with ``comparable`` None unless the values can be true latencies."""
    median = _median(values)
    if median is None or (comparable and not 0.0 <= median <= 60.0):
        return None
    return Latency(median, max(values))
