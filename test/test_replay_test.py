"""A recording as a regression test: passes when nothing changed, says in words what did."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from bag_fixtures import street_bag
from typer.testing import CliRunner, Result

from uaafusion_ros.cli import app
from uaafusion_ros.inference.errors import SettingsError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay-test", *map(str, arguments), "--device", "cpu"])


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return street_bag(tmp_path_factory.mktemp("drive") / "drive", seconds=1.0).write()


@pytest.fixture
def stored(drive, tiny_model, tmp_path) -> Path:
    path = tmp_path / "expected.json"
    done = run(drive, "--record", path, "--model", tiny_model, "--pictures", 2)
    assert done.exit_code == 0, done.output
    return path


def changed(path: Path, change) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def other_pixels(content: dict) -> None:
    for outputs in content["replay"]["checksums"].values():
        outputs["fused"] = "0"


def test_the_same_recording_and_model_pass_with_the_same_pixels(drive, stored, tiny_model) -> None:
    content = json.loads(stored.read_text())["replay"]
    assert content["found"] == {"infrared": 5, "visible": 10} and content["pair_ratio"] == 1
    assert content["rates"] == {"infrared": 5.0, "visible": 5.0}
    assert len(list((stored.parent / "expected_pictures").glob("*.png"))) == 2 * 3
    done = run(drive, "--expect", stored, "--model", tiny_model, "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["identical"] is True and "the same pixels" in done.stderr


def test_other_roundings_pass_unless_every_pixel_must_be_the_same(
    drive, stored, tiny_model
) -> None:
    changed(stored, other_pixels)
    done = run(drive, "--expect", stored, "--model", tiny_model)
    assert done.exit_code == 0 and "within the limits" in done.stderr, done.output
    changed(stored, lambda content: content["limits"].update(identical=True))
    done = run(drive, "--expect", stored, "--model", tiny_model)
    assert done.exit_code == 1 and "5 of 5 pairs have other pixels" in done.stderr


def test_another_picture_is_told_with_its_psnr(drive, stored, tiny_model) -> None:
    changed(stored, other_pixels)
    for picture in stored.parent.glob("expected_pictures/*_fused.png"):
        cv2.imwrite(str(picture), 255 - cv2.imread(str(picture)))
    done = run(drive, "--expect", stored, "--model", tiny_model)
    assert done.exit_code == 1
    assert "fused images differ: PSNR" in done.stderr and "mask" not in done.stderr


def test_lost_images_and_pairs_are_told(drive, stored, tiny_model, tmp_path) -> None:
    shorter = street_bag(tmp_path / "shorter", seconds=0.8).write()
    done = run(shorter, "--expect", stored, "--model", tiny_model)
    assert done.exit_code == 1
    assert "4 infrared images in the recording, expected 5" in done.stderr
    assert "1 pairs are missing" in done.stderr
    done = run(drive, "--expect", stored, "--model", tiny_model, "--max-skew", 0.001)
    assert done.exit_code == 1 and "0.0% of the images fused, expected 100.0%" in done.stderr


def test_a_file_that_is_no_stored_run_is_an_error_and_no_difference(
    drive, stored, tiny_model, tmp_path
) -> None:
    done = run(drive, "--expect", tmp_path / "none.json", "--model", tiny_model)
    assert isinstance(done.exception, SettingsError) and "--record" in str(done.exception)
    changed(stored, lambda content: content["limits"].update(psnrr=3))
    done = run(drive, "--expect", stored, "--model", tiny_model)
    assert isinstance(done.exception, SettingsError) and "psnrr" in str(done.exception)


def test_a_slower_or_deafer_node_is_told() -> None:
    pytest.importorskip("rosbags")
    from uaafusion_ros.demo.replay_test import compare_node

    good = {
        "sent": {"infrared": 10, "visible": 10},
        "received": {"infrared": 10, "visible": 10},
        "pair_ratio": 1.0,
        "rate": 10.0,
        "latency_ms": 40.0,
    }
    assert compare_node({"node": good}, good) == []
    slow = good | {"rate": 5.0, "latency_ms": 90.0, "pair_ratio": 0.8}
    slow["received"] = {"infrared": 8, "visible": 10}
    text = " ".join(compare_node({"node": good}, slow))
    for words in ("2 infrared images were lost", "80.0%", "5.00 pairs a second", "90 ms"):
        assert words in text
    assert "--node" in compare_node({}, good)[0]


@pytest.mark.live
@pytest.mark.slow
def test_the_live_node_is_measured_by_the_same_recording(tiny_model, tmp_path) -> None:
    pytest.importorskip("rclpy")
    bag = street_bag(tmp_path / "drive", seconds=3.0).write()
    path = tmp_path / "expected.json"
    done = run(bag, "--record", path, "--model", tiny_model, "--node")
    assert done.exit_code == 0, done.output
    node = json.loads(path.read_text())["node"]
    assert node["sent"] == node["received"] == {"infrared": 15, "visible": 30}
    assert 0 < node["published"] <= 15 and node["pair_ratio"] > 0.5
    for stream, dropped in node["dropped"].items():
        assert node["published"] + sum(dropped.values()) == node["received"][stream]
    assert node["latency_ms"] > 0 and 0 < node["rate"] <= 6
