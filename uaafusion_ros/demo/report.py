"""What the fusion node says of itself in ``/diagnostics``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uaafusion_ros.demo.topics import FUSED

STREAMS = ("infrared", "visible")
_NODE = "uaafusion: "
_ERROR = 2
_DROPPED = "dropped: "


@dataclass(frozen=True)
class NodeReport:
    """One diagnostics message of the node, and how much of its output had been recorded by then."""

    state: str
    failure: str
    model: str
    device: str
    received: dict[str, int]
    pending: dict[str, int]
    dropped: dict[str, dict[str, int]]
    """For each stream, images dropped by reason."""

    pairs: int
    published: int
    recorded: int
    """Fused images in the recording."""

    latency: dict[str, float]
    """Seconds, over the node's last seconds; empty while nothing is published."""

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> NodeReport:
        """Read the recorder's ``diagnostics`` event."""
        statuses = {
            name.removeprefix(_NODE): status
            for name, status in event["statuses"].items()
            if name.startswith(_NODE)
        }
        values = {name: status["values"] for name, status in statuses.items()}
        node = values.get("node", {})
        failed = "node" in statuses and statuses["node"]["level"] >= _ERROR
        inputs = {stream: values.get(f"{stream} input", {}) for stream in STREAMS}
        return cls(
            state=node.get("state", ""),
            failure=statuses["node"]["message"] if failed else "",
            model=node.get("model", ""),
            device=node.get("device", ""),
            received={stream: int(inputs[stream].get("received", 0)) for stream in STREAMS},
            pending={stream: int(inputs[stream].get("pending", 0)) for stream in STREAMS},
            dropped={stream: _drops(inputs[stream]) for stream in STREAMS},
            pairs=int(values.get("pairing", {}).get("pairs", 0)),
            published=int(values.get("output", {}).get("published", 0)),
            recorded=event["recorded"].get(FUSED, 0),
            latency=_latency(values.get("output", {})),
        )

    @property
    def counts(self) -> tuple[object, ...]:
        """Everything that changes while images are on their way."""
        return self.received, self.pending, self.dropped, self.published, self.recorded

    def accounts_for(self, sent: Mapping[str, int]) -> bool:
        """Whether every image sent was published or dropped for a counted reason."""
        return all(
            sent[stream] == self.published + sum(self.dropped[stream].values())
            for stream in STREAMS
        )

    def complete(self, sent: Mapping[str, int]) -> bool:
        """Whether every image sent is accounted for, and everything published is recorded."""
        return self.accounts_for(sent) and self.recorded >= self.published


def _drops(values: Mapping[str, str]) -> dict[str, int]:
    return {
        key.removeprefix(_DROPPED): int(count)
        for key, count in values.items()
        if key.startswith(_DROPPED)
    }


def _latency(values: Mapping[str, str]) -> dict[str, float]:
    """The figures named ``latency since WHAT, WHICH (ms)``, as ``since_WHAT_WHICH`` in seconds."""
    return {
        key.removeprefix("latency ").removesuffix(" (ms)").replace(", ", "_").replace(" ", "_"): (
            round(float(text) / 1e3, 4)
        )
        for key, text in values.items()
        if key.startswith("latency ") and text
    }
