"""fusion.launch.py: the node comes up as its arguments say, fuses what it gets, ends cleanly."""

import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("launch_testing", reason="needs ROS 2's launch_testing")
pytest.importorskip("launch_ros", reason="needs ROS 2's launch_ros")

sys.path.insert(0, str(Path(__file__).parent))  # pytest does it, launch_test does not

import live
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch_testing import post_shutdown_test
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

pytestmark = pytest.mark.live

live.require_installed_package()

DOMAIN = 91
HEIGHT, WIDTH = 64, 96
INFRARED, VISIBLE = "/robot/thermal/image", "/robot/visible/image_raw"


@pytest.mark.launch_test
def generate_test_description():
    model = live.tiny_model(Path(tempfile.mkdtemp(prefix="uaafusion-")) / "tiny.safetensors")
    launch_file = f"{get_package_share_directory('uaafusion_ros')}/launch/fusion.launch.py"
    arguments = {
        "namespace": "robot",
        "infrared": "thermal/image",
        "model": str(model),
        "mode": "fast",
        "device": "cpu",
    }
    fusion = IncludeLaunchDescription(launch_file, launch_arguments=arguments.items())
    return LaunchDescription([live.isolated(DOMAIN, fusion), ReadyToTest()])


class TestFusion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.observer = live.Observer(DOMAIN)
        create = cls.observer.node.create_publisher
        cls.infrared = create(Image, INFRARED, qos_profile_sensor_data)
        cls.visible = create(Image, VISIBLE, qos_profile_sensor_data)
        cls.sent = 0

    @classmethod
    def tearDownClass(cls):
        cls.observer.close()

    def test_fuses_what_arrives_on_the_topic_given_with_the_visible_stamp_and_frame(self):
        images = self.observer.collect(
            Image, "/robot/uaafusion/fused/image", qos_profile_sensor_data
        )
        self.observer.wait_for(lambda: images, "a fused image", self.send_pair)
        fused = images[0]
        self.assertIn(fused.header.stamp.sec, range(1, self.sent + 1))
        self.assertEqual(fused.header.stamp.nanosec, 10_000_000)
        self.assertEqual(fused.header.frame_id, "front_camera")
        self.assertEqual((fused.height, fused.width, fused.encoding), (HEIGHT, WIDTH, "bgr8"))
        self.assertEqual(len(fused.data), HEIGHT * WIDTH * 3)

    def test_model_mode_and_device_given_reach_the_node(self):
        client = AsyncParameterClient(self.observer.node, "/robot/uaafusion")
        self.observer.wait_for(client.services_are_ready, "the node's parameter services")
        answer = client.get_parameters(["model", "mode", "device"])
        self.observer.wait_for(answer.done, "the node's parameters")
        model, mode, device = (value.string_value for value in answer.result().values)
        self.assertEqual(Path(model).name, "tiny.safetensors")
        self.assertEqual((mode, device), ("fast", "cpu"))

    def send_pair(self):
        """One pair a call; the visible stamp is 10 ms later and only the visible frame is named."""
        cls = type(self)
        cls.sent += 1
        self.infrared.publish(image("mono8", 1, cls.sent, 0, "thermal_camera"))
        self.visible.publish(image("bgr8", 3, cls.sent, 10_000_000, "front_camera"))


@post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    def test_node_ended_cleanly(self, proc_info):
        assertExitCodes(proc_info)


def image(encoding, channels, sec, nanosec, frame_id):
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=WIDTH * channels)
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    message.header.frame_id = frame_id
    pixels = np.linspace(0, 255, HEIGHT * WIDTH * channels).astype(np.uint8)
    message.data.frombytes(pixels.data)
    return message
