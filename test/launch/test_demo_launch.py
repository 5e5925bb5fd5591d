"""demo.launch.py: replayed images are fused as they come, and everything ends cleanly."""

import itertools
import sys
import tempfile
import unittest
from pathlib import Path

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
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import Image

pytestmark = pytest.mark.live

live.require_installed_package()

DOMAIN = 92
RATE = 4.0


@pytest.mark.launch_test
def generate_test_description():
    launch_file = f"{get_package_share_directory('uaafusion_ros')}/launch/demo.launch.py"
    model = live.tiny_model(Path(tempfile.mkdtemp(prefix="uaafusion-")) / "tiny.safetensors")
    arguments = {"rviz": "false", "rate": str(RATE), "condition": "day", "mode": "fast"}
    arguments["model"] = str(model)
    demo = IncludeLaunchDescription(launch_file, launch_arguments=arguments.items())
    return LaunchDescription([live.isolated(DOMAIN, demo), ReadyToTest()])


class TestDemo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.observer = live.Observer(DOMAIN)

    @classmethod
    def tearDownClass(cls):
        cls.observer.close()

    def test_fused_images_carry_stamps_of_the_visible_images_replayed_at_the_rate_given(self):
        visible, fused = (
            self.observer.collect(Image, topic, qos_profile_sensor_data)
            for topic in ("/visible/image_raw", "/uaafusion/fused/image")
        )
        self.observer.wait_for(lambda: len(fused) >= 3, "three fused images")
        sent = [stamp(message) for message in visible]
        came = [stamp(message) for message in fused]
        self.assertTrue(set(came) <= set(sent), f"fused {came}, sent {sent}")
        self.assertEqual(came, sorted(set(came)))
        self.assertAlmostEqual(min_difference(sent), 1e9 / RATE, delta=1e6)
        self.assertEqual(
            {message.header.frame_id for message in fused},
            {message.header.frame_id for message in visible},
        )
        self.assertGreater(max(fused[0].data), min(fused[0].data))


@post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    def test_both_nodes_ended_cleanly(self, proc_info):
        self.assertEqual(len(proc_info.processes()), 2)
        assertExitCodes(proc_info)


def stamp(message):
    return Time.from_msg(message.header.stamp).nanoseconds


def min_difference(stamps):
    return min(after - before for before, after in itertools.pairwise(stamps))
