"""Model files that go bad under a running node, devices without memory, disks without room."""

import json
import os
import pickle
import resource
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy")

from fault_fixtures import FUSED, Bench, counted, save_light_model, wait_until_active
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from ros_fixtures import PATIENCE, RosProcess, ros_environment
from sensor_msgs.msg import Image
from std_msgs.msg import String

pytestmark = pytest.mark.live

SPOILS = {
    "deleted": lambda path: path.unlink(),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "replaced by a pickle": lambda path: path.write_bytes(pickle.dumps({"weights": [1, 2, 3]})),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_spoilt_model_file_is_refused_while_the_old_model_goes_on(
    bench, parameters, reliability, spoil
):
    model = parameters.with_name("street.safetensors")
    good, before = model.read_bytes(), bench.account()
    bench.start_cameras()
    bench.wait_for_fused()
    SPOILS[spoil](model)
    success, message = bench.client.reload_model()
    assert not success and str(model) in message
    said = bench.wait_until_said("node", "was not put into service", level=1)
    bench.wait_for_fused()
    model.write_bytes(good)
    assert bench.client.reload_model()[0]
    bench.wait_until_said("node", "active: street on cpu", level=0)
    bench.wait_for_fused()
    bench.stop_cameras()
    grown = bench.grown(before)
    assert "failed" not in grown["visible"]
    said = said.replace(f"{model.parent}/", "…/")
    reliability.fault(f"Model file {spoil} while it serves", said, None, counted(grown))


def test_a_model_of_other_classes_takes_over_under_load(bench, parameters, reliability):
    model = parameters.with_name("street.safetensors")
    good, before = model.read_bytes(), bench.account()
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    classes = "/uaafusion/segmentation/classes"
    bench.client.subscribe(classes, String, latched)
    bench.start_cameras()
    bench.wait_for_fused()
    save_light_model(model, ("unlabelled", "road", "robot"))
    success, message = bench.client.reload_model()
    assert success and "3 classes: unlabelled, road, robot" in message
    bench.wait_for_fused()
    bench.client.wait_for(
        lambda: len(json.loads(bench.client.received[classes][-1].data)["classes"]) == 3, "classes"
    )
    said = bench.wait_until_said("node", "active: street on cpu", level=0)
    bench.stop_cameras()
    bench.client.unsubscribe(classes)
    model.write_bytes(good)
    grown = bench.grown(before)
    reliability.fault("Reload of a model with other classes", said, None, counted(grown))


def test_a_full_disk_ends_the_recording_alone_and_what_is_written_can_be_read(
    bench, reliability, tmp_path
):
    pytest.importorskip("rosbags")
    from uaafusion_ros.bag_salvage import BagDamageError, salvage

    before = bench.account()
    bag = tmp_path / "outputs.mcap"
    room = 400_000
    recorder = subprocess.Popen(
        [sys.executable, "-m", "uaafusion_ros.node.recorder", "--bag", str(bag)]
        + ["--topic", FUSED, "sensor_msgs/msg/Image"],
        env=os.environ | ros_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    bench.start_cameras("--size", "128", "160")
    _, errors = recorder.communicate(timeout=PATIENCE)
    assert recorder.returncode == 1
    assert "outputs.mcap is incomplete" in errors and "Traceback" not in errors
    bench.wait_for_fused()
    bench.stop_cameras()
    (unfinished,) = tmp_path.rglob("*.mcap")
    found = 0
    with pytest.raises(BagDamageError):
        for _ in salvage(unfinished):
            found += 1
    assert found >= 5
    said = f"(recorder) {errors.strip().splitlines()[-1].replace(str(tmp_path), '…')}"
    reliability.fault("Disk full while recording", said, None, counted(bench.grown(before)))


class Limit:
    """The file that says for how many pixels the memory suffices."""

    def __init__(self, path):
        self.path = path

    def set(self, pixels):
        """Replaces it in one step: the node reads it at any time."""
        new = self.path.with_suffix(".new")
        new.write_text(str(pixels))
        new.replace(self.path)


@pytest.fixture
def starved(client, parameters, tmp_path, monkeypatch):
    """A node whose memory suffices for the number of pixels in a file."""
    limit = Limit(tmp_path / "limit")
    limit.set(1_000_000)
    monkeypatch.setenv("STARVED_LIMIT", str(limit.path))
    script = os.path.join(os.path.dirname(__file__), "starved_node.py")
    process = RosProcess(
        script, tmp_path / "log", "-r", "__node:=starved", "--params-file", str(parameters)
    )
    yield process, limit
    process.kill()


def test_a_frame_without_memory_is_fused_smaller_or_counted(client, starved, reliability):
    process, limit = starved
    bench = Bench(client, process, name="starved")
    wait_until_active(client, process, "starved")
    topic = "/starved/fused/image"
    client.subscribe(topic, Image)
    before = bench.account()
    bench.start_cameras()
    try:
        bench.wait_for_fused()
        limit.set(50 * 40)  # half of 64x96 fits, the whole does not
        said = bench.wait_until_said("output", "ran out of memory: fused at 48 pixels", level=1)
        bench.wait_for_fused()
        limit.set(10)
        reported = bench.wait_until_said("output", "pairs could not be fused")
        assert "has no memory for a frame" in reported
        limit.set(1_000_000)
        start = time.monotonic()
        bench.wait_for_fused(1)
        recovery = time.monotonic() - start
        assert client.set_parameter("max_side", 0, node="starved") == ""  # tries the full size
        bench.wait_until_said("output", absent="ran out of memory")
        bench.stop_cameras()
        grown = bench.grown(before)
    finally:
        bench.kill_cameras()
        client.unsubscribe(topic)
    assert grown["visible"]["out_of_memory"] >= 1
    assert "failed" not in grown["visible"]
    assert process.interrupt() == 0
    assert "Traceback" not in process.output()
    reliability.fault("GPU out of memory", f"{said}; {reported}", recovery, counted(grown))
