"""Faults of cameras, network and operators, injected for real into one node that never restarts.

In every test the images received are those published plus those dropped with a reason, exactly.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from fault_fixtures import FUSED, counted
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from ros_fixtures import night_pair, ros_environment
from sensor_msgs.msg import Image
from test_node import header, seconds

from uaafusion_ros.node.images import image_message

pytestmark = pytest.mark.live

LISTENER = Path(__file__).with_name("listener.py")


def test_a_killed_camera_is_reported_and_fused_again_when_it_returns(bench, reliability):
    before = bench.account()
    bench.start_cameras()
    bench.wait_for_fused()
    bench.cameras["infrared"].signal(signal.SIGKILL)
    said = bench.wait_until_said("infrared input", "silent for", level=2)
    bench.wait_for_drops("visible", "unpaired", 15)
    bench.cameras.pop("infrared").process.communicate()
    bench.start_cameras(streams=("infrared",))
    recovery = bench.wait_for_fused()
    bench.wait_until_said("infrared input", "Hz on", level=0)
    bench.stop_cameras()
    grown = bench.grown(before)
    assert grown["visible"]["unpaired"] >= 15
    reliability.fault(
        "Camera process killed (-9) and started again", said, recovery, counted(grown)
    )


def test_a_camera_twelve_times_as_fast_costs_only_its_own_images(bench, reliability):
    before = bench.account()
    bench.start_cameras("--rate", "48", streams=("infrared",))
    bench.start_cameras("--rate", "4", streams=("visible",))
    bench.wait_for_fused(10)
    said = bench.wait_until_said("pairing", "pairs a second", level=0)
    sent = bench.stop_cameras()
    grown = bench.grown(before)
    # A busy machine lets the fast camera miss turns: compared with what it really sent.
    ratio = sent["infrared"] / sent["visible"]
    assert ratio > 2, sent
    assert grown["infrared"]["unpaired"] > 0.5 * (ratio - 1) * grown["visible"]["published"]
    assert not grown["visible"].keys() - {"received", "published", "unpaired", "superseded"}
    reliability.fault("One camera at 48 Hz, the other at 4 Hz", said, None, counted(grown))


def test_a_camera_of_other_qos_is_named_until_it_offers_what_is_asked_for(bench, reliability):
    before = bench.account()
    bench.start_cameras("--best-effort", streams=("infrared",))
    bench.start_cameras(streams=("visible",))
    said = bench.wait_until_said("infrared input", "offers incompatible QoS (RELIABILITY)", level=2)
    bench.cameras.pop("infrared").stop()
    bench.start_cameras(streams=("infrared",))
    recovery = bench.wait_for_fused()
    bench.stop_cameras()
    grown = bench.grown(before)
    reliability.fault(
        "Camera offers QoS that the node does not ask for", said, recovery, counted(grown)
    )


def test_a_subscriber_of_other_qos_is_named_and_the_others_are_served(bench, reliability):
    before = bench.account()
    bench.start_cameras()
    bench.wait_for_fused()
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    node = bench.client.node
    subscription = node.create_subscription(Image, FUSED, lambda message: None, latched)
    said = bench.wait_until_said("output", "gets nothing", level=1)
    assert "(DURABILITY)" in said and FUSED in said
    bench.wait_for_fused()
    node.destroy_subscription(subscription)
    bench.wait_until_said("output", absent="gets nothing")
    bench.stop_cameras()
    reliability.fault(
        "Subscriber asks for QoS that the node does not offer",
        said,
        None,
        counted(bench.grown(before)),
    )


def test_a_stall_of_the_network_is_reported_and_ends_by_itself(bench, reliability, pytestconfig):
    stall = pytestconfig.getoption("--stall")
    before = bench.account()
    bench.start_cameras()
    bench.wait_for_fused()
    for camera in bench.cameras.values():
        camera.signal(signal.SIGSTOP)
    start = time.monotonic()
    said = bench.wait_until_said("visible input", "silent for", level=2)
    bench.client.spin(max(start + stall - time.monotonic(), 0))
    bench.client.received[FUSED].clear()
    for camera in bench.cameras.values():
        camera.signal(signal.SIGCONT)
    recovery = bench.wait_for_fused()
    bench.wait_until_said("visible input", "Hz on", level=0)
    bench.stop_cameras()
    grown = bench.grown(before)
    reliability.fault(f"Both cameras stalled for {stall:.0f} s", said, recovery, counted(grown))


def test_a_burst_of_500_queued_images_is_received_and_accounted_for_whole(bench, reliability):
    before = bench.account()
    infrared, visible = night_pair()
    for _ in range(250):
        head = header(next(seconds), "visible_camera")
        for stream, image, encoding in (
            ("infrared", infrared, "mono8"),
            ("visible", visible, "bgr8"),
        ):
            bench.client.publish(f"{stream}/image_raw", image_message(image, encoding, head))
    recovery = bench.wait_for_fused(1)
    grown = bench.grown(before)
    for stream in grown:
        assert grown[stream]["received"] == 250
        assert grown[stream]["published"] >= 1
    values = bench.client.diagnostics()["output"]
    reliability.fault("500 images queued and sent at once", values[1], recovery, counted(grown))


def test_parameters_change_under_load_without_costing_an_image(bench, reliability):
    before = bench.account()
    bench.start_cameras("--rate", "15")
    bench.wait_for_fused()
    rng = random.Random(0)
    choices = {
        "max_skew": lambda: rng.uniform(0.012, 0.03),
        "max_wait": lambda: rng.uniform(0.1, 0.3),
        "queue_size": lambda: rng.randint(10, 100),
        "infrared_offset": lambda: rng.choice([0.0, 0.001, -0.001]),
        "gain.smoothing": lambda: rng.uniform(0, 0.99),
        "stretch.mode": lambda: rng.choice(["minmax", "none"]),
        "max_side": lambda: rng.choice([0, 64, 96]),
        "overlay_opacity": lambda: rng.uniform(0, 1),
    }
    changes = 100
    for number in range(changes):
        name = list(choices)[number % len(choices)]
        assert bench.client.set_parameter(name, choices[name]()) == "", name
    for name, value in {
        "max_skew": 0.02,
        "max_wait": 0.2,
        "queue_size": 30,
        "infrared_offset": 0.0,
        "stretch.mode": "minmax",
        "max_side": 0,
    }.items():
        assert bench.client.set_parameter(name, value) == ""
    bench.wait_for_fused()
    said = bench.wait_until_said("output")
    bench.stop_cameras()
    grown = bench.grown(before)
    for account in grown.values():
        assert account.keys() <= {"received", "published", "unpaired", "superseded"}, account
    reliability.fault(f"{changes} parameter changes at 15 Hz", said, None, counted(grown))


def test_subscribers_come_and_go_and_a_stalled_one_holds_nobody_up(bench, reliability):
    before = bench.account()
    bench.start_cameras("--rate", "15")
    client = bench.client
    for _ in range(5):
        bench.wait_for_fused(2)
        client.unsubscribe(FUSED)
        bench.wait_for_drops("visible", "not_listened", 1)
        client.subscribe(FUSED, Image)
    recovery = bench.wait_for_fused()
    # Last, as a dead listener is believed to listen until its lease of 20 s ends.
    listener = subprocess.Popen(
        [sys.executable, str(LISTENER), FUSED],
        env=os.environ | ros_environment(),
        stdout=subprocess.PIPE,
    )
    listener.stdout.readline()
    listener.send_signal(signal.SIGSTOP)
    bench.wait_for_fused(10)
    listener.kill()
    listener.communicate()
    said = bench.wait_until_said("output")
    bench.stop_cameras()
    grown = bench.grown(before)
    assert grown["visible"]["not_listened"] >= 5
    reliability.fault(
        "A subscriber comes and goes 5 times; one is stopped, then killed",
        said,
        recovery,
        counted(grown),
    )


def test_two_hundred_lifecycle_transitions_in_every_order_under_load(bench, reliability):
    """All transitions from all states, allowed or not, while images stream in."""
    client = bench.client
    before = bench.account()
    bench.start_cameras("--rate", "15")
    bench.wait_for_fused()
    threads = count_threads(bench)
    files = count_files(bench)
    targets = {
        ("unconfigured", "configure"): "inactive",
        ("inactive", "activate"): "active",
        ("active", "deactivate"): "inactive",
        ("inactive", "cleanup"): "unconfigured",
    }
    rng, state, tried = random.Random(0), "active", set()
    for _ in range(200):
        transition = rng.choice(["configure", "activate", "deactivate", "cleanup"])
        tried.add((state, transition))
        assert client.change_state(transition) == ((state, transition) in targets)
        state = targets.get((state, transition), state)
        assert client.state() == state
    assert len(tried) == 12, "every transition was tried in every state"
    start = time.monotonic()
    for transition in {"unconfigured": ("configure", "activate"), "inactive": ("activate",)}.get(
        state, ()
    ):
        assert client.change_state(transition)
    bench.wait_for_fused()
    recovery = time.monotonic() - start
    said = bench.wait_until_said("output")
    bench.stop_cameras()
    grown = bench.grown(before)
    client.wait_for(lambda: count_threads(bench) == threads, f"{threads} threads, as before")
    assert count_files(bench) <= files + 2
    reliability.fault("200 lifecycle transitions at 15 Hz", said, recovery, counted(grown))


def count_threads(bench):
    return len(list(Path(f"/proc/{bench.node.process.pid}/task").iterdir()))


def count_files(bench):
    return len(list(Path(f"/proc/{bench.node.process.pid}/fd").iterdir()))
