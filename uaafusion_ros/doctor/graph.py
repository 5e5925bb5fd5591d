"""What the doctor is told of the running system; plain data, filled by `node.graph_probe`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """A publisher or subscriber of a topic; QoS policies in ROS's words."""

    node: str
    type: str
    reliability: str = ""
    durability: str = ""

    def __str__(self) -> str:
        return f"{self.node} ({self.reliability}, {self.durability})"


@dataclass(frozen=True)
class Mismatch:
    """A subscriber that gets nothing from a publisher; ``reason`` in rmw's words."""

    topic: str
    publisher: Endpoint
    subscriber: Endpoint
    reason: str


@dataclass(frozen=True)
class Image:
    """One image as it came: times in nanoseconds, ``error`` why it cannot be used."""

    stamp: int
    received: int
    width: int = 0
    height: int = 0
    encoding: str = ""
    error: str = ""


@dataclass
class StreamReport:
    """What came on the topic of one camera."""

    topic: str
    publishers: list[Endpoint] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)


@dataclass
class GraphReport:
    """The running system, listened to for ``seconds``.

    image_topics: name, type and publishers of all image topics.
    statuses: level, message by name, of the fusion node's newest diagnostics.
    """

    seconds: float
    middleware: str = ""
    nodes: list[str] = field(default_factory=list)
    image_topics: dict[str, tuple[str, int]] = field(default_factory=dict)
    streams: dict[str, StreamReport] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)
    statuses: dict[str, tuple[int, str]] = field(default_factory=dict)
