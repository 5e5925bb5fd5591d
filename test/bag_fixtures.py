"""Real rosbag2 recordings of the synthetic street, written by rosbags."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from uaafusion_ros.scenes.street import StreetFrame, StreetScene

STORE = get_typestore(Stores.ROS2_HUMBLE)
START = 1_700_000_000 * 10**9
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


@cache
def street(time: float) -> StreetFrame:
    """What the cameras see after some seconds, 96x72."""
    return StreetScene(72, 96, "day").frame(time)


def header(stamp: int):
    time = STORE.types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return STORE.types["std_msgs/msg/Header"](time, "camera")


def raw(stamp: int, image: np.ndarray, encoding: str):
    pixels = np.ascontiguousarray(image)
    return STORE.types[RAW](
        header=header(stamp),
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.view(np.uint8).ravel(),
    )


def compressed(stamp: int, image: np.ndarray, suffix: str):
    data = cv2.imencode(f".{suffix}", image)[1].ravel()
    return STORE.types[COMPRESSED](header=header(stamp), format=suffix, data=data)


def packed(received: int, topic: str, message) -> tuple[int, str, str, bytes]:
    """A message as a bag holds it."""
    kind = message.__msgtype__
    return received, topic, kind, bytes(STORE.serialize_cdr(message, kind))


class StreetBag:
    """Collects messages, and writes them in the order of their receipt."""

    def __init__(self, path: Path, storage: str = "mcap") -> None:
        self.path, self.storage = path, storage
        self.messages: list[tuple[int, str, str, bytes]] = []

    def add(self, topic: str, received: int, message) -> None:
        self.messages.append(packed(received, topic, message))

    def write(self, compression: CompressionMode = CompressionMode.NONE) -> Path:
        plugin = StoragePlugin[self.storage.upper()]
        writer = Writer(self.path, version=9, storage_plugin=plugin)
        writer.set_compression(compression, CompressionFormat.ZSTD)
        with writer:
            connections: dict = {}
            for received, topic, kind, data in sorted(self.messages, key=lambda entry: entry[:2]):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(connections[topic], received, data)
        return self.path


def street_bag(
    path: Path,
    storage: str = "mcap",
    *,
    transport: str = "raw",
    seconds: float = 4.0,
    infrared_rate: float = 5.0,
    visible_rate: float = 10.0,
    standing_from: float = float("inf"),
) -> StreetBag:
    """A drive in which the infrared camera is the slower one and 4 ms behind the visible one.

    From `standing_from` seconds on the car stands. Infrared is 16-bit; images are 96x72 and 64x48.
    """
    bag = StreetBag(path, storage)
    suffix = "" if transport == "raw" else "/compressed"
    for index in range(round(seconds * visible_rate)):
        stamp = START + round(index / visible_rate * 1e9)
        frame = street(min(index / visible_rate, standing_from))
        message = (
            compressed(stamp, frame.visible, "jpg") if suffix else raw(stamp, frame.visible, "bgr8")
        )
        bag.add(f"/camera/image_raw{suffix}", stamp + 10_000_000, message)
        if index % round(visible_rate / infrared_rate):
            continue
        counts = 7000 + 10 * cv2.resize(frame.infrared, (64, 48)).astype(np.uint16)
        stamp += 4_000_000
        message = compressed(stamp, counts, "png") if suffix else raw(stamp, counts, "mono16")
        bag.add(f"/thermal/image_raw{suffix}", stamp + 10_000_000, message)
    return bag
