"""How the model's threads wait for each other; imports nothing, because it has to come first."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")

WAIT_POLICY, SPIN_COUNT = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"

_SPINS = 1000
"""Looks before a thread of GNU's OpenMP sleeps: a few microseconds, less than falling asleep and
being woken takes. What its authors chose for more threads than cores."""


def let_waiting_threads_sleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Have OpenMP's threads sleep where they wait, in this process; before torch is imported.

    By default they spin on. On cores that cameras, other nodes or a second model use as well, those
    that spin keep the one they wait for from its core, and a frame takes many times as long. A
    user's own settings stay.
    """
    target = os.environ if environment is None else environment
    if target.setdefault(WAIT_POLICY, "PASSIVE") == "PASSIVE":
        target.setdefault(SPIN_COUNT, str(_SPINS))


def in_a_passing_thread(function: Callable[[], _Result]) -> _Result:
    """Call `function` in a thread that ends with it, and return or raise what it does.

    Every thread that has computed with torch keeps helpers of its own until it ends. GNU's OpenMP
    counts them all: with more than there are cores, nobody looks any more before he sleeps, and a
    frame on another thread takes half as long again.
    """
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function).result()
