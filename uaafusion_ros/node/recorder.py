"""Records topics byte for byte into one MCAP file, for the demo.

    python -m uaafusion_ros.node.recorder --bag FOLDER/NAME.mcap --topic TOPIC TYPE …

Standard output is for the program that started it, one JSON object a line: ``{"event": "ready"}``
once everything is subscribed, ``{"event": "diagnostics", …}`` for each diagnostics message, with
the number of messages recorded so far. SIGINT and SIGTERM end the recording; what was received
until then is in the file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import queue
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.typesys import Stores, get_typestore

from uaafusion_ros.bag_writer import new_writer, offered_qos
from uaafusion_ros.node.leaving import leave_ros
from uaafusion_ros.node.stop_request import StopRequest, ignore_signals, on_signals
from uaafusion_ros.node.transport import use_image_transport

QUEUE_DEPTH = 200
"""Messages of each topic that DDS may keep for us while we are not scheduled."""

UNFINISHED = ".recording"
"""Folder of a bag that is not closed yet."""

DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
_POLL = 0.1


class _Entry(NamedTuple):
    topic: str
    received: int
    """Nanoseconds since the epoch."""
    data: bytes


class BagWriter:
    """Writes messages to an MCAP file in a thread of its own.

    Args:
        path: the ``.mcap`` file; ``metadata.yaml`` comes beside it, so that its folder is a bag
            as well as the file.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The library makes a folder of its own, and names the file after it.
        self._unfinished = path.parent / UNFINISHED
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._folder = self._unfinished / path.stem
        self._writer = new_writer(self._folder, {"recorded_by": "uaafusion demo"})
        self._types = get_typestore(Stores.LATEST)
        self._connections: dict[str, Any] = {}
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="bag", daemon=True)
        self.failure: Exception | None = None

    def add_topic(self, topic: str, type_name: str, *, latched: bool) -> None:
        """Announces a topic, its message definition and QoS; before `start`."""
        self._connections[topic] = self._writer.add_connection(
            topic,
            type_name,
            typestore=self._types,
            offered_qos_profiles=[offered_qos(latched=latched)],
        )

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def write(self, topic: str, received: int, data: bytes) -> None:
        """Takes a serialised message over; returns at once."""
        self._entries.put(_Entry(topic, received, data))

    def close(self) -> None:
        """Writes what waits and the index, and puts the files where they belong.

        Raises:
            OSError: not everything could be written.
        """
        self._entries.put(None)
        self._thread.join()
        if self.failure is not None:
            raise OSError(f"{self._path} is incomplete: {self.failure}") from self.failure
        self._writer.close()
        shutil.move(self._folder / f"{self._folder.name}.mcap", self._path)
        shutil.move(self._folder / "metadata.yaml", self._path.parent / "metadata.yaml")
        shutil.rmtree(self._unfinished)

    def _write_all(self) -> None:
        try:
            while (entry := self._entries.get()) is not None:
                self._writer.write(self._connections[entry.topic], entry.received, entry.data)
        except Exception as error:  # a full disk, for one: the main thread ends the recording
            self.failure = error


class NoBag:
    """Takes messages as a `BagWriter` does, and keeps none: for measuring."""

    failure: Exception | None = None

    def add_topic(self, topic: str, type_name: str, *, latched: bool) -> None:
        """See `BagWriter`."""

    def start(self) -> None:
        """See `BagWriter`."""

    def write(self, topic: str, received: int, data: bytes) -> None:
        """See `BagWriter`."""

    def close(self) -> None:
        """See `BagWriter`."""


def main(args: Sequence[str] | None = None) -> int:
    """Records until SIGINT or SIGTERM; returns the exit status."""
    options = _options(args)
    stop = StopRequest()
    on_signals(stop.set)
    try:
        bag: BagWriter | NoBag = BagWriter(options.bag) if options.bag else NoBag()
        node = _record(options, bag, stop)
        bag.close()
        leave_ros(node)
    except OSError as error:
        print(f"recorder: {error}", file=sys.stderr)
        return 1
    finally:
        ignore_signals()
    return 0


def _options(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="recorder", description="Records topics into an MCAP bag")
    parser.add_argument("--bag", type=Path, help="the .mcap file to write; none: only count")
    for name, kind in (("--topic", "a topic"), ("--latched-topic", "a transient-local topic")):
        parser.add_argument(
            name, nargs=2, metavar=("TOPIC", "TYPE"), action="append", default=[], help=kind
        )
    return parser.parse_args(args)


def _record(options: argparse.Namespace, bag: BagWriter | NoBag, stop: StopRequest) -> Any:
    """Records until it is told to stop; returns the node."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions

    use_image_transport()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("uaafusion_recorder")
    counts: Counter[str] = Counter()
    for latched, topics in ((False, options.topic), (True, options.latched_topic)):
        for topic, type_name in topics:
            bag.add_topic(topic, type_name, latched=latched)
            _subscribe(node, bag, counts, topic, type_name, latched)
    bag.start()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    _tell("ready")
    while not stop.is_set() and bag.failure is None:
        executor.spin_once(timeout_sec=_POLL)
    executor.shutdown()
    return node


def _subscribe(
    node: Any,
    bag: BagWriter | NoBag,
    counts: Counter[str],
    topic: str,
    type_name: str,
    latched: bool,
) -> None:
    from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

    qos = QoSProfile(
        depth=QUEUE_DEPTH,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )
    message_type = _message_type(type_name)
    report = _reporter(message_type, counts) if type_name == DIAGNOSTICS else None

    def on_message(data: bytes) -> None:
        bag.write(topic, time.time_ns(), data)
        counts[topic] += 1
        if report is not None:
            report(data)

    node.create_subscription(message_type, topic, on_message, qos, raw=True)


def _message_type(name: str) -> Any:
    package, kind, message = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), message)


def _reporter(message_type: Any, counts: Counter[str]) -> Callable[[bytes], None]:
    """What passes diagnostics on to the program that started the recorder."""
    from rclpy.serialization import deserialize_message

    def report(data: bytes) -> None:
        statuses = {
            status.name: {
                "level": status.level[0],
                "message": status.message,
                "values": {pair.key: pair.value for pair in status.values},
            }
            for status in deserialize_message(data, message_type).status
        }
        _tell("diagnostics", statuses=statuses, recorded=dict(counts))

    return report


def _tell(event: str, **details: object) -> None:
    print(json.dumps({"event": event, **details}), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
