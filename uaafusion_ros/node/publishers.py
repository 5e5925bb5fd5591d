"""The node's output topics: what is asked for, and publishing it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

from uaafusion_ros.inference.frames import FusionResult
from uaafusion_ros.node.camera_info import fused_camera_info
from uaafusion_ros.node.images import image_message
from uaafusion_ros.node.outputs import CLASSES_TOPIC, OUTPUT_DEPTH, Output, classes_json, picture
from uaafusion_ros.node.subscribers import OVERRIDABLE, PublisherEventCallbacks


@dataclass(frozen=True)
class FrameOrigin:
    """Where a fused frame comes from."""

    header: Header
    """The visible frame's header: all outputs carry it."""

    height: int
    width: int
    camera_info: CameraInfo | None


class Publishers:
    """Lifecycle publishers of all outputs.

    Args:
        node: owns them; they publish while it is active.
        classes: class names in the order of their ids.
        palette: one RGB colour a class.
    """

    def __init__(
        self,
        node: LifecycleNode,
        classes: Sequence[str],
        palette: Sequence[tuple[int, int, int]],
    ) -> None:
        self._node = node
        self._described = tuple(classes), tuple(palette)
        self._refused: dict[Output, str] = {}
        # Reliable: RViz and recorders that ask for reliable topics would get nothing otherwise,
        # and best-effort subscribers are served all the same.
        self._publishers = {
            output: node.create_lifecycle_publisher(
                CameraInfo if output is Output.CAMERA_INFO else Image,
                output.topic,
                QoSProfile(depth=OUTPUT_DEPTH, reliability=QoSReliabilityPolicy.RELIABLE),
                qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
                event_callbacks=PublisherEventCallbacks(
                    incompatible_qos=partial(self._on_incompatible_qos, output)
                ),
            )
            for output in Output
        }
        self._classes_publisher = node.create_lifecycle_publisher(
            String,
            CLASSES_TOPIC,
            QoSProfile(
                depth=1,
                reliability=QoSReliabilityPolicy.RELIABLE,
                durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
            ),
        )

    def subscribers(self) -> dict[str, int]:
        """Number of subscribers of each frame topic, by resolved name."""
        return {
            publisher.topic_name: publisher.get_subscription_count()
            for publisher in self._publishers.values()
        }

    def unserved(self) -> dict[str, str]:
        """Topics with a subscriber of incompatible QoS, and the policy in which it differs."""
        topics = {}
        for output, policy in list(self._refused.items()):
            publisher = self._publishers[output]
            # The graph shows all who subscribe, the publisher knows those that it serves.
            wanted = self._node.count_subscribers(publisher.topic_name)
            if wanted > publisher.get_subscription_count():
                topics[publisher.topic_name] = policy
            else:
                del self._refused[output]
        return topics

    def requested(self, *, camera_info: bool) -> frozenset[Output]:
        """Outputs that somebody subscribes to and that can be made now.

        Args:
            camera_info: whether the visible camera's description is known.
        """
        return frozenset(
            output
            for output, publisher in self._publishers.items()
            if publisher.get_subscription_count() > 0
            and (camera_info or output is not Output.CAMERA_INFO)
        )

    def publish_classes(self) -> None:
        """Latches names and colours of the classes, as JSON, for all who read masks."""
        self._classes_publisher.publish(String(data=classes_json(*self._described)))

    def describe(self, classes: Sequence[str], palette: Sequence[tuple[int, int, int]]) -> None:
        """Follows another model: the masks take its colours, and if the list differs it is latched.

        Called between the last mask of the old model and the first of the new one.
        """
        before, self._described = self._described, (tuple(classes), tuple(palette))
        if self._described != before:
            self.publish_classes()

    def publish(
        self,
        requested: Collection[Output],
        result: FusionResult | None,
        origin: FrameOrigin,
        opacity: float,
    ) -> None:
        """Makes and publishes the requested outputs of one frame.

        Args:
            requested: from `requested`.
            result: has at least the products of ``requested``; None if they need none.
            opacity: 0..1, of the class colours in the overlay.
        """
        if Output.CAMERA_INFO in requested and origin.camera_info is not None:
            self._publishers[Output.CAMERA_INFO].publish(
                fused_camera_info(origin.camera_info, origin.header, origin.height, origin.width)
            )
        if result is None:
            return
        for output in requested:
            message = self._message(output, result, origin.header, opacity)
            if message is not None:
                self._publishers[output].publish(message)

    def destroy(self) -> None:
        """Takes all topics off the graph."""
        for publisher in (*self._publishers.values(), self._classes_publisher):
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()
        self._refused.clear()

    def _on_incompatible_qos(self, output: Output, event: Any) -> None:
        self._refused[output] = qos_policy_name_from_kind(event.last_policy_kind)

    def _message(
        self, output: Output, result: FusionResult, header: Header, opacity: float
    ) -> Image | None:
        _, palette = self._described
        made = picture(output, result, palette, opacity)
        return None if made is None else image_message(*made, header)
