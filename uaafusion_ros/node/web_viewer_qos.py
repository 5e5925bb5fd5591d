"""With which QoS `web_viewer` subscribes. Free of the page, so that the reference can name it."""

from __future__ import annotations

from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

NEWEST = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
"""For images: nothing waits for us, and we want none but the last."""

ALL_DIAGNOSTICS = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.BEST_EFFORT)
"""Those of the other nodes of the robot stand on the same topic."""

LATCHED = QoSProfile(
    depth=1,
    reliability=QoSReliabilityPolicy.RELIABLE,
    durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
)
"""For the class list, which is told once."""
