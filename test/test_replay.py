"""The camera replay sends what it is told, with true stamps."""

import json
from itertools import islice

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CameraInfo, Image

from uaafusion_ros.node.images import image_array
from uaafusion_ros.node.replay_schedule import captures
from uaafusion_ros.node.replay_sources import FolderSource, SourceError, StreetSource
from uaafusion_ros.scenes.street import StreetScene

pytestmark = pytest.mark.live


def times(stream, **arguments):
    values = {"rate": 10.0, "infrared_rate": 0.0, "jitter": 0.0, "count": 20} | arguments
    return [capture.time for capture in captures(**values) if capture.stream == stream]


def test_both_cameras_keep_their_rates():
    np.testing.assert_allclose(np.diff(times("visible")), 0.1)
    np.testing.assert_allclose(np.diff(times("infrared", infrared_rate=25.0)), 0.04)
    assert len(times("infrared", infrared_rate=25.0)) == 50
    assert len(times("infrared", infrared_rate=3.0)) == 6


def test_jitter_stays_within_its_bounds_and_keeps_the_order():
    turns = np.arange(20) / 10 + 0.02
    shifts = np.array(times("visible", jitter=0.02)) - turns
    assert np.abs(shifts).max() <= 0.02 and np.abs(shifts).max() > 0.01
    assert times("visible", jitter=0.02) != times("infrared", jitter=0.02)
    assert (np.diff(times("visible", jitter=5.0)) > 0).all()
    both = [capture.time for capture in captures(10.0, 7.0, 0.03, 50)]
    assert both == sorted(both)


def test_an_endless_schedule_goes_on():
    assert len(list(islice(captures(10.0, 0.0, 0.0, None), 1000))) == 1000


@pytest.fixture
def folders(tmp_path):
    """Three pairs whose grey value tells their number, and files that have no partner."""
    for stream in ("infrared", "visible"):
        (tmp_path / stream).mkdir()
    for number in range(3):
        counts = np.full((40, 50), 1000 + number, np.uint16)
        cv2.imwrite(str(tmp_path / "infrared" / f"{number}.png"), counts)
        colour = np.full((48, 64, 3), number, np.uint8)
        cv2.imwrite(str(tmp_path / "visible" / f"{number}.bmp"), colour)
    cv2.imwrite(str(tmp_path / "visible" / "alone.png"), colour)
    return tmp_path


def test_folders_are_paired_by_stem_and_start_anew(folders):
    source = FolderSource(folders / "infrared", folders / "visible")
    assert source.length == 3 and source.unmatched == 1
    assert source.image("infrared", 4, 0.0)[0, 0] == 1001
    assert source.image("visible", 4, 0.0)[0, 0, 0] == 1


def test_folders_without_common_names_are_refused(folders):
    with pytest.raises(SourceError, match="does not exist"):
        FolderSource(folders / "nowhere", folders / "visible")
    (folders / "empty").mkdir()
    with pytest.raises(SourceError, match=r"\(0 images\).*\(4 images\)"):
        FolderSource(folders / "empty", folders / "visible")


def test_the_street_is_seen_at_the_time_of_the_capture():
    source = StreetSource(64, 80, "night", 5)
    frame = StreetScene(64, 80, "night", 5).frame(1.25)
    np.testing.assert_array_equal(source.image("infrared", 9, 1.25), frame.infrared)
    np.testing.assert_array_equal(source.image("visible", 9, 1.25), frame.visible)


def nanoseconds(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_a_folder_is_sent_whole_with_stamps_of_its_schedule(client, start, folders):
    topics = {
        f"/{stream}/{name}": message_type
        for stream in ("infrared", "visible")
        for name, message_type in (("image_raw", Image), ("camera_info", CameraInfo))
    }
    for topic, message_type in topics.items():
        client.subscribe(topic, message_type)
    (folders / "visible" / "1.bmp").write_bytes(b"not an image")
    replay = start(
        "camera_replay",
        *("-p", "source:=folders"),
        *("-p", f"infrared_folder:={folders / 'infrared'}"),
        *("-p", f"visible_folder:={folders / 'visible'}"),
        *("-p", "rate:=20", "-p", "offset:=0.3", "-p", "count:=6"),
    )
    client.wait_for(lambda: replay.process.poll() is not None, "the end of the replay")
    assert replay.wait() == 0
    summary = json.loads(replay.output().rsplit("summary ", 1)[1])
    assert summary == {"sent": {"infrared": 6, "visible": 4}, "unreadable": 2}
    client.wait_for(lambda: sum(len(client.received[topic]) for topic in topics) >= 20, "all of it")

    infrared, visible = (
        client.received["/infrared/image_raw"],
        client.received["/visible/image_raw"],
    )
    assert [image_array(m)[0, 0] for m in infrared] == [1000, 1001, 1002] * 2
    assert [image_array(m)[0, 0, 0] for m in visible] == [0, 2, 0, 2]
    assert infrared[0].encoding == "mono16" and visible[0].encoding == "bgr8"
    assert infrared[0].header.frame_id == "infrared_camera"
    assert np.unique(np.diff([nanoseconds(m) for m in infrared])) == [50_000_000]
    assert nanoseconds(infrared[0]) - nanoseconds(visible[0]) == 300_000_000
    infos = client.received["/visible/camera_info"]
    assert [info.header for info in infos] == [m.header for m in visible]
    assert (infos[0].height, infos[0].width) == (48, 64)
    for topic in topics:
        client.unsubscribe(topic)


def test_a_missing_folder_ends_the_start_with_a_sentence(start):
    replay = start("camera_replay", "-p", "source:=folders", "-p", "infrared_folder:=/nowhere")
    assert replay.wait() == 1
    assert "'/nowhere' does not exist; set infrared_folder" in replay.output()
    assert "Traceback" not in replay.output()


def test_an_interrupt_ends_the_replay_with_its_summary(start, client):
    replay = start("camera_replay", "-p", "wait_for_subscribers:=0.0", "-p", "width:=64")
    client.subscribe("/visible/image_raw", Image)
    client.wait_for(lambda: client.received["/visible/image_raw"], "images")
    client.unsubscribe("/visible/image_raw")
    assert replay.interrupt() == 0
    assert "summary {" in replay.output() and "Traceback" not in replay.output()
