"""Plays the camera topics of recordings to the fusion node, stamps and pace as they were recorded.

    python -m uaafusion_ros.node.bag_player --bag BAG --infrared TOPIC --visible TOPIC

Messages are published byte for byte on ``infrared/image_raw`` and ``visible/image_raw``, with
``/compressed`` behind the name where they are compressed. The last line of the log counts them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from uaafusion_ros.node.leaving import leave_ros
from uaafusion_ros.node.stop_request import StopRequest, ignore_signals, on_signals
from uaafusion_ros.node.transport import use_image_transport

DEPTH = 30
SETTLING = 0.5
"""Seconds between the first sight of a subscriber and the first image."""


def main(args: Sequence[str] | None = None) -> int:
    """Plays until the recordings' end or a signal; returns the exit status."""
    options = _options(args)
    stop = StopRequest()
    on_signals(stop.set)
    use_image_transport()
    import rclpy
    from rclpy.duration import Duration
    from rclpy.node import Node
    from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import CompressedImage, Image

    from uaafusion_ros.bags import COMPRESSED
    from uaafusion_ros.node.compressed_images import COMPRESSED_SUFFIX
    from uaafusion_ros.offline.recordings import Recordings

    recordings = Recordings(options.bag)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("bag_player")
    # Latched, so that nothing is lost while DDS introduces the node to us.
    qos = QoSProfile(
        depth=DEPTH,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )
    publishers, streams = {}, {}
    for stream in ("infrared", "visible"):
        topic = getattr(options, stream)
        kind = recordings.topics[topic].type
        compressed = kind == COMPRESSED
        streams[topic, kind] = stream
        publishers[stream] = node.create_publisher(
            CompressedImage if compressed else Image,
            f"{stream}/image_raw" + (COMPRESSED_SUFFIX if compressed else ""),
            qos,
        )
    end = time.monotonic() + options.wait
    while time.monotonic() < end and not stop.wait(0.05):
        if all(publisher.get_subscription_count() for publisher in publishers.values()):
            break
    stop.wait(SETTLING)
    sent: Counter[str] = Counter()
    start: tuple[float, int] | None = None
    for raw in recordings.messages(streams.keys()):
        start = start or (time.monotonic(), raw.received)
        due = start[0] + (raw.received - start[1]) / 1e9 / options.rate
        if stop.wait(max(due - time.monotonic(), 0.0)):
            break
        stream = streams[raw.topic, raw.type]
        publishers[stream].publish(bytes(raw.data))
        sent[stream] += 1
    for publisher in () if stop.is_set() else publishers.values():
        publisher.wait_for_all_acked(Duration(seconds=5))
    counts = {stream: sent[stream] for stream in publishers}
    print(f"summary {json.dumps({'sent': counts, 'unreadable': 0})}", flush=True)
    leave_ros(node)
    ignore_signals()
    return 0


def _options(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bag_player", description="Plays recorded cameras")
    parser.add_argument("--bag", type=Path, action="append", required=True, help="a recording")
    parser.add_argument("--infrared", required=True, help="its infrared topic")
    parser.add_argument("--visible", required=True, help="its visible topic")
    parser.add_argument("--rate", type=float, default=1.0, help="factor of its pace")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for the node")
    return parser.parse_args(args)


if __name__ == "__main__":
    raise SystemExit(main())
