"""Looks at the running system for `uaafusion doctor`: topics, QoS, images, diagnostics."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible, qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image

from uaafusion_ros.bag_topics import ImageTopic, guess_topics
from uaafusion_ros.doctor import graph
from uaafusion_ros.doctor.graph import Endpoint, GraphReport, Mismatch, StreamReport
from uaafusion_ros.node.accounting import STREAMS
from uaafusion_ros.node.compressed_images import check_compressed
from uaafusion_ros.node.images import ImageError, check_image
from uaafusion_ros.node.transport import use_image_transport
from uaafusion_ros.stamps import stamp_of

DISCOVERY = 2.0
"""Seconds in which nodes find each other, on a busy machine too."""

FUSION_NODE = "/uaafusion"
_TYPES = {
    "sensor_msgs/msg/Image": (Image, check_image),
    "sensor_msgs/msg/CompressedImage": (CompressedImage, check_compressed),
}


def probe(infrared: str, visible: str, seconds: float) -> GraphReport:
    """Listen to the cameras and the fusion node for some seconds.

    Args:
        infrared, visible: image topics; "" takes those that the fusion node subscribes to, or
            tells them by their names.
    """
    try:
        use_image_transport()
    except FileNotFoundError as problem:
        print(f"images may get lost: {problem}", file=sys.stderr)
    context = rclpy.Context()
    rclpy.init(context=context, args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("uaafusion_doctor", context=context, enable_rosout=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        return _Probe(node, executor, seconds).report({"infrared": infrared, "visible": visible})
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


class _Probe:
    def __init__(self, node: Node, executor: SingleThreadedExecutor, seconds: float) -> None:
        self._node, self._executor = node, executor
        self._report = GraphReport(seconds, rclpy.get_rmw_implementation_identifier())

    def report(self, wanted: dict[str, str]) -> GraphReport:
        report = self._report
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._spin(DISCOVERY)
        report.nodes = [
            f"{namespace.rstrip('/')}/{name}"
            for name, namespace in self._node.get_node_names_and_namespaces()
        ]
        self._find_topics()
        for name, topic in self._choose(wanted).items():
            report.streams[name] = StreamReport(topic, self._publishers(topic))
            self._listen(report.streams[name])
        self._spin(report.seconds)
        for stream in report.streams.values():
            stream.publishers = self._publishers(stream.topic)
        report.mismatches = self._mismatches()
        return report

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def _find_topics(self) -> None:
        for name, kinds in self._node.get_topic_names_and_types():
            publishers = self._node.count_publishers(name)
            for kind in kinds:
                if kind in _TYPES and publishers and not name.startswith(f"{FUSION_NODE}/"):
                    self._report.image_topics[name] = kind, publishers

    def _choose(self, wanted: dict[str, str]) -> dict[str, str]:
        """The topic of each stream, as far as it can be told."""
        subscribed = {
            name
            for name in self._report.image_topics
            if any(
                _full_name(info) == FUSION_NODE
                for info in self._node.get_subscriptions_info_by_topic(name)
            )
        }
        topics = self._report.image_topics
        for names in (subscribed, topics.keys()):
            known = [ImageTopic(name, topics[name][0], 1) for name in names]
            guessed = dict(zip(STREAMS, guess_topics(known), strict=True))
            if all(guessed.values()):
                break
        chosen = {stream: wanted[stream] or guessed[stream] for stream in STREAMS}
        return {stream: topic for stream, topic in chosen.items() if topic}

    def _listen(self, stream: StreamReport) -> None:
        # Best effort and volatile: whatever a camera offers, this takes it.
        for kind in {publisher.type for publisher in stream.publishers} & _TYPES.keys():
            message_type, check = _TYPES[kind]
            self._node.create_subscription(
                message_type,
                stream.topic,
                partial(self._on_image, stream, check),
                qos_profile_sensor_data,
            )

    def _on_image(self, stream: StreamReport, check: Any, message: Any) -> None:
        try:
            check(message)
            fault = ""
        except ImageError as problem:
            fault = str(problem)
        stream.images.append(
            graph.Image(
                stamp=stamp_of(message),
                received=self._node.get_clock().now().nanoseconds,
                width=getattr(message, "width", 0),
                height=getattr(message, "height", 0),
                encoding=getattr(message, "encoding", "") or getattr(message, "format", ""),
                error=fault,
            )
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            owner, _, name = status.name.partition(": ")
            if f"/{owner}" == FUSION_NODE:
                self._report.statuses[f"node: {name}"] = status.level[0], status.message

    def _publishers(self, topic: str) -> list[Endpoint]:
        return [_endpoint(info) for info in self._node.get_publishers_info_by_topic(topic)]

    def _mismatches(self) -> list[Mismatch]:
        topics = {stream.topic for stream in self._report.streams.values()} | {
            name
            for name, _ in self._node.get_topic_names_and_types()
            if name.startswith(f"{FUSION_NODE}/")
        }
        found = []
        for topic in sorted(topics):
            for publisher in self._node.get_publishers_info_by_topic(topic):
                for subscriber in self._node.get_subscriptions_info_by_topic(topic):
                    offered, asked = publisher.qos_profile, subscriber.qos_profile
                    verdict, reason = qos_check_compatible(_plain(offered), _plain(asked))
                    if verdict == QoSCompatibility.ERROR:
                        ends = _endpoint(publisher), _endpoint(subscriber)
                        words = str(reason).strip("; ").removeprefix("ERROR: ")
                        found.append(Mismatch(topic, *ends, words))
        return found


def _plain(profile: QoSProfile) -> QoSProfile:
    """Reliability and durability alone; the graph does not tell history and depth."""
    return QoSProfile(depth=1, reliability=profile.reliability, durability=profile.durability)


def _endpoint(info: Any) -> Endpoint:
    profile = info.qos_profile
    return Endpoint(
        _full_name(info), info.topic_type, profile.reliability.name, profile.durability.name
    )


def _full_name(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
