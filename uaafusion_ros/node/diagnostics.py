"""What the operator should know and do, from a snapshot of the node. Free of ROS.

`diagnose` turns a `Snapshot` into a few `Status`: level, one sentence that says what to do, and
the figures behind it. The node converts them to diagnostic_msgs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from uaafusion_ros.node.accounting import STREAMS, FrameDrop, Latency
from uaafusion_ros.node.clock_offset import LARGEST
from uaafusion_ros.node.snapshot import Snapshot

SILENCE = 3.0
"""Seconds without an image after which a topic counts as silent."""

STILL = 1.0
"""Seconds of one and the same image that a shutter does not explain."""

REPEATED = 0.05
"""Share of repeated images beyond which they are spoken of."""

OFFSET = 0.004
"""Seconds of constant skew from which on an offset is suggested."""


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Status:
    """One line of diagnostics."""

    name: str
    level: Level
    message: str
    values: dict[str, str] = field(default_factory=dict)


def diagnose(snapshot: Snapshot) -> list[Status]:
    """The status of the node, and while it is active of its inputs, pairing and output."""
    statuses = [_node_status(snapshot)]
    if snapshot.state == "active" and snapshot.inputs:
        statuses += [_input_status(snapshot, stream) for stream in STREAMS]
        statuses += [_pairing_status(snapshot), _output_status(snapshot)]
    return statuses


def _node_status(snapshot: Snapshot) -> Status:
    values = {
        "state": snapshot.state,
        "model": snapshot.model,
        "model file": snapshot.model_file,
        "model sha256": snapshot.model_sha256,
        "model reloads": str(snapshot.reloads.count),
        "model being loaded": snapshot.reloads.loading,
        "model reload failure": snapshot.reloads.failure,
        "device": snapshot.device,
        "device fallbacks": str(int(bool(snapshot.notice))),
        "mode": snapshot.mode,
    }
    if snapshot.failure:
        return Status("node", Level.ERROR, snapshot.failure, values)
    if snapshot.state == "unconfigured":
        message = "unconfigured: no model is loaded; configure and activate the node to fuse images"
    elif snapshot.state == "inactive":
        message = "inactive: activate the node to fuse images"
    else:
        message = f"{snapshot.state}: {snapshot.model} on {snapshot.device}"
        message += f", {snapshot.mode}" if snapshot.mode else ""
    if snapshot.reloads.failure:
        return Status("node", Level.WARN, f"{message}; {snapshot.reloads.failure}", values)
    if snapshot.notice:
        return Status("node", Level.WARN, f"{message}; {snapshot.notice}", values)
    return Status("node", Level.OK, message, values)


def _input_status(snapshot: Snapshot, stream: str) -> Status:
    figures, connection = snapshot.figures, snapshot.inputs[stream]
    rate, silent = figures.rate(f"received/{stream}"), figures.silent_for[stream]
    values = {
        "topic": connection.topic,
        "publishers": str(connection.publishers),
        "rate (Hz)": f"{rate:.1f}",
        "received": str(figures.total[f"received/{stream}"]),
        "published": str(figures.total["published"]),
        "pending": str(figures.pending(stream)),
        "repeated images": str(figures.total[f"repeated/{stream}"]),
        "image unchanged for (s)": f"{figures.still_for[stream]:.1f}",
        "lost before the node": str(figures.total[f"lost/{stream}"]),
    }
    values |= {f"dropped: {reason}": str(n) for reason, n in figures.drops(stream).items()}
    level, message = _input_health(snapshot, stream, rate, silent)
    return Status(f"{stream} input", level, message, values)


def _input_health(
    snapshot: Snapshot, stream: str, rate: float, silent: float | None
) -> tuple[Level, str]:
    figures, connection = snapshot.figures, snapshot.inputs[stream]
    topic = connection.topic
    quiet = snapshot.active_for if silent is None else min(silent, snapshot.active_for)
    if quiet >= SILENCE and connection.incompatible_qos:
        return Level.ERROR, (
            f"a publisher of {topic} offers incompatible QoS ({connection.incompatible_qos}), no "
            f"image comes through; set qos_overrides.{topic}.subscription."
            f"{connection.incompatible_qos.lower()} to what the publisher offers"
        )
    if quiet >= SILENCE and connection.publishers == 0:
        return Level.ERROR, (
            f"nobody publishes {topic}; start the {stream} camera, or remap {stream}/image_raw"
        )
    if quiet >= SILENCE:
        return Level.ERROR, (
            f"{stream} topic {topic} silent for {quiet:.0f} s although it has a publisher; check "
            "the camera, its driver and the network"
        )
    if silent is None:
        return Level.OK, f"waiting for the first image on {topic}"
    drops = figures.drops(stream, recent=True)
    if unset := drops.get("unset_stamp", 0):
        return Level.ERROR, (
            f"{unset} images without a stamp in the last {figures.span:.0f} s; have the camera's "
            "driver fill header.stamp with the time of exposure"
        )
    if same := drops.get("duplicate_stamp", 0):
        return Level.WARN, (
            f"{same} images with the stamp of the one before in the last {figures.span:.0f} s; the "
            "camera's driver sends the same image again, or more than one publisher serves "
            f"{topic}: check that only one publisher does"
        )
    if late := drops.get("out_of_order", 0):
        return Level.WARN, (
            f"{late} images with late stamps in the last {figures.span:.0f} s; check that only one "
            f"publisher serves {topic}, and the network"
        )
    if bad := drops.get(FrameDrop.INVALID_IMAGE.value, 0):
        return Level.WARN, (
            f"{bad} of {figures.recent[f'received/{stream}']} images unusable in the last "
            f"{figures.span:.0f} s: {figures.last_error.get(stream, '')}"
        )
    if lost := figures.recent[f"lost/{stream}"]:
        return Level.WARN, (
            f"{lost} images were lost before the node in the last {figures.span:.0f} s; set the "
            "transport profile (README) for the camera too, and check the load of machine and "
            "network"
        )
    if flat := figures.recent[f"flat/{stream}"]:
        return Level.WARN, (
            f"{flat} {stream} images of one constant value in the last {figures.span:.0f} s; "
            "check lens cap, shutter and exposure"
        )
    still, repeated = figures.still_for[stream], figures.recent[f"repeated/{stream}"]
    if still >= STILL:
        return Level.WARN, (
            f"the {stream} image has been the same for {still:.0f} s although its stamps go on; "
            "the camera or its driver hangs, restart it (a shutter takes half a second)"
        )
    if repeated > REPEATED * figures.recent["published"]:
        return Level.OK, (
            f"{rate:.1f} Hz on {topic}, of which {repeated} images in the last "
            f"{figures.span:.0f} s repeat the one before: a shutter (flat-field correction), or a "
            "camera slower than its topic"
        )
    return Level.OK, f"{rate:.1f} Hz on {topic}"


def _pairing_status(snapshot: Snapshot) -> Status:
    figures = snapshot.figures
    values = {
        "pair rate (Hz)": f"{figures.rate('paired'):.1f}",
        "pairs": str(figures.total["paired"]),
        "skew median (ms)": _milliseconds(figures.median_skew),
        "max_skew (ms)": _milliseconds(snapshot.max_skew),
        "infrared_offset (ms)": _milliseconds(snapshot.infrared_offset),
        "nearest unpaired stamps (ms)": _milliseconds(snapshot.misses.nearest),
        "infrared stamps ahead (ms)": _milliseconds(snapshot.misses.ahead),
        "suggested infrared_offset (s)": _suggested_offset(snapshot),
        "clock resets": str(figures.total["resets"]),
    }
    level, message = _pairing_health(snapshot)
    return Status("pairing", level, message, values)


def _pairing_health(snapshot: Snapshot) -> tuple[Level, str]:
    figures = snapshot.figures
    unpaired = {s: figures.drops(s, recent=True).get("unpaired", 0) for s in STREAMS}
    pairs, nearest = figures.recent["paired"], snapshot.misses.nearest
    # Of two cameras with unequal rates the faster one always keeps images over: look at the slower.
    lost = min(unpaired.values())
    if lost > pairs:
        level = Level.WARN if pairs else Level.ERROR
        share = f"{lost} of {lost + pairs} images without a partner"
        if nearest is not None and nearest > snapshot.max_skew:
            said = (
                f"{share}: stamps are {nearest * 1e3:.0f} ms apart but max_skew is "
                f"{snapshot.max_skew * 1e3:.0f} ms"
            )
            if remedy := _clock_remedy(snapshot):
                return level, f"{said}; {remedy}, or raise max_skew if both clocks are right"
            return level, (
                f"{said}; raise max_skew, and check that both cameras stamp their images with the "
                "same clock"
            )
        return level, (
            f"{share}; check that both cameras stamp their images with the same clock, and raise "
            "max_wait if one of them arrives late"
        )
    if figures.recent["resets"]:
        return Level.WARN, (
            "stamps ran backwards and pairing started anew; fine after a bag loop, otherwise check "
            "the cameras' clocks"
        )
    if not figures.total["paired"]:
        return Level.OK, "waiting for the first pair"
    skew = _milliseconds(figures.median_skew)  # unknown while nothing is published
    said = f"{figures.rate('paired'):.1f} pairs a second"
    said += f", median skew {skew} ms" if skew else ""
    if remedy := _clock_remedy(snapshot):
        said += f"; {remedy}, if both cameras are triggered together"
    return Level.OK, said


def _clock_remedy(snapshot: Snapshot) -> str:
    """What to set against a constant offset of the clocks; empty if there is none."""
    offset, ahead = _suggested_offset(snapshot), snapshot.misses.ahead
    if ahead is None or abs(ahead) < OFFSET:
        return ""
    where = "ahead" if ahead > 0 else "behind"
    if not offset:
        hours = f"{abs(ahead) / 3600:.0f} h"
        return (
            f"infrared stamps run {hours} {where}, one of the cameras' clocks is not set: check "
            "their time servers"
        )
    size = f"{abs(ahead) * 1e3:.0f} ms" if abs(ahead) < 1 else f"{abs(ahead):.1f} s"
    return f"infrared stamps run {size} {where}, set infrared_offset: {offset}"


def _suggested_offset(snapshot: Snapshot) -> str:
    ahead = snapshot.misses.ahead
    if ahead is None or abs(ahead) < OFFSET:
        return ""
    offset = snapshot.infrared_offset - ahead
    return f"{offset:.3f}" if abs(offset) <= LARGEST else ""


def _output_status(snapshot: Snapshot) -> Status:
    figures = snapshot.figures
    values = {
        "rate (Hz)": f"{figures.rate('published'):.1f}",
        "published": str(figures.total["published"]),
        **_latency_values("latency since receipt", figures.since_receipt),
        **_latency_values("latency since stamp", figures.since_stamp),
        **_latency_values("latency in the model", figures.model),
        **_latency_values("latency beside the model", figures.beside),
        **{f"subscribers: {topic}": str(n) for topic, n in snapshot.subscribers.items()},
    }
    level, message = _output_health(snapshot)
    return Status("output", level, message, values)


def _output_health(snapshot: Snapshot) -> tuple[Level, str]:
    figures = snapshot.figures
    drops = figures.drops("visible", recent=True)
    bad = sum(
        drops.get(reason.value, 0)
        for reason in (
            FrameDrop.UNDECODABLE,
            FrameDrop.REFUSED,
            FrameDrop.FAILED,
            FrameDrop.OUT_OF_MEMORY,
        )
    )
    published, superseded = figures.recent["published"], drops.get(FrameDrop.SUPERSEDED.value, 0)
    if bad:
        level = Level.WARN if published else Level.ERROR
        return level, (
            f"{bad} pairs could not be fused in the last {figures.span:.0f} s: "
            f"{figures.last_error.get('output', '')}"
        )
    if snapshot.shrinkage:
        return Level.WARN, f"{snapshot.device} ran out of memory: {snapshot.shrinkage}"
    for topic, policy in snapshot.unserved.items():
        return Level.WARN, (
            f"a subscriber of {topic} asks for QoS that is not offered ({policy}) and gets "
            f"nothing; set qos_overrides.{topic}.publisher.{policy.lower()}, or change "
            "the subscriber"
        )
    if not any(snapshot.subscribers.values()):
        return Level.OK, "nobody subscribes to an output, so nothing is computed"
    if superseded > published:
        return Level.WARN, (
            f"the model is slower than the cameras: {superseded} of {superseded + published} pairs "
            "gave way to newer ones; lower max_side, take a smaller model or a GPU"
        )
    if figures.since_receipt is None:
        return Level.OK, f"no pair was fused in the last {figures.span:.0f} s"
    return Level.OK, (
        f"{figures.rate('published'):.1f} Hz, {figures.since_receipt.median * 1e3:.0f} ms from "
        "receipt to publication"
    )


def _latency_values(name: str, latency: Latency | None) -> dict[str, str]:
    median, worst = latency or (None, None)
    return {
        f"{name}, median (ms)": _milliseconds(median),
        f"{name}, worst (ms)": _milliseconds(worst),
    }


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.1f}"
