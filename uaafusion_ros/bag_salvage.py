"""Reads what can be read of a rosbag2 storage file that rosbags refuses.

A recorder that was killed, or a disk that filled up, leaves an MCAP file without the index at its
end or an SQLite file shorter than its header says. The messages before that point are whole.

MCAP: https://mcap.dev/spec. SQLite: `PRAGMA writable_schema` is what its own `.recover` relies on.
"""

from __future__ import annotations

import importlib
import io
import sqlite3
import struct
import zlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote

MCAP_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
_QOS = "offered_qos_profiles"
_ZSTD_MODULES = ("compression.zstd", "backports.zstd", "zstandard")


class BagDamageError(Exception):
    """A bag cannot be read from here on; raised after all messages before the damage."""


class RawMessage(NamedTuple):
    """A message as it was recorded; ``received`` in nanoseconds, ``data`` in CDR."""

    topic: str
    type: str
    received: int
    data: bytes


class Description(NamedTuple):
    """What a storage file says of a topic: definition of its type, offered QoS as YAML."""

    definition: str = ""
    qos: str = ""


Described = MutableMapping[tuple[str, str], Description]
"""By name and type of the topic."""


def salvage(path: Path, described: Described | None = None) -> Iterator[RawMessage]:
    """Messages of a storage file (``.mcap`` or ``.db3``), in the order they were written.

    Args:
        described: is told of every topic before its first message comes.

    Raises:
        BagDamageError: where the file cannot be read any further, with what was found there.
    """
    scan = {".mcap": _salvage_mcap, ".db3": _salvage_sqlite}.get(path.suffix)
    if scan is None:
        raise BagDamageError(f"{path} is neither .mcap nor .db3; decompress it first")
    try:
        yield from scan(path, {} if described is None else described)
    except (OSError, sqlite3.Error, struct.error, UnicodeDecodeError) as error:
        raise BagDamageError(f"{path}: {error}") from error


def _salvage_mcap(path: Path, described: Described) -> Iterator[RawMessage]:
    with path.open("rb") as file:
        if file.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
            raise BagDamageError(f"{path} does not begin like an MCAP file")
        yield from _McapScan(path, described).records(file, path.stat().st_size)


class _McapScan:
    """One pass over the records of an MCAP file."""

    def __init__(self, path: Path, described: Described) -> None:
        self._path = path
        self._described = described
        self._types: dict[int, tuple[str, str]] = {}
        self._channels: dict[int, tuple[str, str]] = {}

    def records(self, file: BinaryIO, end: int) -> Iterator[RawMessage]:
        """Messages from here to the data section's end, those in chunks included."""
        while True:
            position = file.tell()
            head = file.read(9)
            if len(head) < 9:
                raise self._damage(position, end, "the recording ends without its index")
            opcode, length = struct.unpack("<BQ", head)
            if opcode == _DATA_END:
                return
            if opcode == _CHUNK:
                yield from self._chunk(file, length, end)
                continue
            if length > end - file.tell():
                raise self._damage(position, end, f"a record of {length} bytes is cut off")
            if opcode == _MESSAGE:
                yield from self._message(file.read(length))
            elif opcode in (_SCHEMA, _CHANNEL):
                self._define(opcode, file.read(length))
            else:
                file.seek(length, io.SEEK_CUR)

    def _chunk(self, file: BinaryIO, length: int, end: int) -> Iterator[RawMessage]:
        position = file.tell()
        _, _, size, checksum, name_length = struct.unpack("<QQQII", file.read(32))
        compression = file.read(min(name_length, 16)).decode()
        (stored,) = struct.unpack("<Q", file.read(8))
        left = end - file.tell()
        if stored > left and compression:
            raise self._damage(position, end, f"a chunk of {stored} bytes is cut off")
        if not compression:
            content = file.read(min(stored, left))
        else:
            try:
                content = _decompress(file.read(stored), compression)
            except Exception as error:  # the decompressors raise errors of their own
                raise self._damage(position, end, f"a chunk is damaged: {error}") from error
        whole = len(content) == size
        if whole and checksum and zlib.crc32(content) != checksum:
            raise self._damage(position, end, "a chunk does not match its checksum")
        yield from self._records_of_chunk(content, whole)
        if not whole:
            raise self._damage(position, end, f"a chunk of {size} bytes ends after {len(content)}")
        file.seek(position + length)

    def _records_of_chunk(self, content: bytes, whole: bool) -> Iterator[RawMessage]:
        records = io.BytesIO(content)
        try:
            yield from self.records(records, len(content))
        except BagDamageError:
            # A chunk has no end record; running out of records is how a whole one ends.
            if whole and records.tell() < len(content):
                raise

    def _define(self, opcode: int, body: bytes) -> None:
        record = io.BytesIO(body)
        (number,) = struct.unpack("<H", record.read(2))
        if opcode == _SCHEMA:
            name, _, definition = (_text(record) for _ in range(3))
            self._types[number] = name, definition
            return
        (schema,) = struct.unpack("<H", record.read(2))
        kind, definition = self._types.get(schema, ("", ""))
        key = self._channels[number] = (_text(record), kind)
        _text(record)  # the encoding of its messages
        self._described[key] = Description(definition, _metadata(record).get(_QOS, ""))

    def _message(self, body: bytes) -> Iterator[RawMessage]:
        channel, _, received, _ = struct.unpack_from("<HIQQ", body)
        if channel in self._channels:
            yield RawMessage(*self._channels[channel], received, body[22:])

    def _damage(self, position: int, end: int, what: str) -> BagDamageError:
        return BagDamageError(f"{self._path}: {what} (byte {position} of {end})")


def _text(record: BinaryIO) -> str:
    (length,) = struct.unpack("<I", record.read(4))
    return record.read(length).decode()


def _metadata(record: BinaryIO) -> dict[str, str]:
    (length,) = struct.unpack("<I", record.read(4))
    entries = io.BytesIO(record.read(length))
    found = {}
    while entries.tell() < length:
        key = _text(entries)
        found[key] = _text(entries)
    return found


def _decompress(content: bytes, compression: str) -> bytes:
    if compression == "lz4":
        return importlib.import_module("lz4.frame").decompress(content)
    if compression != "zstd":
        raise ValueError(f"compression {compression!r}, expected lz4 or zstd")
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name).decompress(content)
        except ImportError:
            continue
    raise ValueError(f"no zstd, expected one of the modules {', '.join(_ZSTD_MODULES)}")


def _salvage_sqlite(path: Path, described: Described) -> Iterator[RawMessage]:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    try:
        # Without this SQLite refuses a file with fewer pages than its header says.
        connection.execute("PRAGMA writable_schema=ON")
        topics = {
            number: (name, kind)
            for number, name, kind in connection.execute("SELECT id, name, type FROM topics")
        }
        _describe_sqlite(connection, topics, described)
        rows = connection.execute(
            "SELECT topic_id, timestamp, data FROM messages NOT INDEXED ORDER BY id"
        )
        for number, received, data in rows:
            if number in topics:
                yield RawMessage(*topics[number], received, data)
    finally:
        connection.close()


def _describe_sqlite(
    connection: sqlite3.Connection, topics: dict[int, tuple[str, str]], described: Described
) -> None:
    def column(query: str) -> dict[Any, str]:
        try:
            return dict(connection.execute(query))
        except sqlite3.Error:  # an older schema, or the damage
            return {}

    qos = column("SELECT id, offered_qos_profiles FROM topics")
    definitions = column("SELECT topic_type, encoded_message_definition FROM message_definitions")
    for number, key in topics.items():
        described[key] = Description(definitions.get(key[1], ""), qos.get(number, ""))
