"""By how much the infrared camera's clock differs from the visible one's, told from stamps."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass

SAMPLES_MINIMUM = 8

LARGEST = 3600.0
"""Seconds; what is farther apart is no offset but a clock that is not set."""

FAR = 500_000_000
"""Nanoseconds; clocks that are farther apart show in the time of arrival, since no camera's
delivery takes so much longer than the other's. Below that, the two cannot be told apart."""

CONSTANT = 10_000_000
"""Nanoseconds within which half of the samples lie where an offset is constant …"""

CONSTANT_SHARE = 0.25
"""… or part of the offset, if that is more."""


@dataclass(frozen=True)
class ClockOffset:
    """What the samples say, in nanoseconds.

    ahead: infrared minus visible stamps; negative if infrared stamps are behind.
    constant: whether it is the same all the time, as that of a clock and not of chance.
    """

    ahead: int
    constant: bool


def clock_offset(skews: Collection[int], arrivals: Collection[int]) -> ClockOffset | None:
    """The offset that recent stamps show; None while there are too few.

    Args:
        skews: infrared minus visible stamps, of pairs or of nearest images. Of two steady streams
            they tell the offset up to whole periods only.
        arrivals: infrared stamp minus time of arrival, less the same of the last visible image.
            They tell any offset, but only as exactly as both deliveries take equally long.
    """
    if len(arrivals) >= SAMPLES_MINIMUM and abs(statistics.median(arrivals)) >= FAR:
        return _densest(arrivals)
    return _densest(skews) if len(skews) >= SAMPLES_MINIMUM else None


def _densest(samples: Collection[int]) -> ClockOffset:
    """Middle of the narrowest half of the samples, which the others cannot move."""
    ordered = sorted(samples)
    half = len(ordered) // 2
    start = min(
        range(len(ordered) - half), key=lambda index: ordered[index + half] - ordered[index]
    )
    width = ordered[start + half] - ordered[start]
    ahead = round(statistics.median(ordered[start : start + half + 1]))
    return ClockOffset(ahead, width <= max(CONSTANT, CONSTANT_SHARE * abs(ahead)))
