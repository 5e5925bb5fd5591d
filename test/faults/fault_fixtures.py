"""A node that has to live through faults: its cameras, its account, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ros_fixtures import PATIENCE, RosProcess, ros_environment, save_random_model

CAMERA = Path(__file__).with_name("camera.py")
STREAMS = ("infrared", "visible")
FUSED = "/uaafusion/fused/image"

PARAMETERS = """
/**:
  ros__parameters:
    model: {model}
    device: cpu
    max_skew: 0.02
    max_wait: 0.2
    diagnostics_period: 0.2
    qos_overrides:
      /infrared/image_raw:
        subscription: {{reliability: reliable, depth: 1000}}
      /visible/image_raw:
        subscription: {{reliability: reliable, depth: 1000}}
"""


class Camera:
    """`camera.py` in a process."""

    def __init__(self, topic: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CAMERA), topic, *arguments],
            env=os.environ | ros_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ends it; returns the number of images it has sent."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=PATIENCE)
        return int(output.rsplit("sent ", 1)[1])

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE)


class Bench:
    """One node, the cameras before it, and this process as its operator and subscriber."""

    def __init__(self, client, node: RosProcess, name: str = "uaafusion") -> None:
        self.client = client
        self.node = node
        self.name = name
        self.fused = f"/{name}/fused/image"
        self.cameras: dict[str, Camera] = {}

    def start_cameras(self, *arguments: str, streams=STREAMS) -> None:
        for stream in streams:
            self.cameras[stream] = Camera(f"/{stream}/image_raw", *arguments)

    def stop_cameras(self) -> dict[str, int]:
        """Ends all cameras; returns how many images each has sent."""
        for camera in self.cameras.values():
            camera.signal(signal.SIGTERM)
        return {stream: self.cameras.pop(stream).stop() for stream in list(self.cameras)}

    def kill_cameras(self) -> None:
        for camera in self.cameras.values():
            camera.kill()
        self.cameras.clear()

    def wait_for_fused(self, more: int = 5, what: str = "fused images") -> float:
        """Waits until so many more images have been fused; returns seconds to the first."""
        received = self.client.received[self.fused]
        before, start = len(received), time.monotonic()
        self.client.wait_for(lambda: len(received) > before, what)
        first = time.monotonic() - start
        self.client.wait_for(lambda: len(received) >= before + more, what)
        return first

    def wait_until_said(
        self, status: str, said: str = "", level: int | None = None, absent: str = "\0"
    ) -> str:
        """Waits until a status of the diagnostics says so; returns all that it says.

        Args:
            absent: what it must not say any more.
        """
        message = ""
        self._catch_up()

        def is_said() -> bool:
            nonlocal message
            found, message, _ = self.client.diagnostics(self.name).get(status, (0, "", {}))
            return said in message and absent not in message and level in (None, found)

        self.client.wait_for(is_said, f"{status}: {said!r}")
        return message

    def wait_for_drops(self, stream: str, reason: str, more: int) -> None:
        """Waits until so many more images of a stream have been dropped for a reason."""
        before = self.client.account(stream, self.name).get(reason, 0)
        self.client.wait_for(
            lambda: self.client.account(stream, self.name).get(reason, 0) >= before + more,
            f"{more} images {reason}",
        )

    def _catch_up(self) -> None:
        """Waits for diagnostics of now: those before may have waited here unread."""
        now, received = time.time(), self.client.received["/diagnostics"]

        def is_new(message) -> bool:
            stamp = message.header.stamp
            mine = message.status[0].name.startswith(f"{self.name}: ")
            return mine and stamp.sec + stamp.nanosec / 1e9 >= now

        self.client.wait_for(lambda: any(map(is_new, received)), "new diagnostics")

    def account(self) -> dict[str, dict[str, int]]:
        """The account of each stream once nothing is pending; fails if something is unaccounted."""
        accounts: dict[str, dict[str, int]] = {}
        self._catch_up()

        def is_settled() -> bool:
            found = {stream: self.client.account(stream, self.name) for stream in STREAMS}
            settled = found == accounts and not any(a["pending"] for a in found.values())
            accounts.update(found)
            return settled

        self.client.wait_for(is_settled, "every image to be published or counted with a reason")
        for stream, account in accounts.items():
            dropped = sum(n for key, n in account.items() if key not in KEPT)
            assert account["received"] == account["published"] + dropped, (stream, account)
        return accounts

    def grown(self, before: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        """What has been added to the account since ``before``, without zeros."""
        return {
            stream: {
                key: n - before[stream].get(key, 0)
                for key, n in account.items()
                if n != before[stream].get(key, 0)
            }
            for stream, account in self.account().items()
        }


KEPT = ("received", "published", "pending")


def counted(grown: dict[str, dict[str, int]]) -> str:
    """An account in words, for the page."""
    texts = []
    for stream, account in grown.items():
        drops = [f"{n} {key}" for key, n in account.items() if key not in KEPT]
        parts = " + ".join([f"{account.get('published', 0)} published", *drops])
        texts.append(f"{stream}: {account.get('received', 0)} = {parts}")
    return "; ".join(texts)


def wait_until_active(client, process: RosProcess, name: str = "uaafusion") -> None:
    def is_active() -> bool:
        assert process.process.poll() is None, process.output()
        return client.diagnostics(name)["node"][2]["state"] == "active"

    client.wait_for(is_active, "the node to be active")


def save_light_model(path: Path, classes: tuple[str, ...] = ("unlabelled", "road")) -> Path:
    """A model that keeps up with cameras on a busy machine: one stage, no gradients."""
    return save_random_model(
        path,
        classes=classes,
        palette=tuple((40 * k, 20 * k, 10 * k) for k in range(len(classes))),
        decoder="pyramid",
        decoder_channels=8,
        output_stride=32,
        stages=1,
        channels=2,
        unshuffle=4,
        attention="off",
        student_channels=4,
    )


@pytest.fixture(scope="module")
def parameters(tmp_path_factory) -> Path:
    """A parameter file, beside a light model that a test may spoil."""
    folder = tmp_path_factory.mktemp("faults")
    model = save_light_model(folder / "street.safetensors")
    path = folder / "parameters.yaml"
    path.write_text(PARAMETERS.format(model=model))
    return path


@pytest.fixture(scope="module")
def running(client, parameters):
    """One node for all tests of a module: none of them may make a restart necessary."""
    from sensor_msgs.msg import Image

    process = RosProcess(
        "fusion_node", parameters.with_name("log"), "--params-file", str(parameters)
    )
    try:
        wait_until_active(client, process)
        client.subscribe(FUSED, Image)
        yield Bench(client, process)
        assert process.interrupt(signal.SIGINT) == 0
        assert "Traceback" not in process.output()
    finally:
        process.kill()
        if FUSED in client.received:
            client.unsubscribe(FUSED)


@pytest.fixture
def bench(running):
    """The node, at rest, and no cameras; afterwards it must still be the same process."""
    pid = running.node.process.pid
    yield running
    running.kill_cameras()
    assert running.node.process.poll() is None and running.node.process.pid == pid
