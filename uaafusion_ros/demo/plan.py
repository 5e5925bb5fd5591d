"""What the demo shall show, and the command lines of the processes that show it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from uaafusion_ros.demo.topics import INFRARED, INPUTS, LATCHED_TOPICS, TOPICS, VISIBLE
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.modes import AUTO, MODES
from uaafusion_ros.node.replay_sources import FolderSource, SourceError
from uaafusion_ros.scenes.street import Condition

STREET_SIZE = (320, 256)
"""Width and height of the demo's street: small enough that two CPU cores fuse it several times a
second."""

PREPARED_IMAGES = 1000
"""Most images of the street that are rendered before the first is sent, so that rendering takes no
time from the model afterwards."""

DIAGNOSTICS_PERIOD = 0.5
QUEUE_DEPTH = 30


@dataclass(frozen=True)
class DemoPlan:
    """What to show, for how long, and where to put it.

    Raises:
        SettingsError: values that cannot be used.
    """

    out: Path
    infrared: Path | None
    visible: Path | None
    seconds: float
    rate: float
    condition: str
    model: str
    mode: str = AUTO
    street_size: tuple[int, int] = STREET_SIZE
    """Width and height of the street's images."""
    compiled: bool = False
    """Whether realtime mode is compiled for that size."""

    def __post_init__(self) -> None:
        for name in ("seconds", "rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise SettingsError(f"{name} is {getattr(self, name)}, expected more than 0")
        if self.condition not in get_args(Condition):
            raise SettingsError(
                f"condition is {self.condition!r}, expected one of {list(get_args(Condition))}"
            )
        if self.mode not in (AUTO, *MODES):
            raise SettingsError(f"mode is {self.mode!r}, expected one of {[AUTO, *MODES]}")
        if (self.infrared is None) != (self.visible is None):
            raise SettingsError("images need both folders: give --infrared DIR and --visible DIR")
        for folder in (self.infrared, self.visible):
            if folder is not None and not folder.is_dir():
                raise SettingsError(f"{folder} is not a folder; expected one of images")
        if self.infrared is not None and self.visible is not None:
            try:
                FolderSource(self.infrared, self.visible)
            except SourceError as error:
                raise SettingsError(str(error)) from error

    @property
    def pairs(self) -> int:
        """Number of pairs to send."""
        return max(1, round(self.seconds * self.rate))

    @property
    def source(self) -> str:
        """Where the images come from, in words."""
        if self.infrared is None:
            return f"synthetic street, {self.condition}"
        return f"{self.infrared} and {self.visible}"


def recorder_arguments(bag: Path | None, topics: Mapping[str, str] | None = None) -> list[str]:
    """Command line of the recorder that writes ``bag``, or only counts.

    Args:
        topics: names and message types; None is all of the demo.
    """
    arguments = [] if bag is None else ["--bag", str(bag)]
    for topic, message_type in (topics or TOPICS).items():
        option = "--latched-topic" if topic in LATCHED_TOPICS else "--topic"
        arguments += [option, topic, message_type]
    return arguments


def node_arguments(plan: DemoPlan) -> list[str]:
    """Command line of the fusion node."""
    parameters: dict[str, object] = {"diagnostics_period": DIAGNOSTICS_PERIOD}
    for topic in (INFRARED, VISIBLE):
        parameters |= latched(topic, "subscription")
    if plan.model:
        parameters["model"] = plan.model
    if plan.mode != AUTO:
        parameters["mode"] = plan.mode
    if plan.compiled:
        parameters["compile_size"] = "{1}x{0}".format(*plan.street_size)
    return ros_arguments(parameters)


def replay_arguments(plan: DemoPlan, wait_for_subscribers: float) -> list[str]:
    """Command line of the camera replay; it waits so many seconds for somebody to listen."""
    parameters: dict[str, object] = {
        "rate": float(plan.rate),
        "count": plan.pairs,
        "wait_for_subscribers": wait_for_subscribers,
    }
    for topic in INPUTS:
        parameters |= latched(topic, "publisher")
    if plan.infrared is not None and plan.visible is not None:
        parameters |= {
            "source": "folders",
            "infrared_folder": str(plan.infrared.absolute()),
            "visible_folder": str(plan.visible.absolute()),
        }
    else:
        width, height = plan.street_size
        parameters |= {
            "source": "street",
            "condition": plan.condition,
            "width": width,
            "height": height,
            "prepared_images": min(2 * plan.pairs, PREPARED_IMAGES),
        }
    return ros_arguments(parameters)


def latched(topic: str, role: str) -> dict[str, object]:
    """QoS that loses nothing when DDS introduces a subscriber only after the first images.

    On a busy machine that takes longer than anybody would want to wait beforehand.
    """
    qos = {"durability": "transient_local", "reliability": "reliable", "depth": QUEUE_DEPTH}
    return {f"qos_overrides.{topic}.{role}.{policy}": value for policy, value in qos.items()}


def ros_arguments(parameters: dict[str, object]) -> list[str]:
    """Parameters as a command line."""
    # Values are YAML to ROS; JSON's quotes keep it from finding other meanings in a path.
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]
    return arguments
