"""`camera_replay`: two cameras that show stored images or the synthetic street."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from uaafusion_ros.node.accounting import STREAMS
from uaafusion_ros.node.declarations import ParameterError, declare_parameters, unknown_overrides
from uaafusion_ros.node.images import image_message
from uaafusion_ros.node.replay_parameters import REPLAY_DECLARATIONS
from uaafusion_ros.node.replay_schedule import Capture, captures
from uaafusion_ros.node.replay_sources import FolderSource, ImageSource, SourceError, StreetSource
from uaafusion_ros.node.subscribers import OVERRIDABLE
from uaafusion_ros.node.throttling import ThrottledWarnings

REPLAY_DEPTH = 10
"""Messages of a topic that its publisher keeps for a slow subscriber."""

SETTLING = 0.5
"""Seconds between the first sight of a subscriber and the first image: discovery is not symmetric,
the subscriber may still be looking for us."""


class _Shot(NamedTuple):
    capture: Capture
    message: Image | None
    """None where the image could not be read."""


class CameraReplay(Node):
    """Publishes ``infrared/…`` and ``visible/…`` as two cameras would.

    One thread reads or renders ahead, one publishes in time; the executor only serves parameters.
    A stamp is the time at which its image is taken: on schedule, give or take ``jitter``. The
    infrared camera's clock is ``offset`` ahead.

    Args:
        stop: called after the last image.

    Raises:
        ParameterError: a parameter cannot be used, or there are no images.
    """

    def __init__(self, stop: Callable[[], None], **kwargs: Any) -> None:
        super().__init__("camera_replay", **kwargs)
        declare_parameters(self, REPLAY_DECLARATIONS)
        self._values = {d.name: self.get_parameter(d.name).value for d in REPLAY_DECLARATIONS}
        self._source = self._open_source()
        self._stop_process = stop
        self._stopping = threading.Event()
        self._warn = ThrottledWarnings(lambda text: self.get_logger().warning(text))
        self.sent: Counter[str] = Counter()
        self._unreadable = 0
        self._summarised = False
        self._image_publishers = {
            stream: self._publisher(Image, f"{stream}/image_raw") for stream in STREAMS
        }
        self._info_publishers = {
            stream: self._publisher(CameraInfo, f"{stream}/camera_info") for stream in STREAMS
        }
        # Publishers declare their QoS overrides; what is unknown after them is a mistake.
        for sentence in unknown_overrides(self).values():
            self.get_logger().warning(sentence)
        self._ready: queue.Queue[_Shot | None] = queue.Queue(self._values["prepared_images"])
        self._threads = [
            threading.Thread(target=target, name=target.__name__, daemon=True)
            for target in (self._prepare, self._publish)
        ]
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float) -> bool:
        """Stops publishing and logs how many images were sent."""
        self._stopping.set()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
        self._summarise()
        return not any(thread.is_alive() for thread in self._threads)

    def _open_source(self) -> ImageSource:
        values = self._values
        try:
            if values["source"] == "street":
                return StreetSource(
                    values["height"], values["width"], values["condition"], values["seed"]
                )
            source = FolderSource(values["infrared_folder"], values["visible_folder"])
        except SourceError as error:
            raise ParameterError(str(error)) from error
        if source.unmatched:
            self.get_logger().warning(f"{source.unmatched} images without a partner are left out")
        return source

    def _publisher(self, message_type: type, topic: str) -> Any:
        return self.create_publisher(
            message_type,
            topic,
            QoSProfile(depth=REPLAY_DEPTH, reliability=QoSReliabilityPolicy.RELIABLE),
            qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
        )

    def _schedule(self) -> Any:
        values = self._values
        count = values["count"] or None
        if not values["loop"] and self._source.length is not None:
            count = min(count or self._source.length, self._source.length)
        return captures(
            values["rate"], values["infrared_rate"], values["jitter"], count, values["seed"]
        )

    def _prepare(self) -> None:
        """Reads or renders ahead of the publishing thread."""
        infrared_rate = self._values["infrared_rate"] or self._values["rate"]
        for capture in self._schedule():
            moment = capture.number
            if capture.stream == "infrared":
                moment = round(capture.number / infrared_rate * self._values["rate"])
            try:
                array = self._source.image(capture.stream, moment, capture.time)
                shot = _Shot(capture, image_message(array, _encoding(array), Header()))
            except SourceError as error:
                self._unreadable += 1
                self._warn("unreadable", f"image left out: {error}")
                shot = _Shot(capture, None)
            if not self._put(shot):
                return
        self._put(None)

    def _put(self, shot: _Shot | None) -> bool:
        """Puts into the bounded queue; False when the node stops meanwhile."""
        while not self._stopping.is_set():
            try:
                self._ready.put(shot, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def _publish(self) -> None:
        self._wait_until(lambda: self._ready.full() or not self._threads[0].is_alive(), None)
        self._wait_for_subscribers()
        if not self._stopping.is_set():
            self._publish_all()
        if not self._stopping.is_set():
            for publisher in self._image_publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=1))
            self._stopping.wait(0.2)  # best-effort subscribers acknowledge nothing
        self._summarise()
        self._stop_process()

    def _publish_all(self) -> None:
        start = time.monotonic()
        start_stamp = self.get_clock().now().nanoseconds
        while (shot := self._next()) is not None:
            late = time.monotonic() - start - shot.capture.time
            if late > 1.0 / self._values["rate"]:
                # Images that are ready too late are taken later: their stamps stay true.
                start += late
                start_stamp += round(late * 1e9)
                self._warn("slow", "images are not ready in time; lower rate, width or height")
            if self._stopping.wait(max(-late, 0.0)):
                return
            self._send(shot, start_stamp)

    def _next(self) -> _Shot | None:
        """The next image; None after the last or when the node stops."""
        while not self._stopping.is_set():
            try:
                return self._ready.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _send(self, shot: _Shot, start_stamp: int) -> None:
        if shot.message is None:
            return
        stream = shot.capture.stream
        offset = self._values["offset"] if stream == "infrared" else 0.0
        stamp = start_stamp + round((shot.capture.time + offset) * 1e9)
        shot.message.header.stamp = Time(nanoseconds=stamp).to_msg()
        shot.message.header.frame_id = f"{stream}_camera"
        # The description goes first, so that whoever has the image has its description too.
        info = CameraInfo()
        info.header = shot.message.header
        # Without intrinsics, which by CameraInfo's rules says: not calibrated.
        info.height, info.width = shot.message.height, shot.message.width
        self._info_publishers[stream].publish(info)
        self._image_publishers[stream].publish(shot.message)
        self.sent[stream] += 1

    def _wait_for_subscribers(self) -> None:
        longest = self._values["wait_for_subscribers"]
        if longest == 0.0:
            return
        publishers = self._image_publishers.values()
        seen = self._wait_until(
            lambda: all(publisher.get_subscription_count() for publisher in publishers), longest
        )
        if seen:
            self._stopping.wait(SETTLING)
        elif not self._stopping.is_set():
            self.get_logger().warning(f"nobody subscribed within {longest} s; sending all the same")

    def _wait_until(self, condition: Callable[[], bool], longest: float | None) -> bool:
        end = None if longest is None else time.monotonic() + longest
        while not self._stopping.is_set() and not condition():
            if end is not None and time.monotonic() > end:
                return False
            self._stopping.wait(0.05)
        return not self._stopping.is_set()

    def _summarise(self) -> None:
        if not self._summarised:
            self._summarised = True
            counts = {stream: self.sent[stream] for stream in STREAMS}
            summary = json.dumps({"sent": counts, "unreadable": self._unreadable})
            self.get_logger().info(f"summary {summary}")


def _encoding(array: np.ndarray) -> str:
    if array.ndim == 3:
        return "bgr8"
    return "mono8" if array.dtype == np.uint8 else "mono16"
