"""`web_viewer`: the browser page as a node. It subscribes, and tells ROS its parameters alone.

Images are subscribed to only while a browser shows them, so that the fusion node computes what is
looked at and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from uaafusion_ros.node.compressed_images import COMPRESSED_SUFFIX
from uaafusion_ros.node.declarations import (
    ParameterError,
    declare_parameters,
    unknown_overrides,
)
from uaafusion_ros.node.diagnostics import Level, Status
from uaafusion_ros.node.diagnostics_message import DIAGNOSTICS_TOPIC
from uaafusion_ros.node.inputs import IMAGE_TOPICS
from uaafusion_ros.node.outputs import CLASSES_TOPIC
from uaafusion_ros.node.throttling import ThrottledWarnings
from uaafusion_ros.node.web_viewer_images import OUTPUTS, page_decoders
from uaafusion_ros.node.web_viewer_parameters import WEB_VIEWER_DECLARATIONS, page_settings
from uaafusion_ros.node.web_viewer_qos import ALL_DIAGNOSTICS, LATCHED, NEWEST
from uaafusion_ros.web.hub import Hub
from uaafusion_ros.web.serving import PageThread, ServingError

GRAPH_PERIOD = 1.0
"""Seconds between two looks at who publishes."""


class WebViewer(Node):
    """Subscriptions on this side, the page's thread on the other.

    Args:
        stop: has the process end.

    Raises:
        ParameterError: a parameter cannot be used, or the address is not free.
    """

    def __init__(self, stop: Callable[[], None], **kwargs: Any) -> None:
        super().__init__("web_viewer", **kwargs)
        cv2.setNumThreads(1)  # the other cores are the fusion's
        declare_parameters(self, WEB_VIEWER_DECLARATIONS)
        for sentence in unknown_overrides(self).values():
            self.get_logger().warning(sentence)
        fusion = self.resolve_topic_name(self.get_parameter("fusion_node").value)
        self._fusion, self._fusion_name = fusion, fusion.strip("/")
        self._transport = self.get_parameter("input_transport").value
        self._compressed = self._transport == "compressed"
        self._topics = self._picture_topics(fusion)
        self._wanted: frozenset[str] = frozenset()
        self._subscriptions_of: dict[str, Subscription] = {}
        self._page = self._open_page(fusion)
        self.create_subscription(
            DiagnosticArray, DIAGNOSTICS_TOPIC, self._on_diagnostics, ALL_DIAGNOSTICS
        )
        self.create_subscription(
            String, CLASSES_TOPIC.replace("~", fusion), self._on_classes, LATCHED
        )
        # The steady clock goes on where simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(GRAPH_PERIOD, self._look_at_graph, clock=steady)
        self._page.start()
        self.get_logger().info(f"the page of {fusion} is on {self._page.url}")

    def close(self, timeout: float) -> bool:
        """Ends the page; returns whether it has ended within ``timeout`` seconds."""
        return self._page.close(timeout)

    def _picture_topics(self, fusion: str) -> dict[str, str]:
        # image_transport's rule: the topic is remapped first, the transport's name follows it.
        suffix = COMPRESSED_SUFFIX if self._compressed else ""
        inputs = {
            stream: self.resolve_topic_name(topic) + suffix
            for stream, topic in IMAGE_TOPICS.items()
        }
        outputs = {
            picture: self.resolve_topic_name(output.topic.replace("~", fusion))
            for picture, output in OUTPUTS.items()
        }
        return inputs | outputs

    def _open_page(self, fusion: str) -> PageThread:
        settings = page_settings(self)
        logger = logging.Logger("web_viewer", logging.WARNING)
        logger.addHandler(_NodeLog(self))

        def make_hub() -> Hub:
            return Hub(settings, fusion, self._topics, page_decoders(), self._on_demand, logger)

        try:
            return PageThread(make_hub, settings.host, settings.port, logger)
        except ServingError as error:
            raise ParameterError(str(error)) from error

    def _on_demand(self, pictures: frozenset[str]) -> None:
        """Called in the page's thread; subscriptions are the executor's."""
        self._wanted = pictures
        if self.executor is not None:
            self.executor.create_task(self._follow_demand)

    def _follow_demand(self) -> None:
        wanted = self._wanted
        for picture in self._subscriptions_of.keys() - wanted:
            self.destroy_subscription(self._subscriptions_of.pop(picture))
        for picture in wanted - self._subscriptions_of.keys():
            is_input = picture in IMAGE_TOPICS
            self._subscriptions_of[picture] = self.create_subscription(
                CompressedImage if is_input and self._compressed else Image,
                self._topics[picture],
                partial(self._on_image, picture),
                NEWEST,
            )

    def _on_image(self, picture: str, message: Any) -> None:
        self._page.call(lambda hub: hub.take_image(picture, message))

    def _on_classes(self, message: String) -> None:
        self._page.call(lambda hub: hub.take_classes(message.data))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        statuses = []
        for told in message.status:
            owner, _, name = told.name.partition(": ")
            if owner.strip("/") == self._fusion_name:
                level = Level(min(told.level[0], Level.ERROR))  # STALE is an error to the page
                values = {pair.key: pair.value for pair in told.values}
                statuses.append(Status(name, level, told.message, values))
        if statuses:
            self._follow_transport(statuses)
            self._page.call(lambda hub: hub.take_statuses(statuses))

    def _follow_transport(self, statuses: Sequence[Status]) -> None:
        """Takes the inputs as raw or compressed images, as the fusion node does."""
        topics = (status.values["topic"] for status in statuses if "topic" in status.values)
        taken = {topic.endswith(COMPRESSED_SUFFIX) for topic in topics}
        if self._transport != "auto" or taken != {not self._compressed}:
            return
        self._compressed = not self._compressed
        self._topics.update(self._picture_topics(self._fusion))
        for stream in IMAGE_TOPICS.keys() & self._subscriptions_of.keys():
            self.destroy_subscription(self._subscriptions_of.pop(stream))
        self._follow_demand()

    def _look_at_graph(self) -> None:
        self._follow_demand()  # for what was wanted before the executor was there
        publishers = {
            picture: self.count_publishers(topic)
            for picture, topic in self._topics.items()
            if picture in self._subscriptions_of
        }
        self._page.call(lambda hub: hub.take_publishers(publishers))


class _NodeLog(logging.Handler):
    """What the web framework logs, in ROS's log, and not more of it than can be read."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._warn = ThrottledWarnings(lambda text: node.get_logger().warning(text))

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(str(record.msg), self.format(record))
