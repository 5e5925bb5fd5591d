"""What to harvest from recordings, and which of their topics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from uaafusion_ros.bags import Bag, guess_topics, listing
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.settings import PipelineSettings


@dataclass(frozen=True, kw_only=True)
class HarvestPlan:
    """What to harvest and how; times in seconds.

    infrared, visible: topics; "" tells them by their names.
    label_with: model for pseudo-labels; "" leaves the pairs unlabelled.
    confidence: score below which a pixel gets no label; None takes the trainer's.
    max_skew, infrared_offset: as the node's parameters of these names.
    every: least time between two pairs that are kept.
    val_share: last part of every recording that goes to val.
    split_gap: least time between a pair in train and one in val.
    difference: mean absolute difference of thumbnails in grey levels, below which both images of a
        pair must lie to make it a near-duplicate of the last pair kept. A car that stands sees a
        street change by 0.5 through noise; one that creeps changes it by 2 in some 0.02 s.
    frames: gain control and registration.

    Raises:
        SettingsError: an impossible value.
    """

    bags: tuple[Path, ...]
    out: Path
    infrared: str
    visible: str
    label_with: str
    confidence: float | None
    max_skew: float
    infrared_offset: float
    every: float
    val_share: float
    split_gap: float
    difference: float
    frames: PipelineSettings

    def __post_init__(self) -> None:
        if not self.bags:
            raise SettingsError("no recording given; expected at least one")
        for name in ("max_skew", "every", "split_gap", "difference"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not abs(self.infrared_offset) < float("inf"):
            raise SettingsError(f"infrared_offset is {self.infrared_offset}, expected seconds")
        if not 0 <= self.val_share < 1:
            raise SettingsError(f"val_share is {self.val_share}, expected 0 <= share < 1")
        if self.confidence is not None and not 0 < self.confidence <= 1:
            raise SettingsError(f"confidence is {self.confidence}, expected 0 < value <= 1")


def choose_topics(bags: list[Bag], infrared: str, visible: str) -> tuple[str, str]:
    """The topics to read, told from their names where they are not given.

    Raises:
        SettingsError: a recording lacks one, or the names do not tell; lists what there is.
    """
    for bag in bags:
        for option, name in (("--infrared", infrared), ("--visible", visible)):
            if name and name not in bag.topics:
                raise SettingsError(
                    f"{bag.path} has no image topic {name!r} ({option}). Its image topics are\n"
                    + listing(bag.topics.values())
                )
    known = {name: topic for bag in bags for name, topic in bag.topics.items()}
    rest = [topic for name, topic in known.items() if name not in (infrared, visible)]
    guesses = guess_topics(rest)
    chosen = infrared or guesses[0], visible or guesses[1]
    for option, choice in zip(("--infrared", "--visible"), chosen, strict=True):
        lacking = [bag for bag in bags if choice not in bag.topics]
        if choice is None or lacking:
            bag = (lacking or bags)[0]
            raise SettingsError(
                f"the names of the topics do not tell which images to take; give {option} TOPIC. "
                f"The image topics of {bag.path} are\n" + listing(bag.topics.values())
            )
    if chosen[0] == chosen[1]:
        raise SettingsError(f"both topics are {chosen[0]!r}, expected two different ones")
    return chosen[0] or "", chosen[1] or ""


def parse_homography(text: str) -> tuple[float, ...] | None:
    """Nine numbers, separated by commas or spaces, perhaps in brackets.

    Returns:
        None for "" and for zeros, which mean no homography to the node.

    Raises:
        SettingsError: not numbers.
    """
    try:
        numbers = tuple(float(part) for part in re.split(r"[\s,\[\]]+", text) if part)
    except ValueError as error:
        raise SettingsError(f"homography is {text!r}, expected nine numbers ({error})") from error
    return numbers if any(numbers) else None
