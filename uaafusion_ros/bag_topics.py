"""Which topics of a recording hold the two cameras' images, told by their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.node.compressed_images import COMPRESSED_SUFFIX

INFRARED_WORDS = frozenset({"infrared", "thermal", "ir", "lwir", "flir", "boson", "lepton"})
VISIBLE_WORDS = frozenset({"visible", "rgb", "color", "colour", "vis"})
OUTPUT_WORDS = frozenset(
    {"attribution", "depth", "disparity", "fused", "mask", "overlay", "segmentation", "weight"}
)
"""Words in the names of images that are computed, or no images of a camera's."""


@dataclass(frozen=True)
class ImageTopic:
    """A topic with images; ``count`` is the number of its messages."""

    name: str
    type: str
    count: int

    def __str__(self) -> str:
        return f"{self.name} ({self.type}, {self.count} messages)"


class HasImageTopics(Protocol):
    """A recording, or several that are read as one."""

    @property
    def path(self) -> Path: ...

    @property
    def topics(self) -> Mapping[str, ImageTopic]: ...


def guess_topics(topics: Iterable[ImageTopic]) -> tuple[str | None, str | None]:
    """The infrared and the visible topic, each None unless exactly one looks like it.

    Raw images are preferred to the compressed ones of the same camera. Where no name says visible,
    the only topic left besides the infrared one is taken.
    """
    words = {topic.name: _words(topic.name) for topic in topics if topic.count}
    cameras = {name for name in words if not words[name] & OUTPUT_WORDS}
    cameras = {
        name for name in cameras if name.removesuffix(COMPRESSED_SUFFIX) not in cameras - {name}
    }
    infrared = {name for name in cameras if words[name] & INFRARED_WORDS}
    others = cameras - infrared
    visible = {name for name in others if words[name] & VISIBLE_WORDS} or others
    return _only(infrared), _only(visible)


def listing(topics: Iterable[ImageTopic]) -> str:
    """The topics for people, one a line."""
    lines = [f"  {topic}" for topic in sorted(topics, key=lambda topic: topic.name)]
    return "\n".join(lines) or "  none"


def choose_topics(bags: Sequence[HasImageTopics], infrared: str, visible: str) -> tuple[str, str]:
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


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z]+", name.lower().replace("compresseddepth", "depth")))


def _only(names: Collection[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None
