"""When each of two cameras takes its images. Free of ROS."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from typing import NamedTuple


class Capture(NamedTuple):
    """One image to be taken; times in seconds after the start."""

    time: float
    stream: str
    number: int
    """Running number within its stream, from 0."""


def captures(
    rate: float,
    infrared_rate: float,
    jitter: float,
    count: int | None,
    seed: int = 0,
) -> Iterator[Capture]:
    """Captures of both cameras in the order of their times.

    Each image is taken up to ``jitter`` seconds before or after its turn, never before the previous
    one of its stream; the first turn comes ``jitter`` seconds after the start.

    Args:
        rate: of the visible camera, in Hz.
        infrared_rate: of the infrared camera; 0 is the visible one's.
        count: number of visible images; the infrared camera takes as many as fit the same time.
            None: endless.
        seed: of the jitter.
    """
    infrared_rate = infrared_rate or rate
    infrared_count = None if count is None else math.ceil(count * infrared_rate / rate - 1e-9)
    return heapq.merge(
        _stream("infrared", infrared_rate, jitter, infrared_count, seed),
        _stream("visible", rate, jitter, count, seed + 1),
    )


def _stream(
    name: str, rate: float, jitter: float, count: int | None, seed: int
) -> Iterator[Capture]:
    random_numbers = random.Random(seed)
    reach = min(jitter, 0.45 / rate)  # keeps the order within the stream
    index = 0
    while count is None or index < count:
        shift = reach * (1 + random_numbers.uniform(-1, 1))
        yield Capture(index / rate + shift, name, index)
        index += 1
