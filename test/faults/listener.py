"""A subscriber of an image topic as a process of its own, to be stopped and killed."""

import sys

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

rclpy.init()
node = Node("listener")
node.create_subscription(Image, sys.argv[1], lambda message: print("image", flush=True), 10)
rclpy.spin(node)
