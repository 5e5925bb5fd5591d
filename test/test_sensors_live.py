"""Clocks and sensors as they are, over DDS: a node on simulated time that never comes."""

from itertools import count

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time
from ros_fixtures import RosProcess, night_pair
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from uaafusion_ros.node.images import image_message

pytestmark = pytest.mark.live

FUSED = "/uaafusion/fused/image"
RELIABLE = "subscription.reliability:=reliable"
PERIOD = 40_000_000
ticks = count(25 * 7)
"""Stamps of a simulation that began seven seconds ago, in periods."""


@pytest.fixture(scope="module")
def node(client, tiny_model, tmp_path_factory):
    process = RosProcess(
        "fusion_node",
        tmp_path_factory.mktemp("sensors") / "log",
        *("-p", f"model:={tiny_model}", "-p", "device:=cpu", "-p", "use_sim_time:=true"),
        *("-p", "diagnostics_period:=0.2", "-p", "max_skew:=0.015", "-p", "max_wait:=0.5"),
        *("-p", f"qos_overrides./infrared/image_raw.{RELIABLE}"),
        *("-p", f"qos_overrides./visible/image_raw.{RELIABLE}"),
    )
    try:
        client.wait_for(lambda: client.state() == "active", "the node to be active")
        client.subscribe(FUSED, Image)
        topics = "infrared/image_raw", "visible/image_raw", "visible/camera_info"
        client.wait_for(
            lambda: (
                all(client._publishers[topic].get_subscription_count() for topic in topics)
                and client.diagnostics()["output"][2].get(f"subscribers: {FUSED}") == "1"
            ),
            "the node's subscriptions",
        )
        yield process
    finally:
        client.unsubscribe(FUSED)
        process.kill()


def header(nanoseconds, frame_id="camera"):
    stamp = Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return Header(stamp=stamp, frame_id=frame_id)


def send(client, stamp, infrared=None, visible=None, ahead=0):
    """A pair with noise, unless it is given; infrared is ``ahead`` by its stamp."""
    rng = np.random.default_rng(stamp)
    if infrared is None:
        scene, _ = night_pair()
        infrared = (7000 + 20 * scene.astype(np.uint16) + rng.integers(0, 9, scene.shape)).astype(
            np.uint16
        )
    if visible is None:
        visible = night_pair()[1] + rng.integers(0, 9, (96, 128, 3)).astype(np.uint8)
    message = image_message(infrared, "mono16", header(stamp + ahead if stamp else 0))
    client.publish("infrared/image_raw", message)
    client.publish("visible/image_raw", image_message(visible, "bgr8", header(stamp)))


def fused(client, stamp):
    client.wait_for(
        lambda: any(message.header == header(stamp) for message in client.received[FUSED]),
        f"the fused image of {stamp}",
    )


def test_pairs_are_fused_though_simulated_time_stands_still(client, node):
    for _ in range(3):
        stamp = next(ticks) * PERIOD
        send(client, stamp)
        fused(client, stamp)
    assert client.diagnostics()["infrared input"][0] == 0


def test_images_that_repeat_are_counted_and_said(client, node):
    still = night_pair()[0].astype(np.uint16) * 30
    before = int(client.diagnostics()["infrared input"][2]["repeated images"])
    for _ in range(30):  # 1.2 s by the stamps, longer than a shutter
        stamp = next(ticks) * PERIOD
        send(client, stamp, infrared=still)
        fused(client, stamp)
    level, said, values = client.diagnostics()["infrared input"]
    assert int(values["repeated images"]) == before + 29
    assert level == 1 and "has been the same for 1 s although its stamps go on" in said
    stamp = next(ticks) * PERIOD
    send(client, stamp)
    fused(client, stamp)
    level, said, _ = client.diagnostics()["infrared input"]
    assert level == 0 and "repeat the one before: a shutter" in said


def test_a_constant_offset_is_suggested_with_its_value(client, node):
    for _ in range(70):
        send(client, next(ticks) * PERIOD, ahead=12_000_000)
        client.spin(0.02)
    said = "infrared stamps run 12 ms ahead, set infrared_offset: -0.012"
    client.wait_for(lambda: said in client.diagnostics()["pairing"][1], "the suggestion")
    values = client.diagnostics()["pairing"][2]
    assert values["suggested infrared_offset (s)"] == "-0.012"


def test_unset_stamps_are_counted_and_what_follows_is_fused(client, node):
    for _ in range(4):
        send(client, 0)
    reason = "unset_stamp"
    client.wait_for(lambda: client.account("visible").get(reason, 0) == 4, "the count")
    assert client.account("infrared")[reason] == 4
    level, said, _ = client.diagnostics()["infrared input"]
    assert level == 2 and "fill header.stamp" in said
    stamp = next(ticks) * PERIOD
    send(client, stamp)
    fused(client, stamp)


def test_cameras_that_start_anew_with_old_stamps_are_fused_at_once(client, node):
    for place in range(1, 4):
        send(client, place * PERIOD)
        fused(client, place * PERIOD)
    assert "stamps ran backwards" in node.output()
    stamp = 3_600 * 10**9  # an operator skips an hour
    send(client, stamp)
    fused(client, stamp)


def test_registration_by_camera_info_waits_for_both_and_says_so(client, node):
    assert client.set_parameter("registration", "camera_info") == ""
    before = client.account("visible").get("refused", 0)
    stamps = count(7200 * 10**9, PERIOD)
    send(client, next(stamps))
    client.wait_for(
        lambda: client.account("visible").get("refused", 0) == before + 1, "the refusal"
    )
    assert "nothing has come on infrared/camera_info yet" in client.diagnostics()["output"][1]
    info = CameraInfo(height=96, width=128, k=[120.0, 0, 63.5, 0, 120.0, 47.5, 0, 0, 1])
    client.publish("infrared/camera_info", info)
    client.publish("visible/camera_info", info)

    def comes():  # with the first pair after both descriptions
        send(client, next(stamps))
        client.spin(0.1)
        return len(client.received[FUSED]) > before

    before = len(client.received[FUSED])
    client.wait_for(comes, "a fused image")
    assert "expected 3 numbers" in client.set_parameter("infrared_rotation", [0.1, 0.2])
    assert client.set_parameter("registration", "homography") == ""
