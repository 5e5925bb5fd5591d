"""Promises that take a while to measure: nothing lost on the way, nothing that grows."""

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from fault_fixtures import FUSED, STREAMS, counted, save_light_model, wait_until_active
from ros_fixtures import RosProcess
from sensor_msgs.msg import Image

pytestmark = pytest.mark.live

RATE = 30.0
SENT = 150


@pytest.fixture
def launched(client, start, tmp_path):
    """The node as `fusion.launch.py` starts it: its transport profile, its defaults for QoS."""
    model = save_light_model(tmp_path / "light.safetensors")
    node = start("fusion_node", "-p", f"model:={model}", "-p", "diagnostics_period:=0.2")
    wait_until_active(client, node)
    return node


@pytest.fixture
def folders(tmp_path):
    """A few images of 640x480, so that reading them takes no time from sending them."""
    rng = np.random.default_rng(0)
    for stream, shape in (("infrared", (480, 640)), ("visible", (480, 640, 3))):
        (tmp_path / stream).mkdir()
        for number in range(4):
            picture = rng.integers(0, 256, shape, np.uint8)
            cv2.imwrite(str(tmp_path / stream / f"{number}.bmp"), picture)
    return tmp_path


def test_no_image_is_lost_before_the_node(client, start, launched, folders, reliability):
    for _ in range(5):
        before = {stream: client.account(stream)["received"] for stream in STREAMS}
        replay = replayed(client, start, folders)
        received = {stream: settled(client, stream, before[stream]) for stream in STREAMS}
        if "not ready in time" not in replay.output():
            break
    else:
        pytest.skip(f"this machine is too busy to send {RATE:.0f} images a second")
    assert received == dict.fromkeys(STREAMS, SENT)
    reliability.promise(
        "No image lost before the node: two streams of 640x480 at 30 Hz, best effort",
        f"{2 * SENT} sent, {2 * SENT} received",
        "make test PYTEST_ARGS='test/faults/test_promises.py -k lost'",
    )


def replayed(client, start, folders):
    """Both cameras' images, sent in their time; returns the process that has sent them."""
    replay = start(
        "camera_replay",
        *("-p", "source:=folders", "-p", f"infrared_folder:={folders / 'infrared'}"),
        *("-p", f"visible_folder:={folders / 'visible'}"),
        *("-p", f"rate:={RATE}", "-p", f"count:={SENT}", "-p", "prepared_images:=60"),
    )
    client.wait_for(lambda: replay.process.poll() is not None, "the end of the replay")
    sent = json.loads(replay.output().rsplit("summary ", 1)[1])["sent"]
    assert sent == dict.fromkeys(STREAMS, SENT)
    return replay


def settled(client, stream, before):
    """How many images of a stream have come since ``before``: all of them, or no more come."""

    def has_ended():
        values = client.diagnostics()[f"{stream} input"][2]
        return int(values["received"]) - before >= SENT or values["rate (Hz)"] == "0.0"

    client.wait_for(has_ended, "the end of the stream")
    return client.account(stream)["received"] - before


class Vitals:
    """Memory, threads and open files of a process (Linux)."""

    def __init__(self, process: RosProcess) -> None:
        self._folder = Path(f"/proc/{process.process.pid}")
        self.memory: list[int] = []
        self.threads: list[int] = []
        self.files: list[int] = []

    def sample(self) -> None:
        pages = int((self._folder / "statm").read_text().split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))
        self.threads.append(len(list((self._folder / "task").iterdir())))
        self.files.append(len(list((self._folder / "fd").iterdir())))


def steady_p99(latencies: list[tuple[float, float]], start: float, end: float) -> float:
    """The median of every five seconds' p99 latency: what grows does so in all of them.

    One burst of something else on the machine spoils one of them, and no more.
    """
    windows: dict[int, list[float]] = {}
    for at, delay in latencies:
        if start <= at < end:
            windows.setdefault(int((at - start) / 5), []).append(delay)
    return float(np.median([np.percentile(delays, 99) for delays in windows.values()]))


def test_nothing_grows_in_a_soak(bench, reliability, pytestconfig):
    duration = pytestconfig.getoption("--soak")
    slow = pytestconfig.getoption("--slow-machine")
    client, vitals = bench.client, Vitals(bench.node)
    latencies: list[tuple[float, float]] = []

    def note(message):
        stamp = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        latencies.append((time.time(), time.time() - stamp))

    before = bench.account()
    subscription = client.node.create_subscription(Image, FUSED, note, 100)
    bench.start_cameras("--rate", str(RATE))
    bench.wait_for_fused()
    client.spin(min(20.0, duration / 4))  # caches fill, the allocator finds its size
    start = time.time()
    while time.time() < start + duration:
        vitals.sample()
        client.spin(1.0)
        client.received[FUSED].clear()
    bench.stop_cameras()
    grown = bench.grown(before)
    client.node.destroy_subscription(subscription)

    third = max(1, len(vitals.memory) // 3)
    growth = np.median(vitals.memory[-third:]) / np.median(vitals.memory[:third]) - 1
    begin = steady_p99(latencies, start, start + duration / 3)
    # Not later: while the cameras end, images wait here unread.
    end = steady_p99(latencies, start + duration * 2 / 3, start + duration)
    assert growth < 0.02, vitals.memory
    assert len(set(vitals.threads)) == 1, vitals.threads
    assert max(vitals.files) - min(vitals.files) <= 1, vitals.files
    assert end < 1.5 * slow * begin, (begin, end)
    reliability.promise(
        f"Soak of {duration:.0f} s at {RATE:.0f} Hz: memory grows less than 2 %, threads and files "
        "stay, latency p99 at the end within 1.5 times of the beginning",
        f"memory {vitals.memory[-1] / 2**20:.0f} MiB, {growth:+.2%}; {vitals.threads[-1]} threads, "
        f"{vitals.files[-1]} files; p99 {begin * 1e3:.0f} ms, at the end {end * 1e3:.0f} ms; "
        + counted(grown),
        "make soak",
    )
