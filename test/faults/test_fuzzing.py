"""Random and mutated messages: refused with a sentence, never a crash, a hang or a leak.

5,000 messages go through the very functions that the node calls; a sample goes to a running node
over DDS, which then fuses the next good pair.
"""

import os
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from fault_fixtures import FUSED, STREAMS, counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ros_fixtures import night_pair
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from test_node import header, seconds

from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import GainControl
from uaafusion_ros.node.camera_info import fused_camera_info
from uaafusion_ros.node.compressed_images import check_compressed
from uaafusion_ros.node.images import ENCODINGS, ImageError, check_image, image_message, is_constant
from uaafusion_ros.node.inputs import COMPRESSED_DECODERS, RAW_DECODERS

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
"""Numbers beyond all bounds are met knowingly, not by NumPy's warnings in the node's log."""

IMAGES, COMPRESSED, CAMERA_INFOS = 2000, 2000, 1000
SAMPLE = 60
GROWTH = 64 * 2**20
"""Bytes that the process may grow by: caches, not a leak in every message."""

fuzzing = settings(
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

extreme = st.sampled_from([0, 1, 2, 31, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1])
length = st.one_of(st.integers(0, 64), extreme)
encodings = st.one_of(st.sampled_from(sorted(ENCODINGS)), st.text(max_size=8))


def images(draw):
    """An image of random fields, or a whole one of which something is altered."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    encoding = draw(encodings)
    layout = ENCODINGS.get(encoding)
    pixel = layout.channels * np.dtype(layout.dtype).itemsize if layout else 1
    step = width * pixel + draw(st.sampled_from([0, 0, 3]))
    message = Image(height=height, width=width, encoding=encoding, step=step)
    message.is_bigendian = draw(st.integers(0, 255))
    message.data.frombytes(draw(st.randoms(use_true_random=False)).randbytes(step * height))
    match draw(st.sampled_from(["whole", "whole", "height", "width", "step", "data"])):
        case "data":
            message.data = message.data[: draw(st.integers(0, 40))]
        case "whole":
            pass
        case field:
            setattr(message, field, draw(length))
    return message


def compressed(draw):
    """Random bytes, or a PNG or JPEG file with bytes changed, cut out or put in."""
    shape = (draw(st.integers(1, 16)), draw(st.integers(1, 16)), draw(st.sampled_from([1, 3, 4])))
    rng = draw(st.randoms(use_true_random=False))
    pixels = np.frombuffer(rng.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
    suffix = draw(st.sampled_from([".png", ".png16", ".jpg", ""]))
    if suffix == ".png16":
        data = cv2.imencode(".png", pixels[..., 0].astype(np.uint16) * 200)[1].tobytes()
    elif suffix:
        data = cv2.imencode(suffix, pixels if suffix == ".png" else pixels[..., :3])[1].tobytes()
    else:
        data = rng.randbytes(draw(st.integers(0, 80)))
    data = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.choice(["change", "cut", "put", "end"]):
            case "change" if at < len(data):
                data[at] = rng.randrange(256)
            case "cut":
                del data[at : at + rng.randrange(9)]
            case "put":
                data[at:at] = rng.randbytes(rng.randrange(9))
            case "end":
                del data[max(at, 8) :]
    message = CompressedImage(format=draw(st.sampled_from(["png", "jpeg", "", "compressedDepth"])))
    message.data.frombytes(bytes(data))
    return message


number = st.floats(width=64)


def camera_infos(draw):
    info = CameraInfo(height=draw(length), width=draw(length))
    info.binning_x, info.binning_y = draw(length), draw(length)
    info.roi = RegionOfInterest(
        x_offset=draw(length), y_offset=draw(length), height=draw(length), width=draw(length)
    )
    info.k, info.p = ([draw(number) for _ in range(count)] for count in (9, 12))
    info.d = [draw(number) for _ in range(draw(st.integers(0, 5)))]
    info.distortion_model = draw(st.text(max_size=8))
    return info


images, compressed, camera_infos = map(st.composite, (images, compressed, camera_infos))


@pytest.fixture(scope="module", autouse=True)
def report(reliability):
    """Notes the promise once all tests of the module have passed."""
    done: dict[str, str] = {}
    yield done
    if len(done) == 4:
        reliability.promise(
            f"Fuzzing: {IMAGES + COMPRESSED + CAMERA_INFOS} random and mutated messages, and "
            f"{2 * SAMPLE} over DDS: no crash, no hang, no growth, the next good pair fused",
            "; ".join(done.values()),
            "make test PYTEST_ARGS=test/faults/test_fuzzing.py",
        )


def memory(process="self"):
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def decode(check, decoders, message):
    """What the node does with a message: whether it has become luminance."""
    try:
        check(message)
        arrays = {stream: decoder(message) for stream, decoder in decoders.items()}
    except ImageError as error:
        assert len(str(error)) > 10
        return False
    for array in arrays.values():
        is_constant(array)
    try:
        luminance = GainControl()(arrays["infrared"], PipelineSettings())
    except FrameError:
        return False
    assert luminance.min() >= 0 and luminance.max() <= 1
    return True


@pytest.mark.parametrize(
    ("kind", "strategy", "check", "decoders", "count"),
    [
        ("Image", images(), check_image, RAW_DECODERS, IMAGES),
        ("CompressedImage", compressed(), check_compressed, COMPRESSED_DECODERS, COMPRESSED),
    ],
    ids=["Image", "CompressedImage"],
)
def test_images_are_decoded_or_refused_with_a_sentence(
    report, kind, strategy, check, decoders, count
):
    outcomes, sizes = {True: 0, False: 0}, []

    @settings(fuzzing, max_examples=count)
    @given(strategy)
    def fuzz(message):
        outcomes[decode(check, decoders, message)] += 1
        sizes.append(memory())

    fuzz()
    assert min(outcomes.values()) > count // 20, outcomes
    assert sizes[-1] - sizes[len(sizes) // 4] < GROWTH
    report[kind] = f"{kind}: {outcomes[True]} decoded, {outcomes[False]} refused"


def test_camera_infos_are_taken_whatever_they_hold(report):
    @settings(fuzzing, max_examples=CAMERA_INFOS)
    @given(camera_infos(), st.integers(1, 2**16), st.integers(1, 2**16))
    def fuzz(info, height, width):
        result = fused_camera_info(info, Header(frame_id="f"), height, width)
        # A region of interest keeps the sensor's size; what it describes is the image.
        described = (
            (result.roi.height or result.height) // max(result.binning_y, 1),
            (result.roi.width or result.width) // max(result.binning_x, 1),
        )
        assert described == (height, width)

    fuzz()
    report["CameraInfo"] = f"CameraInfo: {CAMERA_INFOS} taken"


def test_a_sample_over_dds_leaves_the_node_fusing(bench, report):
    """Raw and compressed, the bad image in the one stream and then in the other."""
    client, grown = bench.client, {}
    samples = {
        "raw": collect(images(), SAMPLE),
        "compressed": collect(compressed(), SAMPLE),
    }
    infos = collect(camera_infos(), 20)
    for transport, messages in samples.items():
        if transport == "compressed":
            assert client.change_state("deactivate")
            assert client.set_parameter("input_transport", transport) == ""
            assert client.change_state("activate")
        suffix = "/compressed" if transport == "compressed" else ""
        topics = {stream: f"{stream}/image_raw{suffix}" for stream in STREAMS}
        client.wait_for(
            lambda topics=topics: all(
                client._publishers[topic].get_subscription_count() for topic in topics.values()
            ),
            "the node's subscriptions",
        )
        before, start = bench.account(), memory(bench.node.process.pid)
        for number, message in enumerate(messages):
            head = header(next(seconds), "visible_camera")
            bad = STREAMS[number % 2]
            for stream, topic in topics.items():
                image = message if stream == bad else good(stream, transport)
                image.header = head
                client.publish(topic, image)
            client.publish("visible/camera_info", infos[number % len(infos)])
            client.spin(0.01)
        head = header(next(seconds), "visible_camera")
        for stream, topic in topics.items():
            image = good(stream, transport)
            image.header = head
            client.publish(topic, image)
        client.wait_for(
            lambda head=head: any(m.header == head for m in client.received[FUSED]), "a good pair"
        )
        grown[transport] = bench.grown(before)
        for account in grown[transport].values():
            assert "failed" not in account, bench.node.output()[-3000:]
            assert account["received"] == SAMPLE + 1
        assert memory(bench.node.process.pid) - start < GROWTH
    report["DDS"] = "; ".join(f"{name} over DDS: {counted(g)}" for name, g in grown.items())


def good(stream, transport):
    infrared, visible = night_pair(64, 96)
    pixels = infrared if stream == "infrared" else visible
    if transport == "raw":
        return image_message(pixels, "mono8" if stream == "infrared" else "bgr8", Header())
    message = CompressedImage(format="png")
    message.data.frombytes(cv2.imencode(".png", pixels)[1].tobytes())
    return message


def collect(strategy, count):
    """So many examples of a strategy, the same in every run."""
    found = []

    @settings(fuzzing, max_examples=count, derandomize=True)
    @given(strategy)
    def take(example):
        found.append(example)

    take()
    random.Random(0).shuffle(found)
    return (found * count)[:count]
