"""Brings together what comes in of ROS and who looks. All of it in the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from uaafusion_ros import __version__
from uaafusion_ros.inference.render import INFRARED_COLOUR, VISIBLE_COLOUR
from uaafusion_ros.node.diagnostics import Status
from uaafusion_ros.web.classes import read_classes
from uaafusion_ros.web.feed import Feed
from uaafusion_ros.web.health import FusionHealth
from uaafusion_ros.web.pictures import PICTURES, Decoders, Frame
from uaafusion_ros.web.protocol import message
from uaafusion_ros.web.settings import PageSettings
from uaafusion_ros.web.viewer import Viewer

PERIOD = 1.0
"""Seconds between two texts with the state of things, if no diagnostics come in between."""

LINGER = 2.0
"""Seconds that a picture is still subscribed to when nobody looks any more: who scrolls to and fro,
or reloads the page, does not make DDS look for publishers each time."""


class Hub:
    """The pictures, the fusion node's state, and the viewers.

    Args:
        topics: of each picture, for the words.
        decode: see `Decoders`.
        on_demand: called with the pictures that somebody looks at, when they change.
        logger: of what nobody expected.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: PageSettings,
        fusion_node: str,
        topics: Mapping[str, str],
        decode: Decoders,
        on_demand: Callable[[frozenset[str]], object],
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self._fusion_node, self._topics = settings, fusion_node, topics
        self._on_demand, self._clock = on_demand, clock
        # One thread: pictures take turns, and the fusion keeps the other cores.
        self._workers = ThreadPoolExecutor(1, thread_name_prefix="jpeg")
        self._feeds = {
            picture: Feed(
                picture, decode[picture], settings, self._workers, self._deliver, logger, clock
            )
            for picture in PICTURES
        }
        self._health = FusionHealth(fusion_node, clock)
        self._publishers: Mapping[str, int] = {}
        self._classes = message("classes", classes=[], error="")
        self._viewers: set[Viewer] = set()
        self._looked: dict[str, float] = {}
        """When somebody last looked at a picture that is wanted."""
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Does its work until it is cancelled."""
        tasks = [asyncio.ensure_future(feed.run()) for feed in self._feeds.values()]
        try:
            while True:
                self._follow_demand()
                for viewer in self._viewers:
                    self._tell_status(viewer)
                try:
                    await asyncio.wait_for(self._news.wait(), PERIOD)
                except asyncio.TimeoutError:
                    continue
                self._news.clear()
        finally:
            for task in tasks:
                task.cancel()
            self._workers.shutdown(wait=False)

    @property
    def full(self) -> bool:
        """Whether as many look as may."""
        return len(self._viewers) >= self.settings.viewers

    def welcome(self, viewer: Viewer) -> None:
        """Lets somebody look."""
        self._viewers.add(viewer)
        colours = {"infrared": INFRARED_COLOUR[::-1], "visible": VISIBLE_COLOUR[::-1]}
        hello = message(
            "hello",
            version=__version__,
            fusion_node=self._fusion_node,
            pictures=list(PICTURES),
            attribution_colours=colours,
        )
        viewer.tell("hello", hello)
        viewer.tell("classes", self._classes)
        self._tell_status(viewer)

    def farewell(self, viewer: Viewer) -> None:
        """Somebody has gone."""
        self._viewers.discard(viewer)
        self._news.set()

    def looks_changed(self) -> None:
        """Somebody looks at other pictures now."""
        self._follow_demand()

    def take_image(self, picture: str, image: Any) -> None:
        """An image message of a picture."""
        self._feeds[picture].offer(image)

    def take_statuses(self, statuses: Sequence[Status]) -> None:
        """Diagnostics of the fusion node."""
        self._health.hear(statuses)
        self._news.set()

    def take_publishers(self, publishers: Mapping[str, int]) -> None:
        """How many publish each picture's topic."""
        self._publishers = publishers

    def take_classes(self, text: str) -> None:
        """The latched class list."""
        try:
            self._classes = message("classes", classes=read_classes(text), error="")
        except ValueError as error:
            self._classes = message("classes", classes=[], error=str(error))
        for viewer in self._viewers:
            viewer.tell("classes", self._classes)

    def _deliver(self, frame: Frame) -> None:
        for viewer in self._viewers:
            viewer.show(frame)

    def _follow_demand(self) -> None:
        now, before = self._clock(), frozenset(self._looked)
        for viewer in self._viewers:
            self._looked.update(dict.fromkeys(viewer.pictures, now))
        self._looked = {p: when for p, when in self._looked.items() if now - when < LINGER}
        wanted = frozenset(self._looked)
        for picture in wanted ^ before:
            self._feeds[picture].want(picture in wanted)
        if wanted != before:
            self._on_demand(wanted)

    def _tell_status(self, viewer: Viewer) -> None:
        pictures = {picture: self._picture_status(picture, viewer) for picture in PICTURES}
        text = message(
            "status",
            fusion=self._health.report(),
            pictures=pictures,
            viewers=len(self._viewers),
            delay=None if viewer.delay is None else round(viewer.delay * 1e3),
        )
        viewer.tell("status", text)

    def _picture_status(self, picture: str, viewer: Viewer) -> dict[str, Any]:
        feed = self._feeds[picture]
        return {
            "rate": round(feed.rate(), 1),
            "description": feed.description,
            "words": self._picture_words(picture) if picture in viewer.pictures else "",
            "sent": viewer.sent[picture],
            "left_out": viewer.left_out[picture],
        }

    def _picture_words(self, picture: str) -> str:
        """What keeps a picture from being shown; empty if nothing does."""
        feed, topic = self._feeds[picture], self._topics[picture]
        if feed.error:
            return feed.error
        silent = feed.silent_for()
        if not silent:
            return "" if feed.seen else f"Waiting for {topic}"
        if self._publishers.get(picture) == 0:
            return f"Nobody publishes {topic}"
        return f"{topic} has been silent for {silent:.0f} s"
