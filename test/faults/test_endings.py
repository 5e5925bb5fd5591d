"""SIGINT and SIGTERM in any state, and two instances side by side."""

import os
import signal
import time
import uuid
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from fault_fixtures import Bench, Camera, counted, wait_until_active
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_fixtures import PATIENCE
from sensor_msgs.msg import Image

pytestmark = pytest.mark.live

PROMISE = 2.0
"""Seconds in which the node ends."""

measured: dict[str, float] = {}


@pytest.fixture(scope="module")
def cameras(client):
    """Both cameras, running; one pair for all tests."""
    cameras = [Camera(f"/{stream}/image_raw") for stream in ("infrared", "visible")]
    yield cameras
    for camera in cameras:
        camera.kill()


names = (f"node_{number}" for number in count())
"""A node that leaves in haste, as while a model loads, stays in the graph for a while."""


def bring_to(state, client, start, parameters):
    """Starts a node of a new name and brings it to a state."""
    name = next(names)
    arguments = ["-r", f"__node:={name}", "--params-file", str(parameters)]
    if state == "unconfigured" or state == "inactive":
        arguments += ["-p", "autostart:=false"]
    if state == "loading a model":
        arguments += ["-p", "model:=uaafusion_edge"]
    node = start("fusion_node", *arguments)
    client.wait_for(node.handles_signals, "the start of the process")
    if state == "loading a model":
        client.wait_for(lambda: "loading the model" in node.output(), "the loading of the model")
    if state in ("unconfigured", "inactive"):
        client.wait_for(lambda: client.diagnostics(name), "the node")
    if state == "inactive":
        request = ChangeState.Request(transition=Transition(label="configure"))
        assert client.call(f"{name}:change_state", ChangeState, request).success
    if state == "active under load":
        wait_until_active(client, node, name)
        client.wait_for(
            lambda: client.diagnostics(name).get("visible input", (0, "", {}))[2].get("received"),
            "images",
        )
    return node


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "state", ["importing", "unconfigured", "loading a model", "inactive", "active under load"]
)
def test_a_signal_in_any_state_ends_the_node_quietly_and_whole(
    client, start, cameras, parameters, reliability, pytestconfig, monkeypatch, state, number
):
    mark = f"SIGNALLED_NODE={uuid.uuid4()}"
    monkeypatch.setenv(*mark.split("="))
    node = bring_to(state, client, start, parameters)
    begin = time.monotonic()
    assert node.interrupt(number) == 0
    took = time.monotonic() - begin
    assert took < PROMISE * pytestconfig.getoption("--slow-machine")
    assert "Traceback" not in node.output()
    assert not processes_with(mark)
    if state == "active under load":
        assert_nothing_pending(node)
    measured[f"{number.name} {state}"] = took
    if len(measured) == 10:
        figures = ", ".join(
            f"{state} {max(took for key, took in measured.items() if state in key):.1f} s"
            for state in dict.fromkeys(key.partition(" ")[2] for key in measured)
        )
        reliability.promise(
            "SIGINT and SIGTERM in any state: exit status 0, no traceback, no process left, in 2 s",
            figures,
            "make test PYTEST_ARGS=test/faults/test_endings.py",
        )


def assert_nothing_pending(node):
    """The last account is complete; a frame that took too long at the end is said to be left."""
    output = node.output()
    if "leaving without waiting" not in output:
        assert output.rsplit("stopped; infrared: ", 1)[1].count(", 0 pending") == 2, output


@pytest.mark.parametrize("executable", ["fusion_node", "camera_replay"])
def test_a_hail_of_signals_ends_a_process_as_one_does(
    client, start, cameras, parameters, executable
):
    """Launch files, terminals and impatient operators send more than one."""
    if executable == "fusion_node":
        node = bring_to("active under load", client, start, parameters)
    else:
        node = start(executable, "-p", "wait_for_subscribers:=0.0", "-r", "__ns:=/hail")
        client.subscribe("/hail/infrared/image_raw", Image)
        client.wait_for(lambda: client.received["/hail/infrared/image_raw"], "images")
        client.unsubscribe("/hail/infrared/image_raw")
    end = time.monotonic() + PATIENCE
    while node.process.poll() is None and time.monotonic() < end:
        for number in (signal.SIGINT, signal.SIGTERM):
            node.process.send_signal(number)
        time.sleep(0.001)
    assert node.process.poll() == 0, node.output()
    assert "Traceback" not in node.output()


def processes_with(mark):
    """Command lines of processes that have inherited a variable."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and mark.encode() in (
                (folder / "environ").read_bytes()
            ):
                found.append((folder / "cmdline").read_text())
        except OSError:  # ended meanwhile
            continue
    return found


def test_two_instances_in_two_namespaces_share_nothing(client, start, parameters, reliability):
    benches, cameras = {}, []
    for name in ("front", "rear"):
        arguments = ("-r", f"__ns:=/{name}", "--params-file", str(parameters))
        node = start("fusion_node", *arguments)
        benches[name] = Bench(client, node, f"{name}/uaafusion")
        client.subscribe(benches[name].fused, Image)
    try:
        before = {}
        for name, bench in benches.items():
            wait_until_active(client, bench.node, bench.name)
            before[name] = bench.account()
        for name, size in (("front", ("64", "96")), ("rear", ("48", "80"))):
            for stream in ("infrared", "visible"):
                cameras.append(Camera(f"/{name}/{stream}/image_raw", "--size", *size))
        for bench in benches.values():
            bench.wait_for_fused()
        said = benches["rear"].wait_until_said("pairing", "pairs a second", level=0)
        for camera in cameras:
            camera.stop()
        grown = {name: bench.grown(before[name]) for name, bench in benches.items()}
        for name, width in (("front", 96), ("rear", 80)):
            assert {m.width for m in client.received[benches[name].fused]} == {width}
        for bench in benches.values():
            assert bench.node.interrupt() == 0
    finally:
        for camera in cameras:
            camera.kill()
        for bench in benches.values():
            client.unsubscribe(bench.fused)
    accounts = "; ".join(f"{name}: {counted(g)}" for name, g in grown.items())
    reliability.fault("Two instances in two namespaces", f"(each) {said}", None, accounts)
