"""Recordings with the fusion in them: nothing lost, nothing changed, the same every time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_fixtures import START, STORE, header, raw, street, street_bag
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import CompressionMode, Reader
from typer.testing import CliRunner, Result

from uaafusion_ros.cli import app
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings
from uaafusion_ros.inference.render import attribution_overlay, mask_overlay
from uaafusion_ros.offline.recordings import Recordings

INFRARED, VISIBLE = "/thermal/image_raw", "/camera/image_raw"
FUSED, MASK = "/uaafusion/fused/image", "/uaafusion/segmentation/mask"
CLASSES = "/uaafusion/segmentation/classes"
IMAGES = {
    FUSED: "bgr8",
    MASK: "mono8",
    "/uaafusion/segmentation/overlay": "bgr8",
    "/uaafusion/attribution/overlay": "bgr8",
    "/uaafusion/attribution/infrared_weight": "32FC1",
}
INFO = "sensor_msgs/msg/CameraInfo"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bag", *map(str, arguments), "--device", "cpu"])


def fuse(*arguments: object, status: int = 0) -> dict:
    done = run(*arguments)
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def contents(bag: Path) -> list[tuple[str, int, bytes]]:
    """Topic, time and bytes of all messages, in the order in which they are played."""
    with Reader(bag) as reader:
        found = [
            (c.topic, time, bytes(data)) for c, time, data in reader.messages(reader.connections)
        ]
    return sorted(found)


def messages(bag: Path, topic: str) -> list:
    with AnyReader([bag]) as reader:
        wanted = [c for c in reader.connections if c.topic == topic]
        return [reader.deserialize(d, c.msgtype) for c, _, d in reader.messages(wanted)]


def stamp(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def pixels(message) -> np.ndarray:
    dtype = np.float32 if message.encoding == "32FC1" else np.uint8
    array = message.data.view(dtype).reshape(message.height, message.width, -1)
    return array[..., 0] if array.shape[2] == 1 else array


def camera_info(at: int):
    roi = STORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    k = np.array([100.0, 0, 96, 0, 100, 72, 0, 0, 1])
    p = np.array([100.0, 0, 96, 0, 0, 100, 72, 0, 0, 0, 1, 0])
    return STORE.types[INFO](
        header(at), 144, 192, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), p, 0, 0, roi
    )


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    """Two seconds, with the visible camera's description at twice the size of its images."""
    bag = street_bag(tmp_path_factory.mktemp("drive") / "drive", seconds=2.0)
    for index in range(20):
        at = START + index * 100_000_000
        bag.add("/camera/camera_info", at + 9_000_000, camera_info(at))
    return bag.write()


@pytest.fixture(scope="module")
def fused(drive, tiny_model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fused") / "fused"
    summary = fuse(drive, "--out", out, "--model", tiny_model, "--jobs", 1)
    assert summary["found"] == {"infrared": 10, "visible": 20}
    assert summary["dropped"] == {"infrared": {}, "visible": {"unpaired": 10}}
    assert summary["paired"] == summary["fused"] == 10 and summary["complete"] is True
    return out


def test_every_original_message_is_kept_byte_for_byte_beside_ours(drive, fused) -> None:
    originals = contents(drive)
    names = {topic for topic, *_ in originals}
    assert [entry for entry in contents(fused) if entry[0] in names] == originals
    assert {topic for topic, *_ in contents(fused)} - names == {
        *IMAGES,
        CLASSES,
        "/uaafusion/fused/camera_info",
    }


def test_outputs_are_the_node_s_images_with_the_visible_stamp_and_frame(
    drive, fused, tiny_model
) -> None:
    pipeline = FusionPipeline.from_file(tiny_model, device="cpu", settings=PipelineSettings())
    found = {topic: messages(fused, topic) for topic in IMAGES}
    for index in range(10):
        time = index / 5
        frame = street(time)
        counts = 7000 + 10 * cv2.resize(frame.infrared, (64, 48)).astype(np.uint16)
        result = pipeline(counts, frame.visible)
        expected = {
            FUSED: result.fused,
            MASK: result.mask,
            "/uaafusion/segmentation/overlay": mask_overlay(
                result.fused, result.mask, pipeline.palette
            ),
            "/uaafusion/attribution/overlay": attribution_overlay(
                result.fused, result.infrared_weight, result.attention
            ),
            "/uaafusion/attribution/infrared_weight": result.infrared_weight,
        }
        for topic, encoding in IMAGES.items():
            message = found[topic][index]
            assert message.encoding == encoding and message.header.frame_id == "camera"
            assert stamp(message) == START + round(time * 1e9)
            image = pixels(message).astype(float)
            # Threads add in other orders; the tiny model's masks lie on the edge of two classes.
            assert np.median(np.abs(image - expected[topic])) <= 1


def test_class_list_is_latched_for_ros2_bag_play_and_comes_first(fused) -> None:
    with Reader(fused) as reader:
        connection = next(c for c in reader.connections if c.topic == CLASSES)
        (qos,) = connection.ext.offered_qos_profiles
        assert qos.durability is QosDurability.TRANSIENT_LOCAL and qos.depth == 1
        first = next(iter(reader.messages(reader.connections)))
        assert first[0].topic == CLASSES
    (message,) = messages(fused, CLASSES)
    assert [entry["name"] for entry in json.loads(message.data)["classes"]][1] == "road"


def test_camera_description_is_scaled_to_the_fused_image(fused) -> None:
    infos = messages(fused, "/uaafusion/fused/camera_info")
    assert len(infos) == 10
    assert (infos[0].height, infos[0].width) == (72, 96)
    assert infos[0].k[0] == 50 and stamp(infos[0]) == START


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_any_number_of_jobs_gives_the_same_file(mode, drive, tiny_model, tmp_path) -> None:
    for jobs in (1, 3):
        out = tmp_path / f"{jobs}" / "out"
        fuse(drive, "--out", out, "--model", tiny_model, "--mode", mode, "--jobs", jobs)
    one, three = (tmp_path / jobs / "out" / "out_0.mcap" for jobs in ("1", "3"))
    assert one.read_bytes() == three.read_bytes()


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_an_interrupted_run_leaves_a_whole_bag_and_goes_on_to_the_same_images(
    mode, drive, tiny_model, tmp_path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    options = ("--model", tiny_model, "--mode", mode)
    fuse(drive, "--out", whole, *options)
    arguments = ["bag", drive, "--out", out, *options, "--jobs", 2]
    code = (
        "import os, signal\n"
        "from uaafusion_ros.offline.frames import OrderedFusion\n"
        "add, count = OrderedFusion.add, 0\n"
        "def stop(self, *args):\n"
        "    global count\n"
        "    count += 1\n"
        "    if count == 4: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return add(self, *args)\n"
        "OrderedFusion.add = stop\n"
        "from uaafusion_ros.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 130, done.stderr
    assert "--resume goes on" in done.stderr
    begun = messages(out, FUSED)
    assert 4 <= len(begun) < 10 and len(messages(out, VISIBLE)) < 20
    assert run(*arguments[1:]).exception is not None  # not without --resume
    other = run(*arguments[1:], "--resume", "--max-skew", 0.01)
    assert isinstance(other.exception, SettingsError) and "max_skew was" in str(other.exception)
    assert fuse(*arguments[1:], "--resume")["complete"] is True
    assert contents(out) == contents(whole)
    assert len(list(out.glob("*.mcap"))) == 2
    assert fuse(*arguments[1:], "--resume")["complete"] is True  # nothing left to do


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_truncated_recording_is_fused_up_to_the_damage_which_is_said(
    storage, tiny_model, tmp_path
) -> None:
    bag = street_bag(tmp_path / "bag", storage, seconds=2.0).write()
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: int(0.6 * file.stat().st_size)])
    done = run(bag, "--out", tmp_path / "out", "--model", tiny_model)
    assert done.exit_code == 0 and f"damaged: {file}" in done.stderr
    summary = json.loads(done.stdout)
    assert 4 <= summary["fused"] < 10 and len(summary["damage"]) == 1
    assert len(messages(tmp_path / "out", FUSED)) == summary["fused"]
    assert len(messages(tmp_path / "out", VISIBLE)) == summary["found"]["visible"]


def test_compressed_sqlite_recordings_in_two_parts_are_read_as_one(tiny_model, tmp_path) -> None:
    both = street_bag(tmp_path / "both", "sqlite3", transport="compressed", seconds=1.0)
    parts = {"/thermal": tmp_path / "thermal", "/camera": tmp_path / "camera"}
    for camera, path in parts.items():  # as two machines would record them
        part = street_bag(path, "sqlite3", transport="compressed", seconds=0)
        part.messages = [entry for entry in both.messages if entry[1].startswith(camera)]
        part.write()
    out = tmp_path / "out"
    summary = fuse(*parts.values(), "--out", out, "--model", tiny_model, "--only-outputs")
    assert summary["topics"]["visible"] == "/camera/image_raw/compressed"
    assert summary["fused"] == 5
    assert {topic for topic, *_ in contents(out)} == {*IMAGES, CLASSES}


@pytest.mark.parametrize("compression", ["FILE", "MESSAGE"])
def test_recordings_that_rosbag2_compressed_are_read(compression, drive, tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", "sqlite3", seconds=2.0).write(CompressionMode[compression])
    recordings = Recordings([bag])
    found = [
        (raw.topic, raw.received, bytes(raw.data))
        for raw in recordings.messages(list(recordings.described))
    ]
    names = {topic for topic, *_ in found}
    assert sorted(found) == [entry for entry in contents(drive) if entry[0] in names]


def test_older_outputs_in_the_recording_are_replaced(fused, tiny_model, tmp_path) -> None:
    done = run(fused, "--out", tmp_path / "again", "--model", tiny_model)
    assert done.exit_code == 0, done.output
    assert "already: replaced" in done.stderr
    assert contents(tmp_path / "again") == contents(fused)


def test_topics_that_cannot_be_told_are_listed(tmp_path, tiny_model) -> None:
    bag = street_bag(tmp_path / "bag", seconds=0.5)
    bag.add("/left/ir/image", START, raw(START, np.zeros((48, 64), np.uint16), "mono16"))
    done = run(bag.write(), "--out", tmp_path / "out", "--model", tiny_model)
    assert isinstance(done.exception, SettingsError)
    assert "--infrared TOPIC" in str(done.exception) and "/left/ir/image" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_no_pair_is_lost_where_one_of_them_cannot_be_decoded(tiny_model, tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", seconds=1.0)
    for index, (_, topic, *_) in enumerate(bag.messages):
        if topic == INFRARED:
            small = raw(START + 4_000_000, np.zeros((8, 8), np.uint16), "mono16")
            data = bytes(STORE.serialize_cdr(small, small.__msgtype__))
            bag.messages[index] = (*bag.messages[index][:3], data)
            break
    summary = fuse(bag.write(), "--out", tmp_path / "out", "--model", tiny_model)
    assert summary["paired"] == 5 and summary["fused"] == 4
    assert summary["pairs_dropped"] == {"refused": 1}
    assert "8x8" in summary["examples"]["refused"]


def test_a_run_that_was_killed_can_begin_anew(drive, tiny_model, tmp_path) -> None:
    out = tmp_path / "out"
    (out / ".unfinished" / "out_0").mkdir(parents=True)
    summary = fuse(drive, "--out", out, "--model", tiny_model, "--resume")
    assert summary["fused"] == 10 and not (out / ".unfinished").exists()
    shutil.rmtree(out)
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "something else" in str(run(drive, "--out", out, "--resume").exception)


def frames(video: Path) -> tuple[list[np.ndarray], float]:
    av = pytest.importorskip("av")
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate)
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(stream)], rate


def test_a_video_shows_the_recorded_images_at_the_camera_s_rate(fused, tmp_path) -> None:
    pytest.importorskip("av")
    done = CliRunner().invoke(app, ["video", str(fused), "--out", str(tmp_path / "fused.mp4")])
    assert done.exit_code == 0, done.output
    found, rate = frames(tmp_path / "fused.mp4")
    assert rate == 10 and len(found) == 20  # a fused image for every second visible one
    expected = [pixels(message) for message in messages(fused, FUSED)]
    for index, frame in enumerate(found):
        assert frame.shape == (72, 96, 3)
        assert np.abs(frame.astype(float) - expected[index // 2]).mean() < 12


def test_a_grid_shows_inputs_and_outputs_side_by_side_even_of_cameras_alone(
    drive, fused, tiny_model, tmp_path
) -> None:
    pytest.importorskip("av")
    pytest.importorskip("matplotlib")
    pages = []
    for name, bag in (("recorded", fused), ("cameras", drive)):
        out = tmp_path / f"{name}.mp4"
        arguments = ["video", str(bag), "--grid", "--out", str(out), "--model", str(tiny_model)]
        done = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
        assert done.exit_code == 0, done.output
        found, _ = frames(out)
        assert len(found) == 20 and found[0].shape[1] == 5 * 240 + 4 * 6
        pages.append(found)
    first, second = pages
    assert np.abs(first[10].astype(float) - second[10]).mean() < 3


def test_a_recording_with_nothing_to_show_leaves_no_video(drive, tiny_model, tmp_path) -> None:
    pytest.importorskip("av")
    out = tmp_path / "none.mp4"
    arguments = ["video", str(drive), "--out", str(out), "--model", str(tiny_model)]
    done = CliRunner().invoke(app, [*arguments, "--max-skew", "0.001"])
    assert "no pair that could be shown" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
