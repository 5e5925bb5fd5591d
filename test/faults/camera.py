"""One camera as a process of its own, to be killed, stopped and started again.

    python camera.py TOPIC [--rate HZ] [--best-effort] [--size HEIGHT WIDTH]

Images are taken at whole multiples of the period on the system's clock, so that cameras of one rate
match. SIGINT and SIGTERM end it; it then prints how many images it sent.
"""

import argparse
import math
import os
import time

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from uaafusion_ros.node.images import image_message
from uaafusion_ros.node.leaving import leave_ros
from uaafusion_ros.node.stop_request import StopRequest, on_signals


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("topic")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--best-effort", action="store_true")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96))
    options = parser.parse_args()
    stop = StopRequest()
    on_signals(stop.set)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    stream = options.topic.strip("/").split("/")[-2]
    node = Node(f"{stream}_camera")
    reliability = QoSReliabilityPolicy.RELIABLE
    if options.best_effort:
        reliability = QoSReliabilityPolicy.BEST_EFFORT
    publisher = node.create_publisher(
        Image, options.topic, QoSProfile(depth=100, reliability=reliability)
    )
    print(f"sent {publish(publisher, stream, options, stop)}", flush=True)
    leave_ros(node)
    os._exit(0)  # the interpreter's own end is not what the tests wait for


def publish(publisher, stream, options, stop):
    """Publishes until it is told to stop; returns how many images."""
    message = picture(stream, *options.size)
    period, sent = 1 / options.rate, 0
    turn = math.ceil(time.time() / period)
    while not stop.is_set():
        turn = max(turn + 1, math.floor(time.time() / period))  # what was missed is not made up for
        if stop.wait(max(turn * period - time.time(), 0.0)):
            break
        seconds, rest = divmod(round(turn * period * 1e9), 10**9)
        message.header.stamp = Time(sec=seconds, nanosec=rest)
        message.data[0] = turn % 256  # no two images alike
        publisher.publish(message)
        sent += 1
    return sent


def picture(stream, height, width):
    rng = np.random.default_rng(len(stream))
    if stream == "infrared":
        return image_message(rng.integers(0, 256, (height, width), np.uint8), "mono8", Header())
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    return image_message(pixels, "bgr8", Header(frame_id="visible_camera"))


if __name__ == "__main__":
    main()
