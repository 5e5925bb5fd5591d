"""Stamped images from rosbag2 recordings (SQLite and MCAP), raw and compressed; needs no ROS.

    bag = Bag(Path("evening"))
    for image in bag.images(("/thermal/image_raw", "/camera/image_raw/compressed")):
        ...
    bag.damage                 # what of the recording could not be read

A damaged recording is read up to the damage.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from uaafusion_ros.bag_salvage import BagDamageError, Description, RawMessage, salvage
from uaafusion_ros.bag_topics import ImageTopic
from uaafusion_ros.node.compressed_images import (
    check_compressed,
    compressed_infrared_array,
    compressed_visible_array,
)
from uaafusion_ros.node.images import check_image, infrared_array, visible_array
from uaafusion_ros.stamps import stamp_of

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
STORAGE_SUFFIXES = (".mcap", ".db3")

CHECKS: dict[str, Callable[[Any], None]] = {RAW: check_image, COMPRESSED: check_compressed}
"""By message type: raises `ImageError` for fields that contradict each other."""

DECODERS: dict[tuple[str, str], Callable[[Any], np.ndarray]] = {
    ("infrared", RAW): infrared_array,
    ("visible", RAW): visible_array,
    ("infrared", COMPRESSED): compressed_infrared_array,
    ("visible", COMPRESSED): compressed_visible_array,
}
"""By stream and message type: message to array as the node does it; raises `ImageError`."""


class BagError(OSError):
    """A recording that cannot be opened at all: what was found and what was expected."""


@dataclass(frozen=True)
class BagTopic:
    """A topic of any type, with what another bag needs to hold it.

    definition: of the message type, as .msg or IDL text; empty where the recording lacks it.
    digest: its type hash, empty where the recording lacks it. qos: rosbags' ``Qos``, as offered.
    """

    name: str
    type: str
    count: int
    definition: str = ""
    digest: str = ""
    qos: tuple[Any, ...] = ()


@dataclass(frozen=True)
class BagImage:
    """A message of an image topic, in the order of the recording.

    ``message`` has the fields of ``type``, and is None where ``error`` says why it is unreadable.
    """

    topic: str
    type: str
    message: Any
    error: str = ""
    received: int = 0
    """When it was recorded, in nanoseconds."""

    @property
    def stamp(self) -> int:
        """The header's stamp in nanoseconds."""
        return stamp_of(self.message)


class Bag:
    """One recording: rosbag2's folder, or a single storage file.

    Attributes:
        topics: its image topics by name.
        described: all its topics, by name and type.
        damage: what could not be read; complete once `images` has been read to its end.

    Raises:
        BagError: there is no recording, or nothing in it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str]
        self._parts, self.damage = _parts(path)
        self.described: dict[tuple[str, str], BagTopic] = {}
        for part in self._parts:
            try:
                for topic in part.topics():
                    key = topic.name, topic.type
                    known = self.described.get(key, replace(topic, count=0))
                    self.described[key] = replace(known, count=known.count + topic.count)
            except BagDamageError as damage:
                self._note(damage)
        self.topics = {
            topic.name: ImageTopic(topic.name, topic.type, topic.count)
            for topic in self.described.values()
            if topic.type in CHECKS
        }
        if self.damage and not self.described:
            raise BagError(f"{path} has nothing readable: {'; '.join(self.damage)}")

    def images(self, topics: Collection[str]) -> Iterator[BagImage]:
        """Messages of the given image topics; a damaged part ends early and the next follows."""
        keys = {(name, self.topics[name].type) for name in topics}
        for raw in self.messages(keys):
            yield deserialised_image(raw)

    def messages(self, topics: Collection[tuple[str, str]] | None = None) -> Iterator[RawMessage]:
        """Messages as they were recorded, of the given topics (name and type) or all of them."""
        keys = set(self.described if topics is None else topics)
        found: Counter[tuple[str, str]] = Counter()
        for part in self._parts:
            try:
                for raw in part.messages(keys):
                    found[raw.topic, raw.type] += 1
                    yield raw
            except BagDamageError as damage:
                self._note(damage)
        for key in sorted(keys):
            if found[key] < self.described[key].count and not self.damage:
                self.damage.append(
                    f"{self.path}: {found[key]} messages on {key[0]}, but its description says "
                    f"{self.described[key].count}"
                )

    def _note(self, damage: BagDamageError) -> None:
        if str(damage) not in self.damage:
            self.damage.append(str(damage))


class _Whole:
    """A recording that rosbags opens."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def topics(self) -> list[BagTopic]:
        with _reader()(self._path) as reader:
            return [
                BagTopic(
                    connection.topic,
                    connection.msgtype,
                    connection.msgcount,
                    connection.msgdef.data,
                    connection.digest,
                    tuple(connection.ext.offered_qos_profiles),
                )
                for connection in reader.connections
            ]

    def messages(self, keys: Collection[tuple[str, str]]) -> Iterator[RawMessage]:
        try:
            with _reader()(self._path) as reader:
                wanted = [
                    connection
                    for connection in reader.connections
                    if (connection.topic, connection.msgtype) in keys
                ]
                if not wanted:  # an empty choice would mean all to rosbags
                    return
                for connection, received, data in reader.messages(wanted):
                    yield RawMessage(connection.topic, connection.msgtype, received, data)
        except Exception as error:  # rosbags', the decompressors' and SQLite's
            raise BagDamageError(f"{self._path}: {type(error).__name__}: {error}") from error


class _Damaged:
    """A storage file that rosbags refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def topics(self) -> list[BagTopic]:
        from rosbags.rosbag2.metadata import parse_qos

        counts: Counter[tuple[str, str]] = Counter()
        described: dict[tuple[str, str], Description] = {}
        try:
            for message in salvage(self._path, described):
                counts[message.topic, message.type] += 1
        except BagDamageError:
            if not counts:
                raise
        return [
            BagTopic(
                *key, count, described[key].definition, "", tuple(parse_qos(described[key].qos))
            )
            for key, count in counts.items()
        ]

    def messages(self, keys: Collection[tuple[str, str]]) -> Iterator[RawMessage]:
        for message in salvage(self._path):
            if (message.topic, message.type) in keys:
                yield message


def _parts(path: Path) -> tuple[list[_Whole | _Damaged], list[str]]:
    """What a recording consists of, and what can be told to be missing already."""
    if not path.exists():
        raise BagError(f"{path} does not exist; expected a rosbag2 folder, .mcap or .db3 file")
    if path.is_file() and path.suffix not in STORAGE_SUFFIXES:
        raise BagError(
            f"{path} is no rosbag2 recording; expected a folder, .mcap or .db3 file (a ROS 1 .bag "
            "is converted by rosbags-convert)"
        )
    refusal = _refusal(path)
    if not refusal:
        return [_Whole(path)], _unmerged(path)
    if path.is_file():
        return [_Damaged(path)], _unmerged(path)
    files = sorted(
        (file for file in path.iterdir() if file.suffix in STORAGE_SUFFIXES), key=_natural_order
    )
    if not files:
        raise BagError(f"{path} has no readable .mcap or .db3 file: {refusal}")
    parts = [_Damaged(file) if _refusal(file) else _Whole(file) for file in files]
    notes = _unmerged(path)
    whole = all(isinstance(part, _Whole) for part in parts)
    if whole and (path / "metadata.yaml").exists():
        notes.append(f"{path}: {refusal}; read its {len(files)} storage files one by one")
    return parts, notes


def _refusal(path: Path) -> str:
    """Why rosbags does not open a recording; empty when it does."""
    reader = _reader()
    try:
        with reader(path):
            return ""
    except Exception as error:  # a damaged file makes the parsers fail in any way
        return str(error) or type(error).__name__


def _unmerged(path: Path) -> list[str]:
    """Journals of recorders that were killed; readers of the SQLite file alone miss them."""
    files = path.glob("*.db3-wal") if path.is_dir() else [path.with_name(f"{path.name}-wal")]
    return [
        f"{file} holds messages that are not in the recording yet; opening it with sqlite3 for "
        "writing merges them"
        for file in files
        if file.is_file() and file.stat().st_size
    ]


def _reader() -> Any:
    try:
        from rosbags.rosbag2 import Reader
    except ImportError as error:
        text = "reading recordings needs rosbags: pip install 'uaafusion_ros[bags]'"
        raise BagError(text) from error
    return Reader


@functools.cache
def typestore() -> Any:
    """Message types for the images, rosbags' ``Typestore``."""
    # Image messages are the same in all releases, and old SQLite bags do not describe their types.
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_HUMBLE)


def deserialised_image(raw: RawMessage) -> BagImage:
    """A recorded image message with its fields, or with the reason why it has none."""
    try:
        message = typestore().deserialize_cdr(raw.data, raw.type)
    except Exception as error:  # a corrupt message makes the parser fail in any way
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        text = f"{len(raw.data)} bytes unreadable ({text})"
        return BagImage(raw.topic, raw.type, None, text, raw.received)
    return BagImage(raw.topic, raw.type, message, received=raw.received)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sorts bag_10 after bag_9."""
    return [
        (int(part or 0), "") if part.isdigit() else (0, part)
        for part in re.split(r"(\d+)", path.name)
    ]
