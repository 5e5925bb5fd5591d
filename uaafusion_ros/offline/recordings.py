"""Several recordings read as one, in the order of receipt."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from uaafusion_ros.bag_salvage import RawMessage
from uaafusion_ros.bag_topics import ImageTopic
from uaafusion_ros.bags import CHECKS, Bag, BagTopic


class Recordings:
    """Recordings one after the other, or of two machines at the same time.

    Attributes:
        path: of the recording, or of all of them, to be shown.
        described: all topics by name and type.
        topics: the image topics by name.

    Raises:
        BagError: one that cannot be read at all.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._bags = [Bag(path) for path in paths]
        self.path = Path(", ".join(map(str, paths)))
        self.described: dict[tuple[str, str], BagTopic] = {}
        for key, topic in (pair for bag in self._bags for pair in bag.described.items()):
            known = self.described.get(key, replace(topic, count=0))
            self.described[key] = replace(known, count=known.count + topic.count)
        self.topics = {
            topic.name: ImageTopic(topic.name, topic.type, topic.count)
            for topic in self.described.values()
            if topic.type in CHECKS
        }

    @property
    def damage(self) -> list[str]:
        """What could not be read; complete once `messages` has been read to its end."""
        return [text for bag in self._bags for text in bag.damage]

    def messages(self, topics: Collection[tuple[str, str]]) -> Iterator[RawMessage]:
        """Messages of topics, given by name and type, as they were recorded."""
        parts = [
            bag.messages([key for key in topics if key in bag.described]) for bag in self._bags
        ]
        return heapq.merge(*parts, key=attrgetter("received"))
