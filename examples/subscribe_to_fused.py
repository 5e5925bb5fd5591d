"""Subscribes to the fused image and the mask, and says what is in them.

    python examples/subscribe_to_fused.py [--once]

The node `uaafusion` must be running. It computes only what somebody subscribes to.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String

from uaafusion_ros.node.transport import use_image_transport


class Listener(Node):
    """Prints a line for every fused image and every mask."""

    def __init__(self, once: bool) -> None:
        super().__init__("listener")
        self._once = once
        self._told: set[str] = set()
        self._classes: dict[int, str] = {}
        # Latched: whoever comes late gets it too, if it asks for transient local.
        latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(
            String, "/uaafusion/segmentation/classes", self._on_classes, latched
        )
        for topic, take in (("fused/image", self._on_fused), ("segmentation/mask", self._on_mask)):
            # Best effort: a late image is no use, and every publisher serves it.
            self.create_subscription(Image, f"/uaafusion/{topic}", take, qos_profile_sensor_data)

    def _on_classes(self, message: String) -> None:
        self._classes = {c["id"]: c["name"] for c in json.loads(message.data)["classes"]}

    def _on_fused(self, message: Image) -> None:
        # bgr8 without padding, as all of the node's outputs: a view, no copy.
        picture = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        stamp = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        self._tell("fused", f"of {stamp:.3f}: {picture.shape}, mean {picture.mean():.0f}")

    def _on_mask(self, message: Image) -> None:
        if not self._classes:
            return  # the names have not come yet
        ids, counts = np.unique(np.frombuffer(message.data, np.uint8), return_counts=True)
        shares = sorted(zip(counts / counts.sum(), ids, strict=True), reverse=True)[:3]
        self._tell("mask", ", ".join(f"{self._classes[i]} {share:.0%}" for share, i in shares))

    def _tell(self, what: str, text: str) -> None:
        print(f"{what}: {text}", flush=True)
        self._told.add(what)
        if self._once and len(self._told) == 2:  # topics do not come in any order
            sys.exit()


def main() -> None:
    """Listen until Ctrl-C, or with --once until both have come."""
    use_image_transport()  # room for images; before rclpy.init
    rclpy.init()
    try:
        rclpy.spin(Listener("--once" in sys.argv[1:]))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
