"""The demo: replayed cameras, the fusion node and a recorder on live ROS 2 topics."""

from uaafusion_ros.demo.plan import DemoPlan
from uaafusion_ros.demo.processes import DemoError
from uaafusion_ros.demo.run import run_demo

__all__ = ["DemoError", "DemoPlan", "run_demo"]
