"""The doctor: right about what is wrong, and of use without ROS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from uaafusion_ros.doctor.cameras import system_checks
from uaafusion_ros.doctor.checks import Verdict
from uaafusion_ros.doctor.graph import Endpoint, GraphReport, Image, StreamReport
from uaafusion_ros.doctor.transport import transport_checks

OFFSET = 0.3
SECOND = 10**9


def examine(*arguments: object, prelude: str = "", environment: dict | None = None):
    """`uaafusion doctor` in a process of its own: exit status, checks by name."""
    code = f"{prelude}\nfrom uaafusion_ros.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | (environment or {}),
    )
    assert done.stdout, done.stderr
    sections = json.loads(done.stdout)
    return done.returncode, {c["name"]: c for checks in sections.values() for c in checks}


def test_without_ros_the_machine_is_examined_all_the_same(tmp_path) -> None:
    status, checks = examine(prelude="import sys; sys.modules['rclpy'] = None")
    assert status == 0
    for name in ("Python", "libraries", "PyTorch", "model"):
        assert checks[name]["verdict"] == "ok", checks[name]
    assert checks["ROS 2"]["verdict"] == "skipped" and "ros" in checks["ROS 2"]["advice"]
    assert {"GPU", "ONNX Runtime", "memory", "receive buffers"} <= checks.keys()


def test_a_broken_model_is_an_error_that_says_what_to_do(tmp_path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    status, checks = examine("--model", broken, prelude="import sys; sys.modules['rclpy'] = None")
    assert status == 1
    assert checks["model"]["verdict"] == "error" and "--model" in checks["model"]["advice"]


def profile(environment: dict[str, str]):
    return next(
        check
        for check in transport_checks(environment, "rmw_fastrtps_cpp")
        if check.name == "DDS transport"
    )


def test_a_transport_that_loses_images_is_told(tmp_path) -> None:
    assert profile({}).verdict is Verdict.WARN
    assert "export FASTDDS_DEFAULT_PROFILES_FILE=" in profile({}).advice
    assert "FASTRTPS" in profile({"ROS_DISTRO": "humble"}).advice
    ours = Path(__file__).parents[1] / "config" / "fastdds.xml"
    assert profile({"FASTDDS_DEFAULT_PROFILES_FILE": str(ours)}).verdict is Verdict.OK
    small = tmp_path / "small.xml"
    small.write_text(ours.read_text().replace("67108864", "524288"))
    assert profile({"FASTDDS_DEFAULT_PROFILES_FILE": str(small)}).verdict is Verdict.WARN
    missing = profile({"FASTDDS_DEFAULT_PROFILES_FILE": "/nowhere.xml"})
    assert missing.verdict is Verdict.WARN and "/nowhere.xml" in missing.found
    overridden = {
        "FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    assert "overrides" in profile(overridden).found


def report(**streams: list[Image]) -> GraphReport:
    camera = [Endpoint("/driver", "sensor_msgs/msg/Image", "RELIABLE", "VOLATILE")]
    return GraphReport(
        5.0,
        streams={
            name: StreamReport(f"/{name}/image_raw", camera if images else [], images)
            for name, images in streams.items()
        },
    )


def images(lag: float = 0.0, **changes) -> list[Image]:
    """Ten images at 10 Hz, stamped `lag` seconds before they came."""
    return [
        Image(
            **{"stamp": round((100 + index / 10 - lag) * SECOND), **changes},
            received=round((100 + index / 10) * SECOND),
            width=640,
            height=480,
            encoding="mono16",
        )
        for index in range(10)
    ]


@pytest.mark.parametrize(
    ("infrared", "name", "verdict", "words"),
    [
        (images(0.01), "clocks", Verdict.OK, "10 ms old"),
        (images(-0.3), "clocks", Verdict.WARN, "infrared_offset to -0.3"),
        (images(0.2), "clocks", Verdict.WARN, "infrared_offset to 0.2"),
        (images(stamp=0), "infrared camera", Verdict.ERROR, "header.stamp"),
        (images(error="step of 5"), "infrared camera", Verdict.ERROR, "step of 5"),
        ([], "infrared camera", Verdict.ERROR, "nobody publishes"),
    ],
)
def test_cameras_are_judged(infrared, name, verdict, words) -> None:
    checks = {
        check.name: check for check in system_checks(report(infrared=infrared, visible=images()))
    }
    assert checks[name].verdict is verdict
    assert words in checks[name].found + checks[name].advice
    assert checks["visible camera"].verdict is Verdict.OK
    assert "10.0 Hz, 640x480 mono16" in checks["visible camera"].found


@pytest.mark.live
@pytest.mark.slow
def test_live_cameras_with_unequal_clocks_and_a_node_that_asks_for_other_qos(
    client, start, tiny_model
) -> None:
    from ros_fixtures import ros_environment

    topics = ("-r", "infrared/image_raw:=/thermal/image", "-r", "visible/image_raw:=/rgb/image")
    qos = "qos_overrides./thermal/image"
    start(
        "camera_replay",
        *topics,
        *("-p", "width:=96", "-p", "height:=72", "-p", f"offset:={OFFSET}"),
        *("-p", f"{qos}.publisher.reliability:=best_effort"),
    )
    start(
        "fusion_node",
        *topics,
        *("-p", f"model:={tiny_model}", "-p", "device:=cpu"),
        *("-p", f"{qos}.subscription.reliability:=reliable"),
    )
    client.wait_for(lambda: client.state() == "active", "the node to be active")
    for _ in range(3):  # on a busy machine DDS may take longer than it is given
        status, checks = examine("--seconds", 4, environment=ros_environment())
        if {"infrared camera", "visible camera"} <= checks.keys():
            break
    assert status == 1
    for name, topic in (("infrared", "/thermal/image"), ("visible", "/rgb/image")):
        camera = checks[f"{name} camera"]
        assert camera["verdict"] == "ok", camera
        assert topic in camera["found"] and "96x72" in camera["found"]
        assert "/camera_replay" in camera["found"]
    assert checks["clocks"]["verdict"] == "warn"
    offset = float(checks["clocks"]["advice"].split("infrared_offset to ")[1].split()[0])
    assert offset == pytest.approx(-OFFSET, abs=0.1)
    assert checks["QoS"]["verdict"] == "error"
    assert "/uaafusion (RELIABLE" in checks["QoS"]["found"]
    assert f"{qos}.subscription.reliability: best_effort" in checks["QoS"]["advice"]
    assert checks["node: node"]["verdict"] == "ok"
    assert checks["DDS transport"]["verdict"] == "ok"
