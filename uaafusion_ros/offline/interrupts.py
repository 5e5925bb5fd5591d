"""Ctrl-C and SIGTERM as a request, to be met when the work in hand is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from uaafusion_ros.signals import signals_handled


@contextmanager
def interrupts_call(act: Callable[[], object]) -> Iterator[None]:
    """Meanwhile the first signal calls ``act``; a second one is an interruption."""
    came = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True
        act()

    with signals_handled((signal.SIGINT, signal.SIGTERM), on_signal):
        yield
