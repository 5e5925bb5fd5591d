"""Pairs of recorded images, as the node finds them among live ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from uaafusion_ros.bags import CHECKS, BagImage
from uaafusion_ros.node.accounting import STREAMS, FrameDrop
from uaafusion_ros.node.images import ImageError
from uaafusion_ros.node.pairing import Pair, StampPairing
from uaafusion_ros.stamps import SECOND

QUEUE_SIZE = 300
"""Images of a stream that may wait for the other; both are recorded in the order of receipt."""

FOREVER = 2**62
"""Nanoseconds; in a recording nothing has to be decided before its end."""

UNREADABLE = "unreadable_message"


def recorded_pairing(
    max_skew: float, infrared_offset: float, queue_size: int = QUEUE_SIZE
) -> StampPairing[BagImage]:
    """The node's pairing, which in a recording may wait for the best partner; in seconds."""
    return StampPairing(
        max_skew=round(max_skew * SECOND),
        max_wait=FOREVER,
        queue_size=queue_size,
        infrared_offset=round(infrared_offset * SECOND),
        predict=False,
    )


class RecordedPairs:
    """Pairs images, and accounts for each: found = paired + dropped by reason.

    Args:
        streams: ``infrared`` or ``visible`` by topic.
    """

    def __init__(self, streams: Mapping[str, str], max_skew: float, infrared_offset: float) -> None:
        self._streams = streams
        self._pairing = recorded_pairing(max_skew, infrared_offset)
        self._refused: Counter[tuple[str, str]] = Counter()
        self.found: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def paired(self) -> int:
        """Pairs found so far."""
        return self._pairing.paired

    @property
    def resets(self) -> int:
        """How often stamps ran backwards."""
        return self._pairing.resets

    def add(self, image: BagImage) -> list[Pair[BagImage]]:
        """Take an image; returns the pairs that it makes final."""
        stream = self._streams[image.topic]
        self.found[stream] += 1
        if image.error:
            self._refuse(stream, UNREADABLE, image.error)
            return []
        try:
            CHECKS[image.type](image.message)
        except ImageError as error:
            self._refuse(stream, FrameDrop.INVALID_IMAGE.value, str(error))
            return []
        add = self._pairing.add_infrared if stream == "infrared" else self._pairing.add_visible
        return add(image.stamp, image, 0)

    def flush(self) -> list[Pair[BagImage]]:
        """The recording's end: the last pairs."""
        return self._pairing.flush()

    def summary(self) -> dict[str, Any]:
        """What became of the images."""
        dropped = Counter(self._refused)
        for (stream, reason), count in self._pairing.drops.items():
            dropped[stream, reason.value] += count
        suggested = self._pairing.suggested_infrared_offset()
        return {
            "found": {stream: self.found[stream] for stream in STREAMS},
            "dropped": {
                stream: {reason: n for (own, reason), n in sorted(dropped.items()) if own == stream}
                for stream in STREAMS
            },
            "paired": self.paired,
            "resets": self.resets,
            "suggested_infrared_offset": None if suggested is None else suggested / SECOND,
        }

    def _refuse(self, stream: str, reason: str, error: str) -> None:
        self._refused[stream, reason] += 1
        self.examples.setdefault(f"{stream} {reason}", error)
