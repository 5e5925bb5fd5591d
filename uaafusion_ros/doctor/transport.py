"""Checks of what carries images between processes and machines; reads settings only, no ROS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from uaafusion_ros.doctor.checks import Check, ok, skipped, warn
from uaafusion_ros.node.transport import (
    OLD_PROFILE_VARIABLE,
    OLD_RELEASES,
    PROFILE_VARIABLE,
)
from uaafusion_ros.share import find_share

RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
ENOUGH_BUFFER = 8 * 2**20
"""Bytes: some images of 640x480 that arrive at once by UDP."""

SHARED_MEMORY = Path("/dev/shm")
ENOUGH_SHARED_MEMORY = 512 * 2**20
"""Bytes: config/fastdds.xml takes 64 MiB for each process that publishes."""

ENOUGH_SEGMENT = 16 * 2**20
FAST_DDS = "rmw_fastrtps_cpp"
HIGHEST_DOMAIN = 101


def transport_checks(environment: Mapping[str, str], middleware: str) -> list[Check]:
    """What the environment says of DDS; ``middleware`` is the RMW in use, "" where unknown."""
    rmw = middleware or environment.get("RMW_IMPLEMENTATION") or FAST_DDS
    checks = [_profile(environment) if "fastrtps" in rmw else _other(rmw, environment)]
    checks += [_shared_memory(), _receive_buffer(), _domain(environment)]
    return checks


def _profile(environment: Mapping[str, str]) -> Check:
    name = "DDS transport"
    old = environment.get("ROS_DISTRO") in OLD_RELEASES
    path = environment.get(PROFILE_VARIABLE) or environment.get(OLD_PROFILE_VARIABLE)
    builtin = environment.get("FASTDDS_BUILTIN_TRANSPORTS")
    shipped = find_share("config", "fastdds.xml")
    variables = (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE) if old else (PROFILE_VARIABLE,)
    remedy = "for all processes, cameras included: " + "; ".join(
        f"export {variable}={shipped}" for variable in variables
    )
    if path:
        return _profile_file(name, Path(path), remedy)
    if builtin:
        if environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST":
            return warn(
                name,
                f"ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST overrides FASTDDS_BUILTIN_TRANSPORTS "
                f"({builtin}) without a word",
                remedy,
            )
        return ok(name, f"Fast DDS with FASTDDS_BUILTIN_TRANSPORTS={builtin}")
    return warn(
        name,
        "Fast DDS with its defaults, which lose about half of two 640x480 streams (the node sets a "
        "profile for itself; cameras do not)",
        remedy,
    )


def _profile_file(name: str, path: Path, remedy: str) -> Check:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as problem:
        return warn(name, f"profile {path} cannot be read: {problem}", remedy)
    segments = []
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "segment_size" and (element.text or "").strip():
            segments.append(int((element.text or "0").strip()))
    if not segments:
        return warn(name, f"profile {path} gives shared memory no segment_size", remedy)
    found = f"Fast DDS with {path}, segments of {max(segments) / 2**20:.0f} MiB"
    if max(segments) < ENOUGH_SEGMENT:
        return warn(name, f"{found}: a few images", remedy)
    return ok(name, found)


def _other(rmw: str, environment: Mapping[str, str]) -> Check:
    if "cyclonedds" in rmw:
        uri = environment.get("CYCLONEDDS_URI", "")
        return ok("DDS transport", f"{rmw}" + (f" with {uri}" if uri else ""))
    if "zenoh" in rmw:
        return ok("DDS transport", f"{rmw}; its router (rmw_zenohd) must be running")
    return ok("DDS transport", f"{rmw}; not tried by us")


def _shared_memory() -> Check:
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError as problem:
        return skipped("shared memory", f"{SHARED_MEMORY}: {problem}")
    free, total = (status.f_frsize * blocks for blocks in (status.f_bavail, status.f_blocks))
    found = f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free in {SHARED_MEMORY}"
    if free < ENOUGH_SHARED_MEMORY:
        return warn(
            "shared memory",
            found,
            "in a container: docker run --shm-size=2g, or --ipc=host to reach processes outside",
        )
    return ok("shared memory", found)


def _receive_buffer() -> Check:
    name = "receive buffers"
    try:
        size = int(RECEIVE_BUFFER.read_text())
    except (OSError, ValueError):
        return skipped(name, f"{RECEIVE_BUFFER} cannot be read (a container, perhaps)")
    found = f"net.core.rmem_max is {size / 2**20:.1f} MiB"
    if size < ENOUGH_BUFFER:
        return warn(
            name,
            f"{found}: images from another machine get lost (none on this machine do)",
            f"sudo sysctl -w net.core.rmem_max={4 * ENOUGH_BUFFER}, and a line in /etc/sysctl.d/ "
            "to keep it",
        )
    return ok(name, found)


def _domain(environment: Mapping[str, str]) -> Check:
    name, text = "ROS domain", environment.get("ROS_DOMAIN_ID", "") or "0"
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    local = environment.get("ROS_LOCALHOST_ONLY") == "1" or reach in ("LOCALHOST", "OFF")
    found = f"{text}, {'this machine only' if local else 'the whole network'}"
    if not text.isdigit() or int(text) > HIGHEST_DOMAIN:
        return warn(name, f"ROS_DOMAIN_ID is {text!r}", f"choose 0 to {HIGHEST_DOMAIN}")
    return ok(name, found)
