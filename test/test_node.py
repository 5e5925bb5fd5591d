"""The fusion node as a process, fed over DDS."""

from itertools import count

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, qos_profile_sensor_data
from ros_fixtures import RosProcess, night_pair
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

from uaafusion_ros.node.images import image_array, image_message

pytestmark = pytest.mark.live

OUTPUTS = {
    "/uaafusion/fused/image": "bgr8",
    "/uaafusion/segmentation/mask": "mono8",
    "/uaafusion/segmentation/overlay": "bgr8",
    "/uaafusion/attribution/overlay": "bgr8",
    "/uaafusion/attribution/infrared_weight": "32FC1",
}
FUSED = "/uaafusion/fused/image"

PARAMETERS = """
/uaafusion:
  ros__parameters:
    model: {model}
    device: cpu
    max_wait: 0.25
    max_skew: 0.02
    diagnostics_period: 0.2
    max_skw: 0.3
    qos_overrides:
      /infrared/image_raw:
        subscription: {{reliability: reliable, depth: 100}}
      /visible/image_raw:
        subscription: {{reliability: reliable, depth: 100}}
      /visible/imagee_raw:
        subscription: {{reliability: reliable}}
"""

seconds = count(1000)
"""Stamps: every pair of the module lies a second after the one before."""


@pytest.fixture(scope="module")
def node(client, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    (folder / "parameters.yaml").write_text(PARAMETERS.format(model=tiny_model))
    process = RosProcess(
        "fusion_node", folder / "log", "--params-file", str(folder / "parameters.yaml")
    )
    try:
        client.wait_for(lambda: client.state() == "active", "the node to be active")
        client.wait_for(
            lambda: all(
                client._publishers[topic].get_subscription_count()
                for topic in ("infrared/image_raw", "visible/image_raw", "visible/camera_info")
            ),
            "the node's subscriptions",
        )
        yield process
    finally:
        process.kill()


@pytest.fixture
def listen(client, node):
    """Subscribes to topics of the node for one test and waits until it knows."""
    subscribed = []

    def listen(*topics, message_type=Image):
        for topic in topics:
            client.subscribe(topic, message_type)
            subscribed.append(topic)
        client.wait_for(lambda: all(is_known(topic) for topic in topics), f"{topics} to be known")

    def is_known(topic):
        return client.diagnostics()["output"][2].get(f"subscribers: {topic}") == "1"

    yield listen
    for topic in subscribed:
        client.unsubscribe(topic)
    client.wait_for(
        lambda: (
            not any(
                value != "0"
                for key, value in client.diagnostics()["output"][2].items()
                if key.startswith("subscribers")
            )
        ),
        "the node to know that nobody listens",
    )


def header(second, frame_id, nanoseconds=0):
    return Header(stamp=Time(sec=second, nanosec=nanoseconds), frame_id=frame_id)


def send_pair(client, infrared=None, visible=None, second=None):
    """Sends one pair 5 ms apart; returns the visible header."""
    second = next(seconds) if second is None else second
    good_infrared, good_visible = night_pair()
    infrared = good_infrared if infrared is None else infrared
    visible = good_visible if visible is None else visible
    visible_header = header(second, "visible_camera")
    for topic, image, head in (
        ("infrared/image_raw", infrared, header(second, "infrared_camera", 5_000_000)),
        ("visible/image_raw", visible, visible_header),
    ):
        if isinstance(image, np.ndarray):
            encodings = {np.dtype("u2"): "mono16", np.dtype("f4"): "32FC1"}
            encoding = "bgr8" if image.ndim == 3 else encodings.get(image.dtype, "mono8")
            image = image_message(image, encoding, head)
        image.header = head
        client.publish(topic, image)
    return visible_header


def wait_for_fused(client, head):
    """Waits for the fused image of a pair."""
    client.wait_for(
        lambda: any(message.header == head for message in client.received[FUSED]),
        f"the fused image of {head.stamp.sec}",
    )


def settled(client, stream, received=0):
    """The account of a stream once so many images have come and nothing is pending."""
    found = {}

    def is_settled():
        found.update(client.account(stream))
        return found["received"] >= received and found["pending"] == 0

    client.wait_for(is_settled, f"{stream} images to be settled")
    return found


def test_all_outputs_carry_the_visible_stamp_frame_size_and_their_encoding(client, node, listen):
    listen(*OUTPUTS)
    infrared, visible = night_pair()
    head = send_pair(client, cv2.resize(infrared, (64, 48)), visible)
    client.wait_for(lambda: all(client.received[topic] for topic in OUTPUTS), "all outputs")
    for topic, encoding in OUTPUTS.items():
        (message,) = client.received[topic]
        assert message.header == head, topic
        assert (message.height, message.width) == visible.shape[:2], topic
        assert message.encoding == encoding, topic
    arrays = {topic: image_array(client.received[topic][0]) for topic in OUTPUTS}
    assert np.ptp(arrays[FUSED]) > 100, "the fused image has contrast"
    sign = arrays[FUSED][30:60, 84:92].reshape(-1, 3).astype(int)
    assert (sign[:, 2] > sign[:, 0]).all(), "the red sign keeps its colour"
    assert arrays["/uaafusion/segmentation/mask"].max() < 3, "class ids of a model of 3 classes"
    weight = arrays["/uaafusion/attribution/infrared_weight"]
    assert weight.min() >= 0 and weight.max() <= 1
    assert (arrays["/uaafusion/segmentation/overlay"] != arrays[FUSED]).any()


def test_only_what_somebody_subscribes_to_is_published(client, node, listen):
    before = settled(client, "visible")
    send_pair(client)
    after = settled(client, "visible", before["received"] + 1)
    assert after.get("not_listened", 0) == before.get("not_listened", 0) + 1
    assert after["published"] == before["published"]
    mask = "/uaafusion/segmentation/mask"
    listen(mask)
    send_pair(client)
    client.wait_for(lambda: client.received[mask], "the mask")
    values = client.diagnostics()["output"][2]
    assert values[f"subscribers: {mask}"] == "1" and values[f"subscribers: {FUSED}"] == "0"


def test_camera_info_follows_the_fused_image(client, node, listen):
    topic = "/uaafusion/fused/camera_info"
    listen(topic, message_type=CameraInfo)
    info = CameraInfo(height=480, width=640, distortion_model="plumb_bob")
    info.k = [400.0, 0.0, 320.0, 0.0, 400.0, 240.0, 0.0, 0.0, 1.0]
    client.publish("visible/camera_info", info)
    heads = []

    def comes():  # with the first pair after the description
        heads.append(send_pair(client))
        client.spin(0.1)
        return client.received[topic]

    client.wait_for(comes, "camera info")
    found = client.received[topic][0]
    assert found.header in heads
    # The image has a fifth of the size that the description is for.
    assert (found.height, found.width) == (96, 128)
    np.testing.assert_allclose(found.k, [80, 0, 64, 0, 80, 48, 0, 0, 1])


def test_classes_are_latched_for_late_subscribers(client, node):
    import json

    topic = "/uaafusion/segmentation/classes"
    client.subscribe(
        topic, String, QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    )
    client.wait_for(lambda: client.received[topic], "the classes")
    classes = json.loads(client.received[topic][0].data)["classes"]
    assert classes[2] == {"id": 2, "name": "person", "rgb": [220, 20, 60]}
    client.unsubscribe(topic)


def bad_messages():
    """Images that a broken driver may send, by stream, and the reason that counts them."""
    infrared, visible = night_pair()

    def altered(**changes):
        message = image_message(visible, "bgr8", Header())
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    hole = infrared.astype(np.float32)
    hole[:60] = np.nan
    empty = Image(encoding="mono8")
    return [
        ("visible", altered(height=0), "invalid_image"),
        ("visible", altered(step=1), "invalid_image"),
        ("visible", altered(height=97), "invalid_image"),
        ("visible", altered(encoding="nonsense"), "invalid_image"),
        ("infrared", empty, "invalid_image"),
        ("infrared", hole, "refused"),
        ("visible", np.zeros((8, 8, 3), np.uint8), "refused"),
    ]


def test_bad_images_are_counted_by_reason_and_the_next_good_pair_is_fused(client, node, listen):
    listen(FUSED)
    for stream, message, reason in bad_messages():
        before = settled(client, stream)
        send_pair(client, **{stream: message})
        after = settled(client, stream, before["received"] + 1)
        assert after.get(reason, 0) == before.get(reason, 0) + 1, (stream, message, after)
        wait_for_fused(client, send_pair(client))
    level, message, _ = client.diagnostics()["visible input"]
    assert level == 1 and "'nonsense', expected one of" in message
    assert "visible image dropped: image of 128x0 pixels" in node.output()


def test_constant_and_changing_images_are_fused_with_a_warning(client, node, listen):
    listen(FUSED)
    flat = np.full((96, 128), 77, np.uint8)
    wait_for_fused(client, send_pair(client, infrared=flat))
    assert "infrared image is constant (77)" in node.output()
    infrared, visible = night_pair(120, 160)
    wait_for_fused(client, send_pair(client, infrared, visible))
    assert client.received[FUSED][-1].width == 160
    assert "visible images change from" in node.output()


def test_every_image_sent_is_published_or_counted(client, node, listen):
    listen(FUSED)
    before = {stream: settled(client, stream) for stream in ("infrared", "visible")}
    # However busy the machine: the halves of a pair may come a while apart.
    assert client.set_parameter("max_wait", 3.0) == ""
    infrared, visible = night_pair(240, 320)
    sent = 30
    for number in range(sent):  # as fast as they go: the mailbox has to let some pairs go
        second = next(seconds)
        send_pair(client, infrared, visible, second)
        if number % 3 == 0:  # and an infrared image that nothing belongs to
            extra = image_message(infrared, "mono8", header(second, "", 500_000_000))
            client.publish("infrared/image_raw", extra)
        client.spin(0.01)
    for stream, expected in (("infrared", sent + 10), ("visible", sent)):
        after = settled(client, stream, before[stream]["received"] + expected)
        grown = {key: value - before[stream].get(key, 0) for key, value in after.items()}
        assert grown.pop("received") == expected
        assert sum(grown.values()) == expected, grown
        assert grown["published"] >= 1
        assert grown.get("superseded", 0) + grown["published"] == sent
        assert grown.get("unpaired", 0) == expected - sent
    client.wait_for(lambda: len(client.received[FUSED]) == grown["published"], "fused images")
    assert client.set_parameter("max_wait", 0.25) == ""


def test_stamps_too_far_apart_are_explained(client, node, listen):
    listen(FUSED)
    infrared, visible = night_pair()
    for _ in range(12):
        second = next(seconds)
        for topic, image, offset in (
            ("infrared/image_raw", infrared, 80_000_000),
            ("visible/image_raw", visible, 0),
        ):
            encoding = "mono8" if image.ndim == 2 else "bgr8"
            client.publish(topic, image_message(image, encoding, header(second, "", offset)))
    said = "but max_skew is 20 ms; infrared stamps run 80 ms ahead, set infrared_offset: -0.080"
    client.wait_for(lambda: said in client.diagnostics()["pairing"][1], "the explanation")
    assert client.set_parameter("infrared_offset", -0.08) == ""
    second = next(seconds)
    client.publish(
        "infrared/image_raw", image_message(infrared, "mono8", header(second, "", 80_000_000))
    )
    head = header(second, "visible_camera")
    client.publish("visible/image_raw", image_message(visible, "bgr8", head))
    wait_for_fused(client, head)
    assert client.set_parameter("infrared_offset", 0.0) == ""


def test_a_clock_that_runs_backwards_starts_pairing_anew(client, node, listen):
    listen(FUSED)
    wait_for_fused(client, send_pair(client))
    wait_for_fused(client, send_pair(client, second=10))
    wait_for_fused(client, send_pair(client, second=11))
    assert "stamps ran backwards" in node.output()


def test_a_publisher_of_incompatible_qos_is_named(client, node):
    publisher = client.node.create_publisher(Image, "infrared/image_raw", qos_profile_sensor_data)
    said = "/infrared/image_raw offers incompatible QoS (RELIABILITY); set qos_overrides"
    client.wait_for(lambda: said in node.output(), "the warning")
    client.node.destroy_publisher(publisher)


def test_unknown_parameters_are_reported_with_near_matches(client, node):
    assert "unknown parameter 'max_skw' is ignored; did you mean max_skew" in node.output()
    assert (
        "'qos_overrides./visible/imagee_raw.subscription.reliability' is ignored" in node.output()
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("device", "cuda", "bring the node to unconfigured first"),
        ("model", "other", "neither a file nor one that ships"),
        ("autostart", False, "read-only"),
        ("stretch.mode", "histogram", "expected one of: minmax, none"),
        ("gain.low_percentile", 99.9, "gain percentiles are 99.9 and 99.5"),
        ("max_skew", -1.0, "max_skew"),
        ("mode", "realtime", "the model has no student head; train one onto it"),
        ("mode", "quick", "expected one of: auto, exact, fast, realtime"),
    ],
)
def test_parameters_that_cannot_change_are_refused_with_the_reason(client, node, name, value, said):
    assert said in client.set_parameter(name, value)


def test_parameters_change_from_one_frame_to_the_next(client, node, listen):
    overlay = "/uaafusion/segmentation/overlay"
    listen(FUSED, overlay)
    assert client.set_parameter("overlay_opacity", 0.0) == ""
    head = send_pair(client)
    client.wait_for(lambda: client.received[overlay], "the overlay")
    wait_for_fused(client, head)
    assert client.received[overlay][0].data == client.received[FUSED][0].data
    assert client.set_parameter("overlay_opacity", 0.5) == ""


def test_the_mode_changes_between_two_frames_and_the_diagnostics_name_it(client, node, listen):
    listen(FUSED)
    before = settled(client, "visible")
    assert client.diagnostics()["node"][2]["mode"] == "exact", "what auto means without a head"
    for mode in ("fast", "exact"):
        assert client.set_parameter("mode", mode) == ""
        wait_for_fused(client, send_pair(client))
        _, message, values = client.diagnostics()["node"]
        assert values["mode"] == mode and message.endswith(f"on cpu, {mode}")
    after = settled(client, "visible", before["received"] + 2)
    assert after["published"] == before["published"] + 2, "and no frame is lost by it"
    assert client.set_parameter("mode", "auto") == ""


def test_compressed_images_after_a_change_of_transport(client, node, listen):
    assert client.change_state("deactivate")
    assert client.state() == "inactive"
    assert client.set_parameter("input_transport", "compressed") == ""
    assert client.change_state("activate")
    listen(FUSED)
    infrared, visible = night_pair()
    head = header(next(seconds), "visible_camera")
    topics = {"infrared": infrared.astype(np.uint16) * 100, "visible": visible}
    for stream in topics:
        publisher = client._publishers[f"{stream}/image_raw/compressed"]
        client.wait_for(publisher.get_subscription_count, "the compressed subscription")
    for stream, image in topics.items():
        message = CompressedImage(header=head, format="png")
        message.data.frombytes(cv2.imencode(".png", image)[1].tobytes())
        client.publish(f"{stream}/image_raw/compressed", message)
    wait_for_fused(client, head)


def test_an_interrupt_ends_the_node_with_its_account_and_no_traceback(client, node):
    assert node.interrupt() == 0
    output = node.output()
    assert "Traceback" not in output
    assert "published" in output.rsplit("stopped; infrared:", 1)[1]
