"""Ctrl-C on `ros2 launch uaafusion_ros demo.launch.py` ends every process cleanly."""

import os
import signal
import subprocess

import pytest

pytest.importorskip("launch_ros", reason="needs ROS 2's launch_ros")
pytest.importorskip("ros2launch", reason="needs the command ros2 launch")

import live
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

pytestmark = pytest.mark.live

live.require_installed_package()
live.require_ros2_command()

DOMAIN = 93
COMMAND = ("ros2", "launch", "uaafusion_ros", "demo.launch.py", "rviz:=false")


@pytest.fixture
def observer():
    observer = live.Observer(DOMAIN)
    yield observer
    observer.close()


@pytest.fixture
def demo(tmp_path):
    """`ros2 launch` in a process group of its own, as in a terminal, and what it printed."""
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            COMMAND,
            env=os.environ | live.isolated_environment(DOMAIN),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        yield process, log
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.launch_test
def test_control_c_while_images_are_being_fused_ends_both_nodes_cleanly(observer, demo):
    process, log = demo
    fused = observer.collect(Image, "/uaafusion/fused/image", qos_profile_sensor_data)
    observer.wait_for(lambda: fused or process.poll() is not None, "a fused image")
    assert fused, log.read_text()

    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group

    status = process.wait(timeout=live.PATIENCE)
    said = log.read_text()
    assert status == 0, said
    assert said.count("process has finished cleanly") == 2, said
    assert "Traceback" not in said, said
