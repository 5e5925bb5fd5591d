"""Judges what came from the cameras. Plain figures in, checks out; no ROS."""

from __future__ import annotations

from collections.abc import Sequence

from uaafusion_ros.doctor.checks import Check, Verdict, error, ok, skipped, warn
from uaafusion_ros.doctor.graph import GraphReport, Image, StreamReport
from uaafusion_ros.node.accounting import STREAMS
from uaafusion_ros.node.diagnostics import Level
from uaafusion_ros.node.pairing import DEFAULT_MAX_SKEW
from uaafusion_ros.stamps import SECOND

OTHER_CLOCK = 1.0
"""Seconds between stamp and receipt from which on the clocks cannot be the same."""

ENOUGH_IMAGES = 3
_VERDICTS = {Level.OK: Verdict.OK, Level.WARN: Verdict.WARN, Level.ERROR: Verdict.ERROR}


def system_checks(report: GraphReport) -> list[Check]:
    """All that the running system shows."""
    checks = _topics(report)
    checks += [_stream(report, stream) for stream in STREAMS if stream in report.streams]
    if len(report.streams) == len(STREAMS):
        checks.append(_clocks(report))
    checks += _qos(report)
    return checks + _node(report)


def _topics(report: GraphReport) -> list[Check]:
    if len(report.streams) == len(STREAMS):
        return []
    listing = ", ".join(
        f"{name} ({kind.rpartition('/')[2]}, {count} publishers)"
        for name, (kind, count) in sorted(report.image_topics.items())
    )
    if not listing:
        advice = "start the cameras; if they run, compare ROS_DOMAIN_ID and the network with theirs"
        return [skipped("cameras", "nobody publishes images here", advice)]
    missing = [stream for stream in STREAMS if stream not in report.streams]
    options = " and ".join(f"--{stream} TOPIC" for stream in missing)
    return [error("cameras", f"image topics: {listing}", f"the names do not tell; give {options}")]


def _stream(report: GraphReport, name: str) -> Check:
    stream = report.streams[name]
    title = f"{name} camera"
    if not stream.publishers:
        listing = ", ".join(sorted(report.image_topics)) or "none"
        return error(
            title,
            f"nobody publishes {stream.topic}; image topics with a publisher: {listing}",
            f"start the camera, or give --{name} TOPIC and remap {name}/image_raw",
        )
    kinds = {publisher.type for publisher in stream.publishers}
    if not stream.images:
        return error(
            title,
            f"{stream.topic} ({', '.join(sorted(kinds))}) is silent although "
            f"{', '.join(map(str, stream.publishers))} publishes it",
            "check the camera and its driver; large images that never arrive: see DDS transport "
            "and receive buffers",
        )
    found = f"{_described(stream, report.seconds)} from {', '.join(map(str, stream.publishers))}"
    faults = [image.error for image in stream.images if image.error]
    if faults:
        count = f"{len(faults)} of {len(stream.images)} images unusable"
        return error(title, f"{found}; {count}: {faults[-1]}", "mend it at the driver")
    if any(image.stamp <= 0 for image in stream.images):
        return error(
            title,
            f"{found}; images without a stamp",
            "have the driver fill header.stamp with the time of exposure",
        )
    if len(stream.publishers) > 1:
        return warn(title, found, f"only one camera may publish {stream.topic}")
    return ok(title, found)


def _described(stream: StreamReport, seconds: float) -> str:
    last = stream.images[-1]
    size = f"{last.width}x{last.height} {last.encoding}".strip()
    return f"{stream.topic}: {_rate(stream.images, seconds):.1f} Hz, {size}"


def _rate(images: Sequence[Image], seconds: float) -> float:
    span = (images[-1].received - images[0].received) / SECOND
    return (len(images) - 1) / span if span > 0 else len(images) / seconds


def _clocks(report: GraphReport) -> Check:
    """Compares the stamps with each other through the time of their receipt."""
    ages = {}
    for name in STREAMS:
        images = [image for image in report.streams[name].images if image.stamp > 0]
        if len(images) < ENOUGH_IMAGES:
            return skipped("clocks", f"too few images of the {name} camera to compare stamps")
        # The youngest image tells most of the clock, and least of delays on a busy machine.
        ages[name] = min(image.received - image.stamp for image in images) / SECOND
    ahead = ages["visible"] - ages["infrared"]
    found = ", ".join(f"{name} stamps are {_age(age)} on arrival" for name, age in ages.items())
    if abs(ahead) > DEFAULT_MAX_SKEW:
        direction = "ahead of" if ahead > 0 else "behind"
        return warn(
            "clocks",
            f"{found}: the infrared camera's are {abs(ahead) * 1e3:.0f} ms {direction} the "
            f"visible one's, more than max_skew ({DEFAULT_MAX_SKEW * 1e3:.0f} ms)",
            f"synchronise the cameras' clocks (chrony, PTP), or set infrared_offset to {-ahead:.3f}"
            " and check it against the pairing's diagnostics",
        )
    if max(map(abs, ages.values())) > OTHER_CLOCK:
        return warn(
            "clocks",
            f"{found}: not this machine's clock",
            "fine for a recording that is played; otherwise synchronise the clocks (chrony, PTP)",
        )
    return ok("clocks", found)


def _age(seconds: float) -> str:
    if abs(seconds) > 3600:
        return "hours old" if seconds > 0 else "hours ahead"
    return f"{abs(seconds) * 1e3:.0f} ms {'old' if seconds >= 0 else 'ahead'}"


def _qos(report: GraphReport) -> list[Check]:
    checks = []
    for mismatch in report.mismatches:
        found = (
            f"{mismatch.subscriber} gets nothing on {mismatch.topic} from {mismatch.publisher}: "
            f"{mismatch.reason}"
        )
        policies = [
            f"{policy}: {getattr(mismatch.publisher, policy).lower()}"
            for policy in ("reliability", "durability")
            if getattr(mismatch.publisher, policy) != getattr(mismatch.subscriber, policy)
        ]
        advice = (
            f"give the subscriber what is offered; ours by qos_overrides.{mismatch.topic}."
            f"subscription.{', '.join(policies)}"
        )
        checks.append(error("QoS", found, advice))
    return checks or [ok("QoS", "all subscribers of camera and fusion topics fit the publishers")]


def _node(report: GraphReport) -> list[Check]:
    if not report.statuses:
        if "/uaafusion" in report.nodes:
            quiet = f"running, but without diagnostics in {report.seconds:.0f} s"
            return [skipped("fusion node", quiet, "listen longer: --seconds 20")]
        return [skipped("fusion node", "not running", "ros2 launch uaafusion_ros fusion.launch.py")]
    return [
        Check(name, _VERDICTS[Level(level)], message)
        for name, (level, message) in report.statuses.items()
    ]
