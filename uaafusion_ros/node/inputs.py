"""The node's input topics, from subscription to pair."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from uaafusion_ros.node.accounting import STREAMS, Accounting
from uaafusion_ros.node.camera_info import CAMERA_INFO_TOPICS
from uaafusion_ros.node.compressed_images import (
    COMPRESSED_SUFFIX,
    check_compressed,
    compressed_infrared_array,
    compressed_visible_array,
)
from uaafusion_ros.node.images import check_image, infrared_array, visible_array
from uaafusion_ros.node.pairing_filter import PairingFilter
from uaafusion_ros.node.parameters import NodeSettings
from uaafusion_ros.node.snapshot import Connection, Misses
from uaafusion_ros.node.subscribers import Subscriber, subscribe

if TYPE_CHECKING:
    from uaafusion_ros.node.worker import Decoders, FusionWorker

IMAGE_TOPICS = {"infrared": "infrared/image_raw", "visible": "visible/image_raw"}

RAW_DECODERS: Decoders = {"infrared": infrared_array, "visible": visible_array}
COMPRESSED_DECODERS: Decoders = {
    "infrared": compressed_infrared_array,
    "visible": compressed_visible_array,
}


class Inputs:
    """Subscriptions, pairing and where the pairs go.

    Args:
        warn: called with the kind of a warning and its text.
    """

    def __init__(
        self,
        node: Node,
        settings: NodeSettings,
        accounting: Accounting,
        warn: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._settings = settings
        self._accounting = accounting
        self._warn = warn
        self._compressed = settings.input_transport == "compressed"
        self.decoders = COMPRESSED_DECODERS if self._compressed else RAW_DECODERS
        # image_transport's rule: the topic is remapped first, the transport's name follows it.
        suffix = COMPRESSED_SUFFIX if self._compressed else ""
        self.topics = {
            stream: node.resolve_topic_name(topic) + suffix
            for stream, topic in IMAGE_TOPICS.items()
        }
        self._incompatible: dict[str, str] = {}
        self._subscribers: list[Subscriber] = []
        self._pairing: PairingFilter | None = None

    def open(self, worker: FusionWorker) -> None:
        """Subscribes; pairs go to ``worker``."""
        self._pairing = PairingFilter(
            self._node,
            self._settings,
            self._accounting,
            check_compressed if self._compressed else check_image,
            on_invalid=self._on_invalid,
            on_reset=partial(self._on_reset, worker),
        )
        self._pairing.registerCallback(worker.offer)
        message_type = CompressedImage if self._compressed else Image
        for stream in STREAMS:
            self._subscribers.append(
                subscribe(
                    self._node,
                    message_type,
                    self.topics[stream],
                    partial(self._pairing.add, stream=stream),
                    partial(self._on_incompatible_qos, stream),
                    partial(self._accounting.lost, stream),
                )
            )
        for stream, topic in CAMERA_INFO_TOPICS.items():
            take = partial(worker.set_camera_info, stream=stream)
            self._subscribers.append(subscribe(self._node, CameraInfo, topic, take))

    def close(self) -> None:
        """Unsubscribes; what still waited for a partner is counted."""
        for subscriber in self._subscribers:
            self._node.destroy_subscription(subscriber.sub)
        self._subscribers.clear()
        if self._pairing is not None:
            self._pairing.close()
            self._pairing = None

    def change(self, settings: NodeSettings) -> None:
        """Has ``settings`` used from the next message on."""
        if self._pairing is not None:
            self._pairing.change(settings)

    def connection(self, stream: str) -> Connection:
        """The stream's topic as the graph shows it now."""
        topic = self.topics[stream]
        publishers = self._node.count_publishers(topic)
        if publishers == 0:
            self._incompatible.pop(stream, None)  # it has gone
        return Connection(topic, publishers, self._incompatible.get(stream, ""))

    def misses(self) -> Misses:
        """See `PairingFilter.misses`."""
        return Misses() if self._pairing is None else self._pairing.misses()

    def _on_invalid(self, stream: str, error: str) -> None:
        self._warn(f"{stream} invalid", f"{stream} image dropped: {error}")

    def _on_reset(self, worker: FusionWorker) -> None:
        worker.forget()
        self._warn("reset", "stamps ran backwards; pairing and smoothing over time start anew")

    def _on_incompatible_qos(self, stream: str, policy: str) -> None:
        self._incompatible[stream] = policy
        self._warn(
            f"{stream} qos",
            f"a publisher of {self.topics[stream]} offers incompatible QoS ({policy}); set "
            f"qos_overrides.{self.topics[stream]}.subscription.{policy.lower()}",
        )
