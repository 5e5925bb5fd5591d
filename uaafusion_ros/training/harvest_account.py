"""What became of every image and pair of a recording, and which pairs go to train and val."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from uaafusion_ros.bags import Bag
from uaafusion_ros.node.accounting import STREAMS, FrameDrop
from uaafusion_ros.node.pairing import StampPairing
from uaafusion_ros.stamps import SECOND

__all__ = [
    "MANIFEST",
    "STREAMS",
    "BagAccount",
    "HarvestedPair",
    "PairDrop",
    "guessed_by",
    "split_by_time",
]


MANIFEST = "manifest.json"
"""What a harvest says of itself, beside train/ and val/."""


class PairDrop(str, Enum):
    """Why a pair was left out."""

    UNDECODABLE = FrameDrop.UNDECODABLE.value
    REFUSED = FrameDrop.REFUSED.value
    NOT_DUE = "not_due"  # too soon after the last pair kept
    CONSTANT = "constant"  # all pixels of an image are equal, as with the thermal shutter closed
    NEAR_DUPLICATE = "near_duplicate"
    SPLIT_GAP = "split_gap"  # too close in time to a pair in val


@dataclass
class HarvestedPair:
    """A pair that was kept; stamps and skew in nanoseconds."""

    stem: str
    bag: str
    infrared_stamp: int
    visible_stamp: int
    skew: int
    split: str = "train"


@dataclass
class BagAccount:
    """Counts of one recording: found = paired + dropped per stream, paired = kept + pairs dropped.

    ``streams`` is the stream of each topic.
    """

    bag: Bag
    streams: Mapping[str, str]
    found: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    paired: int = 0
    pairs_dropped: Counter[str] = field(default_factory=Counter)
    pairs: list[HarvestedPair] = field(default_factory=list)
    resets: int = 0
    suggested_offset: float | None = None
    examples: dict[str, str] = field(default_factory=dict)
    """First error text of every reason that has one."""

    def drop_image(self, stream: str, reason: str, error: str) -> None:
        self.dropped[stream, reason] += 1
        self.examples.setdefault(f"{stream} {reason}", error)

    def drop_pair(self, reason: PairDrop, error: str = "") -> None:
        self.pairs_dropped[reason.value] += 1
        if error:
            self.examples.setdefault(reason.value, error)

    def close(self, pairing: StampPairing[Any]) -> None:
        """Take over the figures of the recording's pairing."""
        self.paired, self.resets = pairing.paired, pairing.resets
        for (stream, reason), count in pairing.drops.items():
            self.dropped[stream, reason.value] += count
        suggested = pairing.suggested_infrared_offset()
        self.suggested_offset = None if suggested is None else suggested / SECOND

    def warnings(self) -> list[str]:
        """What a person should know of this recording."""
        lines = [f"damaged: {text}" for text in self.bag.damage]
        lines += [f"{self.bag.path}: {reason}: {text}" for reason, text in self.examples.items()]
        if 2 * self.paired < min(self.found[stream] for stream in STREAMS):
            offset = self.suggested_offset
            hint = f"; --infrared-offset {offset:.3f} would fit the stamps" if offset else ""
            lines.append(
                f"{self.bag.path}: {self.paired} pairs of {self.found['infrared']} infrared and "
                f"{self.found['visible']} visible images{hint}"
            )
        if self.resets:
            lines.append(f"{self.bag.path}: stamps ran backwards {self.resets} times")
        return lines

    def summary(self) -> dict[str, Any]:
        """The account for the manifest."""
        return {
            "path": str(self.bag.path),
            "types": {
                stream: self.bag.topics[topic].type for topic, stream in self.streams.items()
            },
            "damage": self.bag.damage,
            "found": {stream: self.found[stream] for stream in STREAMS},
            "dropped": {
                stream: {
                    reason: count
                    for (own, reason), count in sorted(self.dropped.items())
                    if own == stream
                }
                for stream in STREAMS
            },
            "paired": self.paired,
            "pairs_dropped": dict(sorted(self.pairs_dropped.items())),
            "kept": len(self.pairs),
            "resets": self.resets,
            "suggested_infrared_offset": self.suggested_offset,
            "examples": self.examples,
        }


def split_by_time(accounts: list[BagAccount], val_share: float, gap: int) -> None:
    """Put the last share of every recording into val, and leave out what is next to it in train.

    Neighbouring frames are nearly equal, so a val set beside its train set would measure memory.
    A recording that goes on where the last one ended is such a neighbour too.

    Args:
        gap: nanoseconds below which a pair is next to one in val.
    """
    for account in accounts:
        ordered = sorted(account.pairs, key=lambda pair: pair.visible_stamp)
        count = round(val_share * len(ordered))
        if val_share > 0 and len(ordered) > 1:
            count = max(1, count)
        for pair in ordered[len(ordered) - count :]:
            pair.split = "val"
    val = sorted(
        pair.visible_stamp for account in accounts for pair in account.pairs if pair.split == "val"
    )
    for account in accounts:
        kept = [
            pair
            for pair in account.pairs
            if pair.split == "val" or not _is_near(pair.visible_stamp, val, gap)
        ]
        left_out = len(account.pairs) - len(kept)
        if left_out:
            account.pairs_dropped[PairDrop.SPLIT_GAP.value] += left_out
        account.pairs = kept


def _is_near(stamp: int, others: list[int], gap: int) -> bool:
    at = bisect_left(others, stamp)
    return any(abs(stamp - other) < gap for other in others[max(0, at - 1) : at + 1])


def guessed_by(folder: Path) -> str:
    """Return the model that guessed the labels of a harvest's split; empty where nobody says so.

    Args:
        folder: the split, OUT/train or OUT/val.
    """
    try:
        labels = json.loads((folder.resolve().parent / MANIFEST).read_text())["labels"]
        return str(labels["model"]) if (folder / "labels").is_dir() else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""
