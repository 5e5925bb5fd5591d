"""`StampPairing` behind two subscribers, as a message_filters filter.

It hands out pairs of messages on the executor thread, holds no lock, and keeps the accounts of
what it lets go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from uaafusion_ros.node.accounting import Accounting, FrameDrop
from uaafusion_ros.node.images import ImageError
from uaafusion_ros.node.pairing import DropReason, Pair, StampPairing
from uaafusion_ros.node.parameters import NodeSettings
from uaafusion_ros.node.snapshot import Misses
from uaafusion_ros.node.subscribers import SimpleFilter
from uaafusion_ros.stamps import SECOND, stamp_of

EXPECTED_DROPS = (DropReason.UNPAIRED, DropReason.RESET)
"""Part of normal work, or reported as a reset; the others are worth a warning."""


class Received(NamedTuple):
    """A message and when it came."""

    message: Any
    time: float
    """Monotonic seconds."""


class PairingFilter(SimpleFilter):
    """Checks messages of two streams and signals those that belong together.

    Every output is one `Pair` of `Received`.

    Args:
        node: owns the timer that ends bounded waits.
        check: raises `ImageError` for a message that cannot be used, looking at its fields only.
        on_invalid: called with stream and error text of such a message.
        on_reset: called when stamps ran backwards.
    """

    def __init__(
        self,
        node: Node,
        settings: NodeSettings,
        accounting: Accounting,
        check: Callable[[Any], None],
        on_invalid: Callable[[str, str], None],
        on_reset: Callable[[], None],
    ) -> None:
        super().__init__()
        self._node = node
        self._accounting = accounting
        self._check = check
        self._on_invalid = on_invalid
        self._on_reset = on_reset
        self._pairing = self._new_pairing(settings)
        # Waiting is measured on the steady clock: simulated time may stand still.
        self._timer = node.create_timer(
            3600.0, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def add(self, message: Any, stream: str) -> None:
        """Takes a message of ``infrared`` or ``visible``."""
        self._accounting.received(stream)
        try:
            self._check(message)
        except ImageError as error:
            # Refused before pairing, so that a bad image takes no good partner with it.
            self._accounting.drop(stream, FrameDrop.INVALID_IMAGE.value, str(error))
            self._on_invalid(stream, str(error))
            return
        now = time.monotonic_ns()
        add = self._pairing.add_infrared if stream == "infrared" else self._pairing.add_visible
        self._signal(add(stamp_of(message), Received(message, now / SECOND), now))

    def change(self, settings: NodeSettings) -> None:
        """Has ``settings`` used from the next message on."""
        if settings.infrared_offset != self._pairing.infrared_offset:
            # What waits was placed by the old offset.
            self._signal(self._pairing.flush())
            self._pairing = self._new_pairing(settings)
            return
        self._pairing.max_skew = settings.max_skew
        self._pairing.max_wait = settings.max_wait
        self._pairing.queue_size = settings.queue_size

    def misses(self) -> Misses:
        """What the stamps of unpaired images were like lately."""
        misses = self._pairing.recent_misses
        offset = self._pairing.clock_offset()
        return Misses(
            nearest=min(map(abs, misses)) / SECOND if misses else None,
            ahead=offset.ahead / SECOND if offset is not None and offset.constant else None,
        )

    def close(self) -> None:
        """Ends waiting: all that still waits is counted as stopped or unpaired."""
        self._node.destroy_timer(self._timer)
        for _ in self._pairing.flush():
            self._accounting.paired()
            self._accounting.drop_pair(FrameDrop.STOPPED.value)
        self._account()

    def _poll(self) -> None:
        self._signal(self._pairing.poll(time.monotonic_ns()))

    def _signal(self, pairs: list[Pair[Received]]) -> None:
        for pair in pairs:
            self._accounting.paired()
            self.signalMessage(pair)
        self._account()
        deadline = self._pairing.next_deadline()
        if deadline is None:
            self._timer.cancel()
            return
        self._timer.timer_period_ns = max(deadline - time.monotonic_ns(), SECOND // 1000)
        self._timer.reset()

    def _new_pairing(self, settings: NodeSettings) -> StampPairing[Received]:
        self._accounting.forget_absorbed()
        self._resets = 0
        return StampPairing(
            max_skew=settings.max_skew,
            max_wait=settings.max_wait,
            infrared_offset=settings.infrared_offset,
            queue_size=settings.queue_size,
        )

    def _account(self) -> None:
        for stream, reason in self._accounting.absorb(self._pairing.drops):
            if reason not in EXPECTED_DROPS:
                self._on_invalid(stream, reason.value)
        while self._resets < self._pairing.resets:
            self._resets += 1
            self._accounting.reset()
            self._on_reset()
