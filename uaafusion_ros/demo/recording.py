"""Reads the demo's bag back: figures of the whole, and one moment after the other."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader

from uaafusion_ros.demo.topics import (
    ATTRIBUTION,
    CLASSES,
    FUSED,
    INFRARED,
    MASK,
    MASK_OVERLAY,
    VISIBLE,
)
from uaafusion_ros.node.images import infrared_array, visible_array
from uaafusion_ros.offline.pictures import COLUMNS
from uaafusion_ros.stamps import stamp_of

OUTPUTS = (FUSED, MASK, MASK_OVERLAY, ATTRIBUTION)
_FORGET = 10_000_000_000
"""Nanoseconds after which an image whose partners have not come is given up."""


@dataclass(frozen=True)
class ClassLegend:
    """Name and RGB colour of a class."""

    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Moment:
    """One fused pair with everything made of it.

    Images are [H,W,3] BGR uint8, or [H,W] uint8, uint16 or float32 for infrared cameras; ``mask``
    holds class ids.
    """

    stamp: int
    visible: np.ndarray
    infrared: np.ndarray
    fused: np.ndarray
    mask: np.ndarray
    mask_overlay: np.ndarray
    attribution: np.ndarray

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """What a viewer sees of it, by title."""
        shown = (self.visible, self.infrared, self.fused, self.mask_overlay, self.attribution)
        return dict(zip(COLUMNS, shown, strict=True))


class Recording:
    """The demo's bag. Making one reads it once, for the figures.

    Args:
        path: the ``.mcap`` file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counts: Counter[str] = Counter()
        """Messages of each topic."""

        self.classes: dict[int, ClassLegend] = {}
        self.shapes: dict[str, list[tuple[int, int]]] = {"infrared": [], "visible": []}
        """Height and width of each input image."""

        stamps: dict[str, list[int]] = {topic: [] for topic in (INFRARED, VISIBLE, FUSED)}
        self._delays: list[float] = []
        for topic, received, message in self._messages():
            self.counts[topic] += 1
            if topic == CLASSES:
                self._read_classes(message.data)
            elif topic in stamps:
                stamps[topic].append(stamp_of(message))
                self._note(topic, message, received)
        self.visible_stamps = sorted(stamps[VISIBLE])
        self.fused_stamps = sorted(stamps[FUSED])
        self._infrared_stamps = sorted(stamps[INFRARED])

    def latency(self) -> dict[str, float]:
        """Seconds from stamp to receipt of the fused image; empty when there is none."""
        if not self._delays:
            return {}
        median, high = np.percentile(self._delays, (50, 95))
        return {"median": round(float(median), 4), "p95": round(float(high), 4)}

    def size(self, stream: str) -> str:
        """WIDTHxHEIGHT of a stream's images; of the smallest and largest where they differ."""
        ordered = sorted(set(self.shapes[stream]), key=lambda shape: shape[0] * shape[1])
        names = [f"{width}x{height}" for height, width in ordered]
        return names[0] if len(names) == 1 else " to ".join(names[:1] + names[-1:])

    def moments(self) -> Iterator[Moment]:
        """Every fused pair whose outputs were all recorded, in the order of time."""
        waiting: dict[str, dict[int, np.ndarray]] = {
            topic: {} for topic in (INFRARED, VISIBLE, *OUTPUTS)
        }
        for topic, _, message in self._messages():
            if topic not in waiting:
                continue
            stamp = stamp_of(message)
            read = infrared_array if topic == INFRARED else visible_array
            waiting[topic][stamp] = read(message)
            if topic == INFRARED or stamp not in waiting[VISIBLE]:
                continue
            partner = self._partner(stamp)
            if partner not in waiting[INFRARED] or any(stamp not in waiting[t] for t in OUTPUTS):
                continue
            found = {topic: images[stamp] for topic, images in waiting.items() if topic != INFRARED}
            yield Moment(
                stamp=stamp,
                visible=found[VISIBLE],
                infrared=waiting[INFRARED][partner],
                fused=found[FUSED],
                mask=found[MASK],
                mask_overlay=found[MASK_OVERLAY],
                attribution=found[ATTRIBUTION],
            )
            for images in waiting.values():
                for old in [key for key in images if key <= stamp - _FORGET]:
                    del images[old]
            for topic in (VISIBLE, *OUTPUTS):
                del waiting[topic][stamp]

    def _messages(self) -> Iterator[tuple[str, int, Any]]:
        with AnyReader([self._path]) as reader:
            for connection, received, data in reader.messages():
                yield (
                    connection.topic,
                    received,
                    reader.deserialize(data, connection.msgtype),
                )

    def _note(self, topic: str, message: Any, received: int) -> None:
        if topic == FUSED:
            self._delays.append((received - stamp_of(message)) / 1e9)
            return
        stream = "infrared" if topic == INFRARED else "visible"
        self.shapes[stream].append((message.height, message.width))

    def _read_classes(self, text: str) -> None:
        for entry in json.loads(text)["classes"]:
            self.classes[entry["id"]] = ClassLegend(entry["name"], tuple(entry["rgb"]))

    def _partner(self, stamp: int) -> int | None:
        """The infrared stamp closest to a visible one."""
        right = bisect_left(self._infrared_stamps, stamp)
        near = self._infrared_stamps[max(right - 1, 0) : right + 1]
        return min(near, key=lambda other: abs(other - stamp), default=None)
