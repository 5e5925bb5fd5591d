"""The demo: real processes, a real bag, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")

import av
from ros_fixtures import PATIENCE
from rosbags.highlevel import AnyReader

from uaafusion_ros.demo import DemoError, DemoPlan, run, run_demo
from uaafusion_ros.demo.pictures import ROWS, evenly_spaced
from uaafusion_ros.demo.plan import STREET_SIZE
from uaafusion_ros.demo.processes import ProcessGroup
from uaafusion_ros.demo.recording import Moment
from uaafusion_ros.demo.report import NodeReport
from uaafusion_ros.demo.topics import CLASSES, FUSED, INFRARED, MASK, TOPICS, VISIBLE
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.offline.pictures import COLUMNS, cell_shape, fit, video_frames

pytestmark = pytest.mark.live

PAIRS, RATE = 9, 3.0
WIDTH, HEIGHT = STREET_SIZE


class Demo:
    """`uaafusion demo` in a process; its children are known by a variable that they inherit."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self.out = out
        self.mark = f"DEMO_UNDER_TEST={uuid.uuid4()}"
        # Without the domain of this test run: other tests' images are none of the demo's.
        environment = {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"}
        environment |= dict([self.mark.split("=")], OMP_NUM_THREADS="1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uaafusion_ros.cli", "demo", "--out", str(out), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def wait(self) -> tuple[int, str]:
        """Exit status and everything printed for people."""
        self.printed, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors

    def log(self, name: str) -> str:
        path = self.out / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def processes_left(self) -> list[str]:
        """Command lines of what it has started and not ended."""
        left = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    left.append((folder / "cmdline").read_text())
            except OSError:  # ended meanwhile, or somebody else's
                continue
        return left

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def demo(tiny_model, tmp_path_factory):
    """A short demo that has ended well."""
    out = tmp_path_factory.mktemp("demo") / "out"
    seconds = str(PAIRS / RATE)
    demo = Demo(out, "--model", str(tiny_model), "--seconds", seconds, "--rate", str(RATE))
    status, errors = demo.wait()
    assert status == 0, errors
    return demo


@pytest.fixture(scope="module")
def summary(demo):
    return json.loads((demo.out / "summary.json").read_text())


@pytest.fixture(scope="module")
def messages(demo):
    """Receipt time and message, by topic."""
    found = {topic: [] for topic in TOPICS}
    with AnyReader([demo.out / "outputs.mcap"]) as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == TOPICS
        for connection, received, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found[connection.topic].append((received, message))
    return found


def stamps(entries):
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for _, m in entries]


def test_every_image_sent_is_accounted_for(demo, summary):
    assert summary["sent"] == {"infrared": PAIRS, "visible": PAIRS}
    assert summary["published"] > 0 and summary["accounted"] is True
    for stream, sent in summary["sent"].items():
        assert sent == summary["published"] + sum(summary["dropped"][stream].values())
    assert 0 < summary["latency"]["median"] <= summary["latency"]["p95"] < PATIENCE
    assert summary["model"] == "tiny" and summary["sizes"]["visible"] == f"{WIDTH}x{HEIGHT}"
    assert json.loads(demo.printed) == summary


def test_the_bag_holds_inputs_and_outputs_with_their_stamps(demo, summary, messages):
    sent = stamps(messages[VISIBLE])
    assert len(set(sent)) == PAIRS and stamps(messages[INFRARED]) == sent
    np.testing.assert_allclose(np.diff(sent) / 1e9, 1 / RATE, atol=1e-6)
    fused = stamps(messages[FUSED])
    assert len(fused) == summary["published"] and set(fused) <= set(sent)
    for topic in TOPICS:
        if topic.startswith("/uaafusion") and topic.endswith(("overlay", "mask", "weight")):
            assert stamps(messages[topic]) == fused, topic
    assert all(
        received > stamp for (received, _), stamp in zip(messages[FUSED], fused, strict=True)
    )
    classes = json.loads(messages[CLASSES][0][1].data)["classes"]
    assert [entry["name"] for entry in classes] == ["unlabelled", "road", "person"]
    assert max(m.data.max() for _, m in messages[MASK]) < len(classes)


def test_the_folder_is_a_bag_too(demo, messages):
    with AnyReader([demo.out]) as reader:
        assert reader.message_count == sum(map(len, messages.values()))
        latched = next(c for c in reader.connections if c.topic == CLASSES)
        assert [qos.durability.name for qos in latched.ext.offered_qos_profiles] == [
            "TRANSIENT_LOCAL"
        ]


def test_the_video_shows_every_moment_for_its_time(demo):
    with av.open(str(demo.out / "demo.mp4")) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format="bgr24") for frame in video.decode(stream)]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == RATE
    assert len(frames) == PAIRS
    height, width = frames[0].shape[:2]
    assert width > len(COLUMNS) * WIDTH and height > HEIGHT and width % 2 == height % 2 == 0


def test_the_sheet_shows_the_recorded_pictures(demo, messages):
    sheet = cv2.imread(str(demo.out / "demo.png"))
    fused = dict(zip(stamps(messages[FUSED]), messages[FUSED], strict=True))
    visible = dict(zip(stamps(messages[VISIBLE]), messages[VISIBLE], strict=True))
    for index in evenly_spaced(len(fused), ROWS):
        stamp = list(fused)[index]
        places = []
        for _, message in (visible[stamp], fused[stamp]):
            picture = message.data.reshape(HEIGHT, WIDTH, 3)
            difference, _, place, _ = cv2.minMaxLoc(
                cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF_NORMED)
            )
            assert difference < 1e-3
            places.append(place)
        assert places[0][0] < places[1][0] and places[0][1] == places[1][1]


def test_nothing_is_left_running(demo):
    assert demo.processes_left() == []
    assert "stopped; infrared" in demo.log("fusion_node")
    for name in ("recorder", "fusion_node", "camera_replay"):
        assert "Traceback" not in demo.log(name)


def test_an_interrupt_leaves_nothing_running(tiny_model, tmp_path):
    demo = Demo(tmp_path / "out", "--model", str(tiny_model), "--seconds", "60")
    try:
        end = time.monotonic() + PATIENCE
        while "loading the model" not in demo.log("fusion_node"):
            assert time.monotonic() < end and demo.process.poll() is None
            time.sleep(0.05)
        demo.process.send_signal(signal.SIGINT)
        status, errors = demo.wait()
    finally:
        demo.kill()
    assert status == 130 and "Traceback" not in errors
    assert demo.processes_left() == []


@pytest.fixture
def stubborn(monkeypatch):
    """Stands in for every process: one that ignores SIGINT; tells what to do once it has begun."""
    begun, then = [], []
    start = subprocess.Popen

    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def stand_in(*arguments, **options):
        begun.append(start(["sleep", "600"], preexec_fn=ignore))
        for act in then:
            act()
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", stand_in)
    yield begun, then
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", ProcessGroup.SIGNALS)
def test_a_signal_while_a_process_begins_leaves_nothing_running(
    stubborn, monkeypatch, tmp_path, number
):
    begun, then = stubborn
    then.append(lambda: signal.raise_signal(number))
    monkeypatch.setattr(ProcessGroup, "GRACE", 0.0)
    with pytest.raises(KeyboardInterrupt), ProcessGroup(tmp_path) as group:
        group.start("recorder", [])
    assert [process.poll() for process in begun] == [-signal.SIGKILL]


def test_a_second_interrupt_waits_for_nobody(stubborn, monkeypatch, tmp_path):
    begun, _ = stubborn
    monkeypatch.setattr(ProcessGroup, "GRACE", 600.0)
    second = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), ProcessGroup(tmp_path) as group:
        group.start("recorder", [])
        second.start()
        signal.raise_signal(signal.SIGINT)
    second.cancel()
    assert [process.poll() for process in begun] == [-signal.SIGKILL]


def test_a_model_that_cannot_be_loaded_ends_the_demo_with_the_reason(tmp_path):
    demo = Demo(tmp_path / "out", "--model", str(tmp_path / "missing.safetensors"))
    status, errors = demo.wait()
    assert status == 2 and "missing.safetensors" in errors and "Traceback" not in errors
    assert demo.processes_left() == []


def plan(**changes):
    values = {"infrared": None, "visible": None, "seconds": 1.0, "rate": 1.0, "condition": "day"}
    return DemoPlan(**({"out": Path("nowhere"), "model": ""} | values | changes))


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DemoError, match=r"rclpy.*pip install 'uaafusion_ros\[demo,ros\]'"):
        run_demo(plan(), Console())


def test_a_plan_that_makes_no_sense_is_refused(tmp_path):
    for changes in (
        {"rate": 0.0},
        {"seconds": float("nan")},
        {"condition": "snow"},
        {"infrared": tmp_path},
        {"infrared": tmp_path, "visible": tmp_path / "nowhere"},
        {"infrared": tmp_path, "visible": tmp_path},
    ):
        with pytest.raises(SettingsError, match=r"expected|give"):
            plan(**changes)


def test_a_lost_image_is_not_accounted_for():
    values = {"received": "9", "published": "6", "pending": "0", "dropped: superseded": "3"}
    statuses = {
        f"uaafusion: {name}": {"level": 0, "message": "", "values": values}
        for name in ("infrared input", "visible input", "output")
    }
    report = NodeReport.from_event({"statuses": statuses, "recorded": {FUSED: 6}})
    assert report.complete({"infrared": 9, "visible": 9})
    assert not report.accounts_for({"infrared": 9, "visible": 10})


def test_pictures_keep_their_proportions():
    assert cell_shape([(101, 301)] * 3) == (100, 300)
    assert cell_shape([(1024, 1280)]) == (308, 384)
    cell = fit(np.full((50, 200), 200, np.uint8), (100, 200), background=7)
    assert (cell[25:75] == 200).all() and (cell[:25] == 7).all() and (cell[75:] == 7).all()
    assert fit(np.arange(60000, dtype=np.uint16).reshape(200, 300), (100, 150)).max() == 255


def test_a_dropped_pair_is_seen_as_a_halt():
    def moment(stamp):
        picture = np.full((20, 20, 3), stamp, np.uint8)
        return Moment(stamp, picture, picture, picture, picture[..., 0], picture, picture)

    frames = video_frames([moment(20), moment(50)], [10, 20, 30, 40, 50, 60], (20, 40))
    assert [int(frame[-1, 20].max()) for frame in frames] == [20, 20, 20, 20, 50, 50]
