"""Another model takes over while pairs stream in; a bad one changes nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy")

from rcl_interfaces.srv import GetParameters
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from ros_fixtures import RosProcess, night_pair
from safetensors import safe_open
from safetensors.torch import save_file
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from test_node import header, seconds, settled

from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.network.checkpoint import load_checkpoint, save_checkpoint
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.node.images import image_array, image_message

pytestmark = pytest.mark.live

MASK = "/uaafusion/segmentation/mask"
OVERLAY = "/uaafusion/segmentation/overlay"
CLASSES = "/uaafusion/segmentation/classes"
LATCHED = QoSProfile(depth=5, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)

# About a second to warm up, into which many frames and requests to a tiny model fit.
SLOW = {"contributions": "per_class", "attribution_steps": 20}

PARAMETERS = """
/uaafusion:
  ros__parameters:
    model: {model}
    device: cpu
    max_wait: 5.0
    diagnostics_period: 0.2
    overlay_opacity: 1.0
    qos_overrides:
      /infrared/image_raw:
        subscription: {{reliability: reliable, depth: 100}}
      /visible/image_raw:
        subscription: {{reliability: reliable, depth: 100}}
"""


def save_model(tiny_model, path, shown, *, name, spoil=False, **architecture):
    """A model whose masks hold nothing but the class ``shown``, so that one sees which serves.

    Args:
        spoil: have one weight be NaN, which is seen when the weights are read.
        architecture: what differs from the tiny model.
    """
    model, info = load_checkpoint(tiny_model)
    if architecture:
        info = replace(info, config=replace(info.config, **architecture))
        model = UAAFusion(info.config)
    classifier = model.segmentation.classifier
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.fill_(-3)
        classifier.bias[shown] = 3
        if spoil:
            classifier.bias[0] = torch.nan
    save_checkpoint(path, model, replace(info, name=name, version="7"))
    return path


def save_misfit(model, path):
    """A whole file whose weights are not those that it describes."""
    with safe_open(model, framework="pt") as file:
        weights = {key: file.get_tensor(key) for key in list(file.keys())[1:]}
        save_file(weights, path, metadata=file.metadata())
    return path


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    """The file that the node runs with; its masks show class 1."""
    path = tmp_path_factory.mktemp("robot") / "street.safetensors"
    return save_model(tiny_model, path, 1, name="first")


@pytest.fixture(scope="module")
def node(client, model):
    parameters = model.with_name("parameters.yaml")
    parameters.write_text(PARAMETERS.format(model=model))
    process = RosProcess("fusion_node", model.with_name("log"), "--params-file", str(parameters))
    try:
        client.wait_for(lambda: client.state() == "active", "the node to be active")
        client.subscribe(CLASSES, String, LATCHED)
        client.subscribe(MASK, Image)
        wait_until_connected(client)
        yield process
        assert process.interrupt() == 0
        assert "Traceback" not in process.output()
    finally:
        process.kill()
        client.unsubscribe(MASK)
        client.unsubscribe(CLASSES)


def wait_until_connected(client):
    """Waits for the subscriptions on both sides."""
    inputs = ("infrared/image_raw", "visible/image_raw")
    client.wait_for(
        lambda: (
            all(client._publishers[topic].get_subscription_count() for topic in inputs)
            and client.diagnostics()["output"][2].get(f"subscribers: {MASK}") == "1"
        ),
        "the topics to be connected",
    )


def shown_next(client):
    """Sends a pair; returns the class that its mask shows everywhere."""
    head = header(next(seconds), "visible_camera")
    infrared, visible = night_pair()
    # Of one stamp, so that they are a pair at once, and whenever they come.
    client.publish("infrared/image_raw", image_message(infrared, "mono8", head))
    client.publish("visible/image_raw", image_message(visible, "bgr8", head))

    def masks():
        return [message for message in client.received[MASK] if message.header == head]

    (mask,) = client.wait_for(masks, f"the mask of {head.stamp.sec}")
    (shown,) = np.unique(image_array(mask))
    return int(shown)


def reload_later(client):
    """Asks for a reload; returns the future of the answer."""
    return client.call_later("reload_model", Trigger, Trigger.Request())


def model_parameter(client):
    request = GetParameters.Request(names=["model"])
    return client.call("get_parameters", GetParameters, request).values[0].string_value


def test_a_reload_loses_no_pair_and_the_old_model_goes_on_until_the_new_one_is_warm(
    client, node, model, tiny_model
):
    assert shown_next(client) == 1
    before = settled(client, "visible")
    save_model(tiny_model, model, 2, name="second", **SLOW)
    answer, refused = reload_later(client), reload_later(client)
    client.wait_for(refused.done, "the answer to the second request")
    assert not refused.result().success and "is being loaded" in refused.result().message
    shown = []
    client.wait_for(lambda: shown.append(shown_next(client)) or answer.done(), "the answer")
    shown.append(shown_next(client))

    assert shown[0] == 1 and shown[-1] == 2 and shown == sorted(shown)
    after = settled(client, "visible", before["received"] + len(shown))
    assert after["published"] - before["published"] == len(shown)
    assert {key: n for key, n in after.items() if key.startswith("dropped")} == {
        key: n for key, n in before.items() if key.startswith("dropped")
    }
    assert answer.result().success
    assert "second 7" in answer.result().message and "3 classes" in answer.result().message
    values = client.diagnostics()["node"][2]
    assert values["model"] == "second" and values["model reloads"] == "1"
    assert values["model file"] == str(model)
    assert values["model sha256"][:12] in answer.result().message


def test_bad_files_are_refused_with_the_reason_and_change_nothing(client, node, model, tmp_path):
    good, serving = model.read_bytes(), shown_next(client)
    name = client.diagnostics()["node"][2]["model"]
    cut_off = tmp_path / "cut_off.safetensors"
    cut_off.write_bytes(good[: len(good) // 2])
    for path, said in (
        (cut_off, "not a whole safetensors file"),
        (tmp_path / "none.safetensors", "neither a file nor one that ships"),
        (save_misfit(model, tmp_path / "misfit.safetensors"), "missing: "),
    ):
        assert said in client.set_parameter("model", str(path))
        assert model_parameter(client) == str(model)
    model.write_bytes(cut_off.read_bytes())
    success, message = client.reload_model()
    assert not success and f"{model}: not a whole safetensors file" in message
    level, message, values = client.diagnostics()["node"]
    assert level == 1 and "not a whole safetensors file" in message
    assert values["model"] == name and shown_next(client) == serving
    model.write_bytes(good)
    assert client.reload_model()[0]
    assert client.diagnostics()["node"][0] == 0


def test_a_model_that_fails_after_it_was_accepted_gives_the_parameter_back(
    client, node, model, tiny_model, tmp_path
):
    serving = shown_next(client)
    broken = save_model(tiny_model, tmp_path / "nan.safetensors", 0, name="nan", spoil=True)
    assert client.set_parameter("model", str(broken)) == ""
    client.wait_for(lambda: model_parameter(client) == str(model), "the old parameter")
    level, message, _ = client.diagnostics()["node"]
    assert level == 1 and "nan.safetensors was not put into service" in message
    assert "hold NaN or infinity" in message
    assert shown_next(client) == serving


def test_another_class_list_is_published_before_its_first_mask(client, node, tiny_model, tmp_path):
    classes = ("unlabelled", "road", "person", "robot")
    palette = ((0, 0, 0), (10, 20, 30), (40, 50, 60), (250, 130, 10))
    path = save_model(
        tiny_model, tmp_path / "four.safetensors", 3, name="four", classes=classes, palette=palette
    )
    times = {MASK: [], CLASSES: []}
    subscriptions = [
        client.node.create_subscription(
            Image, MASK, lambda mask, info: times[MASK].append((mask.data[0], info)), 100
        ),
        client.node.create_subscription(
            String, CLASSES, lambda text, info: times[CLASSES].append((text.data, info)), LATCHED
        ),
    ]
    client.subscribe(OVERLAY, Image)
    client.wait_for(lambda: times[CLASSES], "the old list")
    assert client.set_parameter("model", str(path)) == ""
    client.wait_for(lambda: shown_next(client) == 3, "a mask of the new model")
    client.wait_for(lambda: len(times[CLASSES]) == 2, "the new list")
    client.wait_for(lambda: times[MASK] and times[MASK][-1][0] == 3, "the new mask")
    text, listed = times[CLASSES][1]
    first = next(info for shown, info in times[MASK] if shown == 3)
    assert listed["source_timestamp"] < first["source_timestamp"]
    assert json.loads(text)["classes"][3] == {"id": 3, "name": "robot", "rgb": [250, 130, 10]}
    stamp = client.received[MASK][-1].header.stamp
    client.wait_for(lambda: client.received[OVERLAY][-1].header.stamp == stamp, "its overlay")
    assert (image_array(client.received[OVERLAY][-1]) == (10, 130, 250)).all()
    client.unsubscribe(OVERLAY)
    for subscription in subscriptions:
        client.node.destroy_subscription(subscription)


def test_the_last_of_several_parameter_values_serves(client, node, model, tiny_model, tmp_path):
    wanted = save_model(tiny_model, tmp_path / "wanted.safetensors", 1, name="wanted")
    save_model(tiny_model, model_parameter(client), 1, name="gives way", **SLOW)
    answer = reload_later(client)
    assert client.set_parameter("model", str(model)) == ""
    assert client.set_parameter("model", str(wanted)) == ""
    client.wait_for(lambda: client.diagnostics()["node"][2]["model"] == "wanted", "the last value")
    client.wait_for(answer.done, "the answer to the reload, which gave way")
    assert not answer.result().success
    assert "was set to" in answer.result().message or "is being" in answer.result().message
    assert model_parameter(client) == str(wanted)
    assert shown_next(client) == 1


def test_without_a_model_a_reload_is_refused_and_while_inactive_it_is_done(
    client, node, model, tiny_model
):
    save_model(tiny_model, model, 2, name="inactive")
    assert client.change_state("deactivate")
    assert client.set_parameter("model", str(model)) == ""
    client.wait_for(lambda: client.diagnostics()["node"][2]["model"] == "inactive", "the model")
    assert client.change_state("cleanup")
    success, message = client.reload_model()
    assert not success and "configure the node" in message
    assert client.set_parameter("model", "stored, not read") == ""
    assert client.set_parameter("model", str(model)) == ""
    assert client.change_state("configure")
    save_model(tiny_model, model, 1, name="again")
    assert client.reload_model()[0]
    assert client.change_state("activate")
    wait_until_connected(client)
    assert shown_next(client) == 1


def test_a_new_model_goes_on_with_the_old_ones_brightness(tiny_model, tmp_path):
    rng = np.random.default_rng(0)
    visible = rng.integers(0, 255, (64, 96, 3), np.uint8)
    warm, cold = (rng.integers(low, low + 500, (64, 96)).astype(np.uint16) for low in (9000, 7000))

    def load():
        return FusionPipeline.from_file(tiny_model, device="cpu")

    staying, old, new, fresh = load(), load(), load(), load()
    for pipeline in (staying, old):
        pipeline(warm, visible)
    new.warm_up(64, 96)
    new.continue_from(old)
    expected = staying(cold, visible).fused
    np.testing.assert_array_equal(new(cold, visible).fused, expected)
    assert (fresh(cold, visible).fused != expected).any(), "the picture would have jumped"
