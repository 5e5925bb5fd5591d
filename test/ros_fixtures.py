"""Real processes over real DDS for the tests: the node as a subprocess, this process as its client.

Everything stays on loopback, in a domain of this test process alone.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from uaafusion_ros.node.transport import transport_environment

if TYPE_CHECKING:
    from rclpy.task import Future

REPOSITORY = Path(__file__).resolve().parents[1]
HISTORY = 300
"""Images of a topic that are kept for a subscriber that is not scheduled."""

PATIENCE = float(os.environ.get("TEST_PATIENCE", "180"))
"""Seconds after which something is believed to hang, however busy the machine."""


@cache
def free_domain() -> int:
    """A ROS domain that nobody on this machine uses: its first discovery port is free."""
    domains = list(range(1, 102))
    random.shuffle(domains)
    for domain in domains:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain + 10))  # RTPS 9.6.2.3, first participant
            except OSError:
                continue
            return domain
    raise RuntimeError("all ROS domains of this machine are in use")


def ros_environment() -> dict[str, str]:
    """Variables for every ROS process of this test run."""
    release = {"ROS_DISTRO": os.environ.get("ROS_DISTRO", "")}
    return {
        **transport_environment(release, "fastdds_loopback.xml"),
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "OMP_NUM_THREADS": "1",
    }


class RosProcess:
    """A node of ours in a process of its own; its output goes to a file.

    Args:
        module: one of ``uaafusion_ros.node``, or the path of a script.
    """

    def __init__(self, module: str, log: Path, *ros_args: str) -> None:
        self.log = log
        script = module.endswith(".py")
        command = [module] if script else ["-m", f"uaafusion_ros.node.{module}"]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--ros-args", *ros_args],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env=os.environ | ros_environment(),
            )

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def wait(self) -> int:
        """Waits for its end; returns the exit status."""
        return self.process.wait(PATIENCE)

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Sends a signal and waits for the end; returns the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """Ends it at any price; shows its output where the test has failed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        print(self.output())

    def handles_signals(self) -> bool:
        """Whether it has come so far as to handle SIGTERM (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)


class Client:
    """Publishes camera images to the node and collects what it publishes."""

    def __init__(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.node import Node
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        self.node = Node("test_client")
        self.received: dict[str, list] = defaultdict(list)
        self._subscriptions: dict = {}
        self._clients: dict = {}
        self._publishers = {
            topic: self.node.create_publisher(message_type, topic, HISTORY)
            for message_type, topics in {
                Image: ("infrared/image_raw", "visible/image_raw"),
                CompressedImage: (
                    "infrared/image_raw/compressed",
                    "visible/image_raw/compressed",
                ),
                CameraInfo: ("visible/camera_info", "infrared/camera_info"),
            }.items()
            for topic in topics
        }
        self.subscribe("/diagnostics", DiagnosticArray)

    def publish(self, topic: str, message: object) -> None:
        """Publishes on one of the camera topics."""
        self._publishers[topic].publish(message)

    def subscribe(self, topic: str, message_type: type, qos: object = 100) -> None:
        """Collects the messages of a topic in ``received``."""
        self._subscriptions[topic] = self.node.create_subscription(
            message_type, topic, self.received[topic].append, qos
        )

    def unsubscribe(self, topic: str) -> None:
        """Ends a subscription and forgets its messages."""
        self.node.destroy_subscription(self._subscriptions.pop(topic))
        self.received[topic].clear()

    def spin(self, seconds: float) -> None:
        """Lets messages come in for a while."""
        import rclpy

        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self.node, timeout_sec=left)

    def wait_for(self, condition: Callable[[], object], what: str) -> object:
        """Spins until ``condition`` is true; returns its value."""
        import rclpy

        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {PATIENCE:.0f} s in vain for {what}"
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return value

    def call(self, service: str, service_type: type, request: object) -> object:
        """Calls a service of the node ``/uaafusion``, or of ``/NODE`` for ``NODE:SERVICE``."""
        future = self.call_later(service, service_type, request)
        self.wait_for(future.done, f"an answer of {service}")
        return future.result()

    def call_later(self, service: str, service_type: type, request: object) -> Future:
        """As `call`, but returns the future of the answer. Only the first call has to look around
        for the service, so that later ones follow at once."""
        if service not in self._clients:
            node, _, name = service.rpartition(":")
            self._clients[service] = self.node.create_client(
                service_type, f"/{node or 'uaafusion'}/{name}"
            )
        client = self._clients[service]
        self.wait_for(client.service_is_ready, f"service {service}")
        return client.call_async(request)

    def state(self) -> str:
        """The node's lifecycle state."""
        from lifecycle_msgs.srv import GetState

        return self.call("get_state", GetState, GetState.Request()).current_state.label

    def change_state(self, label: str) -> bool:
        """Asks for a lifecycle transition; whether it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request(transition=Transition(label=label))
        return self.call("change_state", ChangeState, request).success

    def reload_model(self) -> tuple[bool, str]:
        """Has the node read its model file again; success and message."""
        from std_srvs.srv import Trigger

        answer = self.call("reload_model", Trigger, Trigger.Request())
        return answer.success, answer.message

    def set_parameter(self, name: str, value: object, node: str = "uaafusion") -> str:
        """Sets a parameter of the node; returns why not, or an empty text."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        result = self.call(f"{node}:set_parameters", SetParameters, request).results[0]
        return "" if result.successful else result.reason

    def diagnostics(self, node: str = "uaafusion") -> dict[str, tuple[int, str, dict[str, str]]]:
        """The next diagnostics: level, message and values by name without the node's."""
        received = self.received["/diagnostics"]
        received.clear()

        def of_node() -> list:
            return [m for m in received if m.status[0].name.startswith(f"{node}: ")]

        return {
            status.name.split(": ", 1)[1]: (
                status.level[0],
                status.message,
                {pair.key: pair.value for pair in status.values},
            )
            for status in self.wait_for(of_node, f"diagnostics of {node}")[-1].status
        }

    def account(self, stream: str, node: str = "uaafusion") -> dict[str, int]:
        """Received, published, pending and drops by reason of a stream, as the node counts."""
        values = self.diagnostics(node)[f"{stream} input"][2]
        return {
            key.removeprefix("dropped: "): int(value)
            for key, value in values.items()
            if key in ("received", "published", "pending") or key.startswith("dropped: ")
        }


@pytest.fixture(scope="session")
def ros():
    """rclpy, initialised in the domain of this test run."""
    rclpy = pytest.importorskip("rclpy")
    os.environ.update(ros_environment())
    rclpy.init()
    yield rclpy
    rclpy.shutdown()


@pytest.fixture(scope="module")
def client(ros):
    """A client, for one module."""
    client = Client()
    yield client
    time.sleep(0.2)  # two who leave in one moment may wait for each other (node/leaving.py)
    client.node.destroy_node()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A checkpoint of a very small model with random weights."""
    return save_random_model(
        tmp_path_factory.mktemp("model") / "tiny.safetensors",
        classes=("unlabelled", "road", "person"),
        palette=((0, 0, 0), (128, 64, 128), (220, 20, 60)),
        decoder="pyramid",
        decoder_channels=16,
        output_stride=32,
        stages=2,
        channels=8,
        unshuffle=4,
        contributions="completeness",
        attention="normalised",
    )


def save_random_model(path: Path, **architecture: object) -> Path:
    """Saves a model with random weights, of the name of its file."""
    import torch

    from uaafusion_ros.network.checkpoint import CheckpointInfo, save_checkpoint
    from uaafusion_ros.network.config import ModelConfig
    from uaafusion_ros.network.unfolding import UAAFusion

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ModelConfig(**architecture)
    save_checkpoint(path, UAAFusion(config), CheckpointInfo(config=config, name=path.stem))
    return path


@pytest.fixture
def start(ros, tmp_path):
    """Starts processes and ends them after the test."""
    processes = []

    def start(module: str, *ros_args: str) -> RosProcess:
        processes.append(RosProcess(module, tmp_path / f"{len(processes)}.log", *ros_args))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def night_pair(height: int = 96, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A warm person that the visible camera hardly sees, beside a sign that infrared does not.

    Returns:
        infrared [H, W] uint8 and visible [H, W, 3] BGR uint8.
    """
    infrared = np.full((height, width), 40, np.uint8)
    visible = np.full((height, width, 3), 30, np.uint8)
    rows = slice(height // 4, 3 * height // 4)
    infrared[rows, width // 8 : width // 4] = 230
    visible[rows, 5 * width // 8 : 6 * width // 8] = (40, 60, 240)
    return infrared, visible
