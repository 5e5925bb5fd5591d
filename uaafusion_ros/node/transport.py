"""The DDS transport that images need, set up before rclpy starts.

Fast DDS's default shared-memory segment (512 KiB) is smaller than an image, so that a good part of
a camera's images is lost. ``config/fastdds.xml`` enlarges it. This module imports no ROS: it has
to run before ``rclpy.init``, and launch files and the demo use it for their processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from uaafusion_ros.share import find_share

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
OLD_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
OLD_RELEASES = ("humble", "iron", "jazzy")
"""They read the old variable; later ones complain of it."""

OTHER_TRANSPORT_VARIABLES = ("FASTDDS_BUILTIN_TRANSPORTS", "FASTDDS_ENVIRONMENT_FILE")
"""A user who set one of these has decided about transports."""


def transport_environment(
    environment: Mapping[str, str], profile: str = "fastdds.xml"
) -> dict[str, str]:
    """Variables to add to ``environment`` so that images of any usual size pass without loss.

    Args:
        environment: the variables a process would start with.
        profile: ``fastdds.xml``, or ``fastdds_loopback.xml`` to stay on this machine.

    Returns:
        an empty dictionary where the user has a transport configuration already.

    Raises:
        FileNotFoundError: the profile is not part of this installation.
    """
    chosen = (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE, *OTHER_TRANSPORT_VARIABLES)
    if any(environment.get(name) for name in chosen):
        return {}
    path = str(find_share("config", profile))
    variables = {PROFILE_VARIABLE: path}
    if environment.get("ROS_DISTRO") in OLD_RELEASES:
        variables[OLD_PROFILE_VARIABLE] = path
    return variables


def use_image_transport(environment: MutableMapping[str, str] | None = None) -> None:
    """Sets the variables of `transport_environment` for this process; before ``rclpy.init``."""
    target = os.environ if environment is None else environment
    target.update(transport_environment(target))
