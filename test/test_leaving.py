"""A process that ends although the middleware does not."""

import os
import subprocess
import sys
import time

import pytest
from ros_fixtures import PATIENCE, ros_environment

pytest.importorskip("rclpy")

STUCK = """
import ctypes
import rclpy
from uaafusion_ros.node.leaving import leave_ros

class Node:
    def destroy_node(self):
        print("leaving", flush=True)
        ctypes.PyDLL(None).sleep({seconds:.0f})  # with the interpreter's lock held, as rclpy does

rclpy.init()
leave_ros(Node(), status={status}, patience=0.5)
print("left")
"""


def run_script(text):
    command = [sys.executable, "-c", text]
    environment = os.environ | ros_environment()
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env=environment
    )


def leave(seconds, status=0):
    return run_script(STUCK.format(seconds=seconds, status=status))


HANDLED = """
import rclpy
from rclpy.signals import get_current_signal_handlers_options
from uaafusion_ros.node.leaving import leave_ros

rclpy.init()
before = get_current_signal_handlers_options()
leave_ros()
print(get_current_signal_handlers_options() == before)
"""


def test_handlers_of_signals_stay_as_they_are():
    """To put them back, rclpy has signals do for microseconds what they do by default: kill."""
    assert run_script(HANDLED).stdout.split() == ["True"]


@pytest.mark.parametrize("status", (0, 1))
def test_a_node_that_is_never_destroyed_does_not_keep_its_process_alive(status):
    start = time.monotonic()
    ended = leave(2 * PATIENCE, status)
    assert time.monotonic() - start < PATIENCE
    assert ended.returncode == status
    assert ended.stdout.split() == ["leaving"]


def test_who_leaves_in_time_goes_on_after_it():
    ended = leave(0, status=1)
    assert ended.stdout.split() == ["leaving", "left"]
    assert ended.returncode == 0
