"""What the launch tests share: isolation from other ROS systems, and waiting for messages."""

import os
import shutil
import time
from pathlib import Path
from unittest import mock

import pytest
import rclpy
import torch
from launch.actions import GroupAction, SetEnvironmentVariable
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from uaafusion_ros.network.checkpoint import CheckpointInfo, save_checkpoint
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.share import find_share

PATIENCE = 300.0
"""Seconds that anything may take on a slow machine, a model's first load included."""


def require_installed_package():
    """Skip where `ros2 launch` could not find this package's executables."""
    packages = pytest.importorskip("ament_index_python.packages")
    try:
        prefix = Path(packages.get_package_prefix("uaafusion_ros"))
    except LookupError:
        prefix = None
    if prefix is None or not (prefix / "lib" / "uaafusion_ros" / "fusion_node").exists():
        pytest.skip(
            "uaafusion_ros is not in the ament index: colcon build, source install/setup.bash",
            allow_module_level=True,
        )


def require_ros2_command():
    """Skip where the `ros2` command is missing."""
    if shutil.which("ros2") is None:
        pytest.skip("needs the ros2 command (ros2cli, ros2launch)", allow_module_level=True)


def isolated_environment(domain):
    """Variables that keep a ROS system on this machine and in a domain of its own."""
    profile = str(find_share("config", "fastdds_loopback.xml"))
    return {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,
        "OMP_NUM_THREADS": "1",
    }


def isolated(domain, action):
    """Have `action` start its processes in `isolated_environment`.

    Launch changes the environment of its own process, which is the tests'; the group restores it.
    """
    variables = isolated_environment(domain)
    setters = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    return GroupAction([*setters, action])


def tiny_model(path):
    """Save a model with random weights that any machine runs at once; return its path."""
    torch.manual_seed(0)
    config = ModelConfig(stages=1, channels=4, unshuffle=2, decoder="pyramid", decoder_channels=8)
    save_checkpoint(path, UAAFusion(config), CheckpointInfo(config=config, name="tiny"))
    return path


class Observer:
    """A node of the test's own in the isolated system."""

    def __init__(self, domain):
        self._environment = mock.patch.dict(os.environ, isolated_environment(domain))
        self._environment.start()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("observer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        self._environment.stop()

    def collect(self, message_type, topic, qos):
        """Subscribe; return the list that the messages are appended to."""
        messages = []
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def wait_for(self, condition, what, meanwhile=None):
        """Spin and call `meanwhile` until `condition()` holds; fail when patience is over."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"waited {PATIENCE:.0f} s for {what}"
            if meanwhile is not None:
                meanwhile()
            self._executor.spin_once(timeout_sec=0.1)
