"""Writes rosbag2 recordings (MCAP) that ros2 bag, RViz and Foxglove open; needs no ROS."""

from __future__ import annotations

import functools
import queue
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from uaafusion_ros.bags import BagTopic

if TYPE_CHECKING:
    from rosbags.interfaces import Qos
    from rosbags.rosbag2 import Writer

BAG_VERSION: Final = 8
"""Of rosbag2's metadata: the newest that Humble and Iron read as well as Jazzy and later."""

METADATA = "metadata.yaml"
_UNFINISHED = ".unfinished"
_INFORMATION = "rosbag2_bagfile_information"
_UNKNOWN_DIGEST = "RIHS01_" + 64 * "0"
_WAITING = 64


def new_writer(folder: Path, custom_data: Mapping[str, str]) -> Writer:
    """An open writer of a compressed MCAP bag.

    Raises:
        OSError: the folder cannot be written.
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    writer = Writer(folder, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    for key, value in custom_data.items():
        writer.set_custom_data(key, value)
    writer.open()
    return writer


def offered_qos(*, latched: bool, depth: int = 10) -> Qos:
    """What ``ros2 bag play`` shall offer: reliable, and latched where the original was."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    unlimited = QosTime(0, 0)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=unlimited,
        lifespan=unlimited,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=unlimited,
        avoid_ros_namespace_conventions=False,
    )


class _Entry(NamedTuple):
    topic: tuple[str, str]
    received: int
    data: bytes


class SplitBag:
    """One file after the other of a recording, whose folder is a whole bag after each `close`.

    Messages are compressed and written in a thread of its own.

    Args:
        folder: of the recording; files in it are named NAME_0.mcap, NAME_1.mcap, …
        topics: all that may be written; those that never are, are left out.
        custom_data: for the metadata; the last file's stands.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, topics: list[BagTopic], custom_data: dict[str, str]) -> None:
        self._folder = folder
        self._custom_data = custom_data
        self._topics = {(topic.name, topic.type): topic for topic in topics}
        self._unfinished = folder / _UNFINISHED
        shutil.rmtree(self._unfinished, ignore_errors=True)
        number = len(list(folder.glob(f"{folder.name}_*.mcap")))
        self._part = self._unfinished / f"{folder.name}_{number}"
        self._writer = new_writer(self._part, custom_data)
        self._connections: dict[tuple[str, str], Any] = {}
        self._entries: queue.Queue[_Entry | None] = queue.Queue(_WAITING)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._write_all, name="bag", daemon=True)
        self._thread.start()

    def write(self, topic: tuple[str, str], received: int, data: bytes) -> None:
        """Take a serialised message over; waits while many wait to be written.

        Raises:
            OSError: an earlier one could not be written.
        """
        if self._failure is not None:
            raise OSError(f"{self._folder} cannot be written: {self._failure}") from self._failure
        self._entries.put(_Entry(topic, received, data))

    def close(self, custom_data: Mapping[str, str]) -> None:
        """Finish this file, and make it part of the recording.

        Raises:
            OSError: not everything could be written.
        """
        self._stop()
        if self._failure is not None:
            raise OSError(f"{self._folder} is incomplete: {self._failure}") from self._failure
        for key, value in custom_data.items():
            self._writer.set_custom_data(key, value)
        if self._connections:
            self._writer.close()
            file = self._part / f"{self._part.name}.mcap"
            shutil.move(file, self._folder / file.name)
            _join_metadata(self._folder / METADATA, self._part / METADATA)
        else:
            self._writer.abort()
            _change_metadata(self._folder / METADATA, custom_data)
        shutil.rmtree(self._unfinished)

    def abandon(self) -> None:
        """Leave the recording as it was before this file."""
        self._stop()
        self._writer.abort()
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def _stop(self) -> None:
        self._entries.put(None)
        self._thread.join()

    def _write_all(self) -> None:
        while (entry := self._entries.get()) is not None:
            if self._failure is not None:
                continue  # so that nobody waits for room
            try:
                self._writer.write(self._connection(entry.topic), entry.received, entry.data)
            except Exception as error:  # a full disk, for one
                self._failure = error

    def _connection(self, key: tuple[str, str]) -> Any:
        if key not in self._connections:
            topic = self._topics[key]
            definition, digest = described_type(topic)
            self._connections[key] = self._writer.add_connection(
                topic.name,
                topic.type,
                msgdef=definition,
                rihs01=digest,
                offered_qos_profiles=list(topic.qos),
            )
        return self._connections[key]


def described_type(topic: BagTopic) -> tuple[str, str]:
    """Definition and hash of a topic's type: the recording's own, or those of the usual types.

    Old recordings describe no types. What nobody knows is recorded all the same, without.
    """
    definition, digest = _known_type(topic.type)
    return topic.definition or definition, topic.digest or digest


@functools.cache
def _known_type(name: str) -> tuple[str, str]:
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.LATEST)
    if name not in store.types:
        return "", _UNKNOWN_DIGEST
    return store.generate_msgdef(name, ros_version=2)[0], store.hash_rihs01(name)


def read_custom_data(folder: Path) -> dict[str, str]:
    """What a recording's metadata says besides rosbag2's own; empty where it says nothing."""
    try:
        return _load(folder / METADATA)[_INFORMATION].get("custom_data") or {}
    except Exception:  # no recording, or none that is whole
        return {}


def unfinished_only(folder: Path) -> bool:
    """Whether a folder holds nothing but a file that was never finished."""
    return [path.name for path in folder.iterdir()] == [_UNFINISHED]


def _join_metadata(whole: Path, part: Path) -> None:
    """Adds the newest file's metadata to the recording's."""
    if not whole.exists():
        shutil.move(part, whole)
        return
    content, new = _load(whole), _load(part)
    own, other = content[_INFORMATION], new[_INFORMATION]
    starts = [entry["starting_time"]["nanoseconds_since_epoch"] for entry in (own, other)]
    ends = [
        start + entry["duration"]["nanoseconds"]
        for start, entry in zip(starts, (own, other), strict=True)
    ]
    own["starting_time"]["nanoseconds_since_epoch"] = min(starts)
    own["duration"]["nanoseconds"] = max(ends) - min(starts)
    own["message_count"] += other["message_count"]
    own["relative_file_paths"] += other["relative_file_paths"]
    own["files"] += other["files"]
    own["custom_data"] = other["custom_data"]
    counted = {_key(entry): entry for entry in own["topics_with_message_count"]}
    for entry in other["topics_with_message_count"]:
        if _key(entry) in counted:
            counted[_key(entry)]["message_count"] += entry["message_count"]
        else:
            own["topics_with_message_count"].append(entry)
    _dump(content, whole)


def _change_metadata(whole: Path, custom_data: Mapping[str, str]) -> None:
    if whole.exists():
        content = _load(whole)
        content[_INFORMATION]["custom_data"] = dict(custom_data)
        _dump(content, whole)


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["topic_metadata"]["name"], entry["topic_metadata"]["type"]


def _load(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def _dump(content: dict[str, Any], path: Path) -> None:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    temporary.replace(path)
