"""What to do when the device has no memory for a frame: free, shrink, try once more, or say so.

Another program that takes the GPU's memory, or a camera switched to a larger image, must not end
a fusion that could go on at a smaller size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from uaafusion_ros.inference.errors import DeviceMemoryError
from uaafusion_ros.inference.settings import MINIMUM_SIDE

FULL_SIZE_AFTER = 60.0
"""Seconds after which the full size is tried again: what took the memory may have ended."""

_SAID = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "Failed to allocate memory",
    "ALLOC_FAILED",
)
_QUOTED = 160


@dataclass(frozen=True)
class Shrinkage:
    """The size that frames are fused at for want of memory."""

    side: int
    """Longer side in pixels that the model sees at most."""

    reason: str
    """What the device said."""


class MemoryGuard:
    """Remembers how large a frame may be, and when to try a larger one.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self.shrinkage: Shrinkage | None = None

    def forget(self) -> None:
        """Has the next frame take its full size."""
        self.shrinkage = None

    def max_side(self, wanted: int) -> int:
        """The longer side to work at where `wanted` is asked for; 0 is no limit."""
        if self.shrinkage is not None and self._clock() >= self._until:
            self.shrinkage = None
        if self.shrinkage is None:
            return wanted
        return min(wanted or self.shrinkage.side, self.shrinkage.side)

    def shrink(self, side: int, reason: str) -> int:
        """Half of the longer side that found no memory, for the frames of the next minute."""
        smaller = max(MINIMUM_SIDE, side // 2)
        self.shrinkage = Shrinkage(smaller, reason)
        self._until = self._clock() + FULL_SIZE_AFTER
        return smaller


def out_of_memory(error: BaseException) -> str:
    """What the device said of its memory, shortened; empty if `error` is about something else."""
    text = " ".join(str(error).split())
    # onnxruntime's exceptions have no base of their own.
    runtime = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime")
    found = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or (
        runtime and any(said in text for said in _SAID)
    )
    return (text[:_QUOTED] or "out of memory") if found else ""


def no_memory(device: str, what: str, reason: str) -> DeviceMemoryError:
    """The error for a device that has no memory for `what`."""
    return DeviceMemoryError(
        f"{device} has no memory for {what} ({reason}); end other programs on it, set max_side, "
        "or take a smaller model"
    )
