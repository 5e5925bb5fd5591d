"""How the fusion node is, for people: its own words, the figures behind them, and its silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from uaafusion_ros.node.accounting import STREAMS
from uaafusion_ros.node.diagnostics import Level, Status

SILENCE = 3.0
"""Seconds without diagnostics after which the node counts as gone, or PERIODS of them if they come
less often."""
PERIODS = 2.5

DROPPED = "dropped: "
DROP_WORDS = {
    "unpaired": "without a partner in time",
    "out_of_order": "came after a newer one",
    "duplicate_stamp": "with the stamp of the one before",
    "unset_stamp": "without a stamp",
    "reset": "waited when stamps ran backwards",
    "overflow": "too many waited",
    "superseded": "gave way to a newer pair",
    "invalid_image": "unusable message",
    "undecodable": "could not be decoded",
    "refused": "could not be fused",
    "failed": "lost by an error",
    "out_of_memory": "no memory for them",
    "not_listened": "nobody looked",
    "stopped": "waited when the node stopped",
}


class _Figure(NamedTuple):
    """One number of the page, and where it stands in the diagnostics."""

    label: str
    unit: str
    status: str
    key: str
    worst: str = ""


FIGURES = (
    _Figure("Infrared", "Hz", "infrared input", "rate (Hz)"),
    _Figure("Visible", "Hz", "visible input", "rate (Hz)"),
    _Figure("Fused", "Hz", "output", "rate (Hz)"),
    _Figure(
        "Latency",
        "ms",
        "output",
        "latency since stamp, median (ms)",
        "latency since stamp, worst (ms)",
    ),
    _Figure(
        "In the model",
        "ms",
        "output",
        "latency in the model, median (ms)",
        "latency in the model, worst (ms)",
    ),
    _Figure("Skew", "ms", "pairing", "skew median (ms)"),
)


class FusionHealth:
    """What the fusion node last said of itself, and when.

    Args:
        node: its full name, for the words.
        clock: monotonic seconds.
    """

    def __init__(self, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._heard: float | None = None
        self._period = 0.0
        self._statuses: Sequence[Status] = ()

    def hear(self, statuses: Sequence[Status]) -> None:
        """Takes one diagnostics message of the node."""
        now = self._clock()
        # One long pause, as between two lives of the node, makes nobody patient.
        if self._heard is not None and not self._gone(now):
            self._period = now - self._heard
        self._heard, self._statuses = now, statuses

    def report(self) -> dict[str, Any]:
        """Everything for the page, of plain values.

        Returns:
            ``alive``; ``level`` 0 (fine) to 2 (error) and ``words``, one sentence; ``statuses``,
            ``figures``, ``drops`` and ``about`` as the node last told them, empty before.
        """
        now = self._clock()
        values = {status.name: status.values for status in self._statuses}
        told = {
            "statuses": [
                {"name": s.name, "level": int(s.level), "words": s.message} for s in self._statuses
            ],
            "figures": [_figure(figure, values) for figure in FIGURES],
            "drops": _drops(values),
            "about": {
                key: values.get("node", {}).get(key, "") for key in ("model", "device", "mode")
            },
        }
        if self._heard is None:
            words = (
                f"Nothing heard of the fusion node {self._node} yet. If it does not come, start "
                "it, and check that it has this ROS_DOMAIN_ID and name."
            )
            return {"alive": False, "level": int(Level.ERROR), "words": words, **told}
        if self._gone(now):
            words = (
                f"The fusion node {self._node} has been silent for {now - self._heard:.0f} s: it "
                "has ended, or the network has. What stands below is old; the page goes on by "
                "itself when the node is back."
            )
            return {"alive": False, "level": int(Level.ERROR), "words": words, **told}
        worst = max(self._statuses, key=lambda status: status.level, default=None)
        if worst is None or worst.level == Level.OK:
            return {"alive": True, "level": int(Level.OK), "words": "All is well.", **told}
        words = f"{worst.name[:1].upper()}{worst.name[1:]}: {worst.message}"
        return {"alive": True, "level": int(worst.level), "words": words, **told}

    def _gone(self, now: float) -> bool:
        heard = now if self._heard is None else self._heard
        return now - heard > max(SILENCE, PERIODS * self._period)


def _figure(figure: _Figure, values: dict[str, dict[str, str]]) -> dict[str, str]:
    found = values.get(figure.status, {})
    return {
        "label": figure.label,
        "unit": figure.unit,
        "value": found.get(figure.key, ""),
        "worst": found.get(figure.worst, "") if figure.worst else "",
    }


def _drops(values: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    """For each reason, images left out of each stream since the node's start."""
    counts = {
        stream: {
            key.removeprefix(DROPPED): count
            for key, count in values.get(f"{stream} input", {}).items()
            if key.startswith(DROPPED)
        }
        for stream in STREAMS
    }
    reasons = sorted({reason for found in counts.values() for reason in found})
    return [
        {
            "words": DROP_WORDS.get(reason, reason.replace("_", " ")),
            **{stream: counts[stream].get(reason, "0") for stream in STREAMS},
        }
        for reason in reasons
    ]
