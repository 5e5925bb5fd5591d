"""Pairing of two stamped streams, infrared and visible, by closest stamp. No ROS in here.

Aim: as many pairs as possible within `max_skew`, and among pairings of that many the smallest
total skew. Pairs do not cross in time: crossed ones can be exchanged for uncrossed ones no further
apart, so no pairing of two recordings beats the best uncrossed one.

When is a pair final? A pending frame is either used among the pending ones or left over for frames
to come, and those are newer than the newest of their stream. `Solution` rates the pending frames
for every possible left-over, as a Viterbi decoder does; left-overs that no frame to come can make
worthwhile are struck out, and the first pair is emitted once all the others agree on it:

* Equal stamps at the head of both queues are emitted as soon as both have arrived.
* Other pairs wait until neither frame can get a closer partner. A stream of steady rhythm is
  trusted to keep it (`predict`): its next frame is not expected before 3/4 of its shortest recent
  interval. Pairs up to 3/8 of a period apart are then emitted at once, and so is the exact partner
  among the frames of a faster stream while max_skew is below 3/4 of the slower stream's period.
* What is undecided after `max_wait` gets what the best pairing of the frames at hand gives it.

Without `predict`, with streams in order and no wait run out, the result is the optimum. A burst in
a stream that was steady may cost a closer partner or, rarely, a pair.

With a max_skew of a period or more, a lost frame leaves two ways to pair all that follow: with
their own partners, or each with its neighbour's, which gains a pair if the other stream loses one
too. The frames then wait until one way has won or `max_wait` is over. Of steady streams (`predict`)
they then keep their own partners: a few pairs fewer, but no skew of a period. Half a period is the
max_skew that avoids all this.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from uaafusion_ros.node.clock_offset import SAMPLES_MINIMUM, ClockOffset, clock_offset
from uaafusion_ros.node.pairing_solution import Solution
from uaafusion_ros.node.pairing_stream import HISTORY, Entry, Stream

T = TypeVar("T")

INFRARED = "infrared"
VISIBLE = "visible"

DEFAULT_MAX_SKEW = 0.05  # seconds; of the node, and of all that reads recordings
LOOKAHEAD = 64  # frames that may wait in both streams before the oldest is decided


class DropReason(str, Enum):
    """Why an image took part in no pair, or its pair in no result."""

    UNPAIRED = "unpaired"  # no partner within max_skew in time, or a closer frame took it
    OUT_OF_ORDER = "out_of_order"  # arrived after a newer frame of its stream was paired
    DUPLICATE_STAMP = "duplicate_stamp"  # its stream had this stamp before
    UNSET_STAMP = "unset_stamp"  # zero or negative
    RESET = "reset"  # waited when stamps ran backwards (bag loop), or came late from before
    OVERFLOW = "overflow"  # its queue was full
    SUPERSEDED = "superseded"  # a newer pair was ready first; counted by the consumer of the pairs


@dataclass(frozen=True)
class Pair(Generic[T]):
    """Two items that belong together; stamps as handed in, in nanoseconds."""

    infrared: T
    visible: T
    infrared_stamp: int
    visible_stamp: int
    skew: int  # infrared_stamp + infrared_offset - visible_stamp


class StampPairing(Generic[T]):
    """Pairs infrared and visible items by stamp, in stamp order; rules in the module's text.

    Not thread-safe: callers hold a lock. Stamps, skews and times are integer nanoseconds; `now` is
    a monotonic clock of the caller's. Methods that take it return the pairs that became final.
    For both streams, at any time: received == paired + dropped + pending.

    Args:
        max_skew: largest distance within a pair; 0 pairs equal stamps only.
        max_wait: longest time on the `now` clock that an item stays undecided; 0 pairs nothing.
        queue_size: most items pending per stream; beyond, the oldest is decided at once.
        infrared_offset: added to infrared stamps before comparison.
        predict: trust a steady stream to stay so, for low latency; off for recordings.
        backward_tolerance: a stamp older than its stream's newest by more than this resets the
            pairing; a smaller step back is reordering and sorted in.

    Attributes:
        received, paired, drops, resets: counts since construction; drops by stream and reason.
        recent_skews: skews of the last pairs.
        recent_misses: of the last unpaired items, infrared minus visible stamp of item and nearest
            seen partner, offset applied.

    Raises:
        ValueError: a negative limit, or a queue size below 1.
    """

    def __init__(
        self,
        *,
        max_skew: int,
        max_wait: int,
        queue_size: int,
        infrared_offset: int = 0,
        predict: bool = True,
        backward_tolerance: int = 200_000_000,
    ) -> None:
        if min(max_skew, max_wait, backward_tolerance) < 0 or queue_size < 1:
            raise ValueError(
                f"max_skew {max_skew}, max_wait {max_wait} and backward_tolerance "
                f"{backward_tolerance} must be 0 or more, queue_size {queue_size} 1 or more"
            )
        self.max_skew = max_skew
        self.max_wait = max_wait
        self.queue_size = queue_size
        self.infrared_offset = infrared_offset
        self._predict = predict
        self._backward_tolerance = backward_tolerance
        self._infrared: Stream[T] = Stream(INFRARED)
        self._visible: Stream[T] = Stream(VISIBLE)
        self._streams = (self._infrared, self._visible)
        self.received = {INFRARED: 0, VISIBLE: 0}
        self.paired = 0
        self.drops: Counter[tuple[str, DropReason]] = Counter()
        self.resets = 0
        self.recent_skews: deque[int] = deque(maxlen=HISTORY)
        self.recent_misses: deque[int] = deque(maxlen=HISTORY)
        self._misses_since_pair = 0
        self._arrivals: deque[int] = deque(maxlen=HISTORY)
        self._arrival: int | None = None

    def add_infrared(self, stamp: int, item: T, now: int) -> list[Pair[T]]:
        return self._add(self._infrared, self._visible, stamp, self.infrared_offset, item, now)

    def add_visible(self, stamp: int, item: T, now: int) -> list[Pair[T]]:
        return self._add(self._visible, self._infrared, stamp, 0, item, now)

    def poll(self, now: int) -> list[Pair[T]]:
        """Decide what has waited for `max_wait`."""
        return self._settle(now)

    def next_deadline(self) -> int | None:
        """When `poll` is due on the `now` clock; None while nothing waits."""
        arrivals = [entry.arrived for stream in self._streams for entry in stream.pending]
        return min(arrivals) + self.max_wait if arrivals else None

    def flush(self) -> list[Pair[T]]:
        """End of a recording: pair what can be paired and count the rest as unpaired."""
        return self._finish(DropReason.UNPAIRED)

    @property
    def pending(self) -> dict[str, int]:
        return {stream.name: len(stream.pending) for stream in self._streams}

    def clock_offset(self) -> ClockOffset | None:
        """How far infrared stamps are ahead, offset applied; None while too few tell.

        From the skews of pairs or, once pairs fail to appear, from the nearest stamps and the times
        of arrival.
        """
        without_pairs = self._misses_since_pair >= SAMPLES_MINIMUM
        if without_pairs:
            return clock_offset(self.recent_misses, self._arrivals)
        return clock_offset(self.recent_skews, ())

    def suggested_infrared_offset(self) -> int | None:
        """The `infrared_offset` that `clock_offset` asks for."""
        found = self.clock_offset()
        return None if found is None else self.infrared_offset - found.ahead

    def _add(
        self, own: Stream[T], other: Stream[T], stamp: int, offset: int, item: T, now: int
    ) -> list[Pair[T]]:
        self.received[own.name] += 1
        pairs: list[Pair[T]] = []
        if stamp <= 0:
            refusal: DropReason | None = DropReason.UNSET_STAMP
        else:
            stamp += offset
            if own.newest is not None and stamp < own.newest - self._backward_tolerance:
                pairs = self._reset(own, other)
            refusal = self._refusal(own, other, stamp)
        if refusal is not DropReason.UNSET_STAMP:
            self._note_arrival(own, stamp - now)
        if refusal:
            self.drops[own.name, refusal] += 1
        else:
            own.insert(Entry(stamp, item, now))
        pairs += self._settle(now)
        if len(own.pending) > self.queue_size and other.newest is not None:
            # Frames that the other stream has passed are no victims of the queue's bound.
            oldest = other.pending[0].stamp if other.pending else other.newest
            passed = bisect_left(own.stamps, oldest - self.max_skew)
            self._drop(own, slice(passed), DropReason.UNPAIRED)
        while len(own.pending) > self.queue_size:
            pairs += self._decide(own, 0, DropReason.OVERFLOW) + self._settle(now)
        return pairs

    def _note_arrival(self, own: Stream[T], lead: int) -> None:
        """Compare an infrared frame with the visible ones that arrive before and after it.

        The nearer counts: in a recording played fast, the other is a moment of another time.
        """
        own.lead = lead
        if self._infrared.lead is None or self._visible.lead is None:
            return
        difference = self._infrared.lead - self._visible.lead
        if own is self._infrared:
            self._arrival = difference
        elif self._arrival is not None:
            self._arrivals.append(min(difference, self._arrival, key=abs))
            self._arrival = None

    def _refusal(self, own: Stream[T], other: Stream[T], stamp: int) -> DropReason | None:
        """Why a frame is not taken, if so."""
        if own.stale_left:
            # The other stream has looped already; the tail of the last round must not look like
            # the future of this one.
            ahead = other.newest is None or stamp > other.newest + self._backward_tolerance
            if stamp > own.stale_from and ahead:
                own.stale_left -= 1
                return DropReason.RESET
            own.stale_left = 0
        if stamp in own.history:
            return DropReason.DUPLICATE_STAMP
        if own.paired_until is not None and stamp <= own.paired_until:
            return DropReason.OUT_OF_ORDER
        return None

    def _reset(self, own: Stream[T], other: Stream[T]) -> list[Pair[T]]:
        """Begin anew, as a stream has run backwards; pairs that still waited to be final are."""
        self.resets += 1
        pairs = self._finish(DropReason.RESET)
        if other.newest is not None:
            other.stale_from = other.newest - self._backward_tolerance
            other.stale_left = self.queue_size
        for stream in self._streams:
            stream.forget()
        self._arrivals.clear()
        self._arrival = None
        return pairs

    def _finish(self, reason: DropReason) -> list[Pair[T]]:
        """Pair what is pending as well as can be, and drop the rest."""
        pairs: list[Pair[T]] = []
        while first := self._solve().best():
            pairs.append(self._emit(*first))
        for stream in self._streams:
            self._drop(stream, slice(None), reason)
        return pairs

    def _settle(self, now: int) -> list[Pair[T]]:
        """Emit what is certain, and decide what has waited too long."""
        pairs: list[Pair[T]] = []
        while True:
            if first := self._certain():
                pairs.append(self._emit(*first))
            elif due := self._due(now):
                pairs += self._decide(*due, DropReason.UNPAIRED)
            else:
                return pairs

    def _certain(self) -> tuple[int, int] | None:
        if not all(stream.pending for stream in self._streams):
            return None
        infrared_from, visible_from = (self._next_stamp(stream) for stream in self._streams)
        return self._solve().certain(infrared_from, visible_from)

    def _next_stamp(self, stream: Stream[T]) -> int:
        """Earliest stamp to expect from a stream that has had frames."""
        interval = stream.steady_interval() if self._predict else None
        return stream.history[-1] + max(1, 3 * (interval or 0) // 4)

    def _due(self, now: int) -> tuple[Stream[T], int] | None:
        """Stream and index of a frame that must wait no longer."""
        for stream in self._streams:
            for index, entry in enumerate(stream.pending):
                if now >= entry.arrived + self.max_wait:
                    return stream, index
        if min(self.pending.values()) > LOOKAHEAD:
            return min(self._streams, key=lambda stream: stream.pending[0].stamp), 0
        return None

    def _decide(self, stream: Stream[T], index: int, reason: DropReason) -> list[Pair[T]]:
        """Bring forward the decision on a frame: emit the first pair up to it, or drop it alone."""
        until = None
        if self._predict and all(stream.steady_interval() for stream in self._streams):
            # The frames at the end of the stream that leads have partners to come. Giving them the
            # older ones of the stream that lags would put all pairs a frame apart, from here on.
            until = min(self._next_stamp(stream) for stream in self._streams)
        first = self._solve().best(until)
        if first and first[self._streams.index(stream)] <= index:
            return [self._emit(*first)]
        self._drop(stream, slice(index, index + 1), reason)
        return []

    def _solve(self) -> Solution:
        return Solution(self._infrared.stamps, self._visible.stamps, self.max_skew)

    def _emit(self, i: int, j: int) -> Pair[T]:
        """Take out a pair; the older frames of both streams have lost their chance by it."""
        self._drop(self._infrared, slice(i), DropReason.UNPAIRED)
        self._drop(self._visible, slice(j), DropReason.UNPAIRED)
        infrared, visible = (stream.pending.pop(0) for stream in self._streams)
        self._infrared.paired_until, self._visible.paired_until = infrared.stamp, visible.stamp
        skew = infrared.stamp - visible.stamp
        self.paired += 1
        self.recent_skews.append(skew)
        self._misses_since_pair = 0
        infrared_stamp = infrared.stamp - self.infrared_offset
        return Pair(infrared.item, visible.item, infrared_stamp, visible.stamp, skew)

    def _drop(self, stream: Stream[T], which: slice, reason: DropReason) -> None:
        dropped = stream.stamps[which]
        del stream.pending[which]
        if dropped:
            self.drops[stream.name, reason] += len(dropped)
        if reason is DropReason.UNPAIRED:
            sign, other = (1, self._visible) if stream is self._infrared else (-1, self._infrared)
            for stamp in dropped:
                if (nearest := other.nearest_seen(stamp)) is not None:
                    self.recent_misses.append(sign * (stamp - nearest))
                    self._misses_since_pair += 1
