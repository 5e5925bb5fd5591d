"""Writes docs/reference.md: topics, services and parameters of the nodes, from the code itself.

    python -m uaafusion_ros.node.reference docs/reference.md

A further node is one more entry in `NODES`; a test starts its executable and compares its graph.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.qos import QoSProfile

from uaafusion_ros.inference.frames import FusionResult
from uaafusion_ros.markdown import markdown_table
from uaafusion_ros.node.camera_info import CAMERA_INFO_TOPICS
from uaafusion_ros.node.declarations import START, Declaration
from uaafusion_ros.node.diagnostics_message import DIAGNOSTICS_DEPTH, DIAGNOSTICS_TOPIC
from uaafusion_ros.node.fusion_parameters import DECLARATIONS, REACTIVATE, RECONFIGURE
from uaafusion_ros.node.inputs import IMAGE_TOPICS
from uaafusion_ros.node.model_swap import RELOAD_SERVICE
from uaafusion_ros.node.outputs import CLASSES_TOPIC, OUTPUT_DEPTH, Output, picture
from uaafusion_ros.node.replay_node import REPLAY_DEPTH
from uaafusion_ros.node.replay_parameters import REPLAY_DECLARATIONS
from uaafusion_ros.node.subscribers import DEPTH
from uaafusion_ros.node.web_viewer_images import OUTPUTS
from uaafusion_ros.node.web_viewer_parameters import WEB_VIEWER_DECLARATIONS
from uaafusion_ros.node.web_viewer_qos import ALL_DIAGNOSTICS, LATCHED, NEWEST

IMAGE, CAMERA_INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
DIAGNOSTICS, STRING = "diagnostic_msgs/msg/DiagnosticArray", "std_msgs/msg/String"
SENSOR_DATA = f"best effort, volatile, depth {DEPTH}"
EFFECT = {
    "": "at once",
    RECONFIGURE: "on the next configure",
    REACTIVATE: "on the next activate",
    START: "at the start",
}


@dataclass(frozen=True)
class Interface:
    """A topic or service as the reference shows it; services have no QoS."""

    name: str
    kind: str
    qos: str
    description: str
    on_demand: bool = False
    """Whether the node has it only while somebody wants what comes of it."""


@dataclass(frozen=True)
class NodeReference:
    """Everything that the reference says of a node."""

    name: str
    executable: str
    summary: str
    subscribed: Sequence[Interface] = ()
    published: Sequence[Interface] = ()
    services: Sequence[Interface] = ()
    declarations: Sequence[Declaration] = ()


def _outputs() -> Iterator[Interface]:
    qos = f"reliable, volatile, depth {OUTPUT_DEPTH}"
    for output in Output:
        if output is Output.CAMERA_INFO:
            yield Interface(output.topic, CAMERA_INFO, qos, output.description)
        else:
            yield Interface(output.topic, IMAGE, qos, f"{_encoding(output)}; {output.description}")


def _encoding(output: Output) -> str:
    """The encoding of an output's images, found by making one."""
    map_HW = np.zeros((2, 2), np.float32)
    result = FusionResult(
        fused=np.zeros((2, 2, 3), np.uint8),
        mask=np.zeros((2, 2), np.uint8),
        infrared_weight=map_HW,
        attention=map_HW,
    )
    made = picture(output, result, [(0, 0, 0)], 0.5)
    assert made is not None, f"{output} has no picture"
    return f"`{made[1]}`"


FUSION = NodeReference(
    name="uaafusion",
    executable="fusion_node",
    summary="Fuses the pairs of two cameras. Lifecycle node. Outputs carry the visible image's "
    "stamp and frame_id; only what somebody subscribes to is computed.",
    subscribed=(
        Interface(
            IMAGE_TOPICS["infrared"],
            IMAGE,
            SENSOR_DATA,
            "8-bit, 16-bit counts or float; resized to the visible image, or registered",
        ),
        Interface(IMAGE_TOPICS["visible"], IMAGE, SENSOR_DATA, "colour, grey, Bayer or YUV"),
        Interface(
            CAMERA_INFO_TOPICS["infrared"],
            CAMERA_INFO,
            SENSOR_DATA,
            "needed where `registration` is camera_info, as the visible one then is",
        ),
        Interface(CAMERA_INFO_TOPICS["visible"], CAMERA_INFO, SENSOR_DATA, "optional"),
    ),
    published=(
        *_outputs(),
        Interface(
            CLASSES_TOPIC,
            STRING,
            "reliable, transient local, depth 1",
            "names and colours of the ids, as JSON; latched",
        ),
        Interface(
            DIAGNOSTICS_TOPIC,
            DIAGNOSTICS,
            f"reliable, volatile, depth {DIAGNOSTICS_DEPTH}",
            "rates, skew, drops by reason, latency, and what to do about it",
        ),
    ),
    services=(
        Interface(
            RELOAD_SERVICE,
            "std_srvs/srv/Trigger",
            "",
            "reads the file of `model` again; answers when the new model serves, with its name, "
            "version and classes, or with why it does not",
        ),
    ),
    declarations=DECLARATIONS,
)

REPLAY = NodeReference(
    name="camera_replay",
    executable="camera_replay",
    summary="Two cameras that show stored images or the synthetic street.",
    published=tuple(
        Interface(topic, kind, f"reliable, volatile, depth {REPLAY_DEPTH}", description)
        for topics, kind, description in (
            (IMAGE_TOPICS, IMAGE, "`bgr8`, `mono8` or `mono16`, as the file is"),
            (CAMERA_INFO_TOPICS, CAMERA_INFO, "the image's size; not calibrated"),
        )
        for topic in topics.values()
    ),
    declarations=REPLAY_DECLARATIONS,
)


def _qos(profile: QoSProfile) -> str:
    policies = (profile.reliability.name, profile.durability.name)
    words = [policy.lower().replace("_", " ") for policy in policies]
    return f"{', '.join(words)}, depth {profile.depth}"


def _looked_at() -> Iterator[Interface]:
    """What the page subscribes to while it is looked at."""
    topics = [*IMAGE_TOPICS.values(), *(_of_fusion(output.topic) for output in OUTPUTS.values())]
    for topic in topics:
        yield Interface(topic, IMAGE, _qos(NEWEST), "while a browser shows it", on_demand=True)


def _of_fusion(topic: str) -> str:
    """The name of the fusion node's topic for a node beside it."""
    return topic.replace("~", FUSION.name)


WEB_VIEWER = NodeReference(
    name="web_viewer",
    executable="web_viewer",
    summary="The inputs, the fusion and its diagnostics as a page in the browser: "
    "[The page in the browser](web_viewer.md). Topics of the fusion node are those of the one "
    "that `fusion_node` names.",
    subscribed=(
        *_looked_at(),
        Interface(_of_fusion(CLASSES_TOPIC), STRING, _qos(LATCHED), "the legend"),
        Interface(
            DIAGNOSTICS_TOPIC,
            DIAGNOSTICS,
            _qos(ALL_DIAGNOSTICS),
            "those of the fusion node; others are passed over",
        ),
    ),
    declarations=WEB_VIEWER_DECLARATIONS,
)

NODES = (FUSION, REPLAY, WEB_VIEWER)

HEAD = """\
# Topics, services and parameters

`make reference` wrote this page from the code, and a test compares it with the code and with
running nodes.

Names are relative to the node's namespace; `~` is the node's own name: `~/fused/image` is
`/uaafusion/fused/image`. With `input_transport: compressed` the image inputs are
`sensor_msgs/msg/CompressedImage` on `…/compressed`, added to the name after remapping.

The parameters `qos_overrides.TOPIC.subscription.POLICY` and `qos_overrides.TOPIC.publisher.POLICY`
change the QoS of image and camera_info topics by their resolved names: `reliability`, `durability`,
`history`, `depth`. Besides what stands here, each node has the parameters and services of every
ROS 2 node, and `uaafusion` those of a lifecycle node. How to use them:
[Operating the node](operating.md).
"""


def reference() -> str:
    """The page."""
    return "\n".join([HEAD, *(line for node in NODES for line in _section(node))])


def _section(node: NodeReference) -> Iterator[str]:
    yield f"## {node.name}\n"
    yield f"`ros2 run uaafusion_ros {node.executable}`. {node.summary}\n"
    for title, interfaces in (("Subscribed", node.subscribed), ("Published", node.published)):
        if interfaces:
            yield f"### {title} by {node.name}\n"
            rows = [(f"`{i.name}`", f"`{i.kind}`", i.qos, i.description) for i in interfaces]
            yield from markdown_table(("Topic", "Type", "QoS", ""), rows)
            yield ""
    if node.services:
        yield f"### Services of {node.name}\n"
        services = [(f"`{i.name}`", f"`{i.kind}`", i.description) for i in node.services]
        yield from markdown_table(("Service", "Type", ""), services)
        yield ""
    yield f"### Parameters of {node.name}\n"
    yield from markdown_table(
        ("Parameter", "Type", "Default", "Allowed", "Takes effect", ""),
        [_parameter(declaration) for declaration in node.declarations],
    )
    yield ""


def _parameter(declaration: Declaration) -> tuple[str, ...]:
    default = declaration.default
    kinds = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "double array"}
    if isinstance(default, tuple):
        shown = f"{len(default)} × {default[0]}"
    elif isinstance(default, bool):
        shown = str(default).lower()
    else:
        shown = str(default) if default != "" else '""'
    return (
        f"`{declaration.name}`",
        kinds[type(default)],
        f"`{shown}`",
        _allowed(declaration),
        EFFECT[declaration.fixed],
        declaration.description.replace("<", "&lt;").replace(">", "&gt;"),
    )


def _allowed(declaration: Declaration) -> str:
    if declaration.choices:
        return ", ".join(f"`{choice}`" for choice in declaration.choices)
    if declaration.limits is not None:
        low, high = declaration.limits
        return f"{low:.10g} to {high:.10g}"
    return ""


def main(arguments: Sequence[str]) -> None:
    """Writes the page to the file that the command line names."""
    (path,) = arguments
    Path(path).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
