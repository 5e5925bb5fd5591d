"""Recordings become training pairs as the node would pair them, and nothing is lost in silence."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_fixtures import START, StreetBag, compressed, packed, raw, street, street_bag
from typer.testing import CliRunner, Result

from uaafusion_ros.bag_topics import ImageTopic, guess_topics
from uaafusion_ros.bags import Bag
from uaafusion_ros.cli import app
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.registration import register
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import GainControl
from uaafusion_ros.training.harvest_account import BagAccount, HarvestedPair, split_by_time

GAP = ("--split-gap", "0.3")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["harvest", *map(str, arguments)])


def harvest(*arguments: object, status: int = 0) -> dict:
    """Runs the command; returns the manifest, whose account must balance."""
    done = run(*arguments)
    assert done.exit_code == status, done.output
    out = Path(arguments[arguments.index("--out") + 1])
    manifest = json.loads((out / "manifest.json").read_text())
    for bag in manifest["bags"]:
        for stream, found in bag["found"].items():
            assert found == bag["paired"] + sum(bag["dropped"][stream].values())
        assert bag["paired"] == bag["kept"] + sum(bag["pairs_dropped"].values())
    for split, count in manifest["splits"].items():
        stems = {pair["stem"] for pair in manifest["pairs"] if pair["split"] == split}
        assert len(stems) == count
        for stream in ("infrared", "visible"):
            assert {path.stem for path in (out / split / stream).glob("*")} == stems
    return manifest


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return street_bag(tmp_path_factory.mktemp("drive") / "drive").write()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_every_infrared_image_gets_its_nearest_visible_one(storage, transport, tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", storage, transport=transport, seconds=2.0).write()
    manifest = harvest(bag, "--out", tmp_path / "out", *GAP)
    counts = manifest["bags"][0]
    assert counts["found"] == {"infrared": 10, "visible": 20}
    assert counts["dropped"] == {"infrared": {}, "visible": {"unpaired": 10}}
    assert counts["damage"] == []
    assert {pair["skew"] for pair in manifest["pairs"]} == {4_000_000}
    assert manifest["splits"] == {"train": 7, "val": 2}
    train, val = (
        [pair["visible_stamp"] for pair in manifest["pairs"] if pair["split"] == split]
        for split in ("train", "val")
    )
    assert min(val) - max(train) >= 300_000_000
    first = f"{START // 10**9}_000000000.png"
    visible = read(tmp_path / "out" / "train" / "visible" / first)
    expected = street(0.0).visible
    tolerance = 0 if transport == "raw" else 12
    assert np.abs(visible.astype(int) - expected).mean() <= tolerance
    infrared = read(tmp_path / "out" / "train" / "infrared" / first)
    assert infrared.shape == (72, 96) and np.ptp(infrared) > 200  # the counts have been stretched


def test_infrared_is_mapped_and_registered_as_by_the_node(drive, tmp_path) -> None:
    homography = (1.4, 0.02, 3.0, -0.01, 1.45, 2.0, 0.0, 0.0, 1.0)
    out = tmp_path / "out"
    manifest = harvest(
        drive, "--out", out, "--difference", 0, "--homography", list(homography), *GAP
    )
    gain = GainControl()
    settings = PipelineSettings(homography=homography)
    for pair in manifest["pairs"][:3]:
        frame = street((pair["visible_stamp"] - START) / 1e9)
        counts = 7000 + 10 * cv2.resize(frame.infrared, (64, 48)).astype(np.uint16)
        grey = cv2.cvtColor(frame.visible, cv2.COLOR_BGR2YCrCb)[..., 0] / np.float32(255)
        expected = register(gain(counts, settings), grey, homography) * 255
        found = read(out / pair["split"] / "infrared" / f"{pair['stem']}.png")
        np.testing.assert_allclose(found, expected, atol=0.51)


def test_the_same_recording_gives_the_same_files(drive, tmp_path) -> None:
    for name in ("a", "b"):
        harvest(drive, "--out", tmp_path / name, *GAP)
    first, second = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (tmp_path / "a", tmp_path / "b")
    )
    assert first == second and len(first) > 20


def test_what_is_recorded_while_the_car_stands_is_kept_once(tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", standing_from=1.0).write()
    # Of fixed limits: a gain that still follows the drive would change what stands.
    options = *GAP, "--val-share", 0, "--gain-limits", 7000, 9550
    manifest = harvest(bag, "--out", tmp_path / "out", *options)
    assert manifest["bags"][0]["pairs_dropped"] == {"near_duplicate": 14}
    assert manifest["splits"] == {"train": 6, "val": 0}
    harvest(bag, "--out", tmp_path / "all", *GAP, "--difference", 0)
    sparse = harvest(bag, "--out", tmp_path / "sparse", *GAP, "--difference", 0, "--every", 1)
    stamps = [pair["visible_stamp"] - START for pair in sparse["pairs"]]
    assert stamps == [0, 10**9, 2 * 10**9, 3 * 10**9]


def test_what_only_one_camera_sees_is_no_duplicate(tmp_path) -> None:
    bag = StreetBag(tmp_path / "bag")
    for index in range(4):
        stamp = START + index * 500_000_000
        bag.add("/rgb/image", stamp, raw(stamp, street(0.0).visible, "bgr8"))
        bag.add("/ir/image", stamp, raw(stamp, street(index / 2).infrared, "mono8"))
    assert len(harvest(bag.write(), "--out", tmp_path / "out", *GAP)["pairs"]) == 4


def test_a_bad_image_is_counted_by_its_reason_and_takes_no_partner_with_it(tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", seconds=2.0, transport="compressed")
    entries = bag.messages
    of = {
        topic: [at for at, entry in enumerate(entries) if entry[1].startswith(topic)]
        for topic in ("/thermal", "/camera")
    }

    def change(at: int, data: bytes) -> None:
        entries[at] = (*entries[at][:3], data)

    change(of["/camera"][2], entries[of["/camera"][2]][3][:9])  # not even a header is left
    change(of["/camera"][4], entries[of["/camera"][4]][3][:200])  # its length says more
    whole = compressed(START + 600_000_000, street(0.6).visible, "jpg")
    whole.data = np.concatenate((whole.data[:300], np.zeros(600, np.uint8)))  # no end marker
    entries[of["/camera"][6]] = packed(*entries[of["/camera"][6]][:2], whole)
    counts = np.zeros((48, 64), np.uint16)  # a closed shutter
    shut = compressed(START + 804_000_000, counts, "png")
    entries[of["/thermal"][4]] = packed(*entries[of["/thermal"][4]][:2], shut)
    broken = compressed(START + 1_004_000_000, counts + 3, "png")
    broken.data[60:-20] = 7  # whole to look at, but its pixels cannot be inflated
    entries[of["/thermal"][5]] = packed(*entries[of["/thermal"][5]][:2], broken)
    manifest = harvest(bag.write(), "--out", tmp_path / "out", *GAP, "--max-skew", 0.11)
    found = manifest["bags"][0]
    assert found["dropped"]["visible"] == {
        "invalid_image": 1,
        "unpaired": 7,
        "unreadable_message": 2,
    }
    assert found["dropped"]["infrared"] == {}  # a neighbour 0.1 s away stood in
    assert found["pairs_dropped"]["constant"] == 1
    assert found["pairs_dropped"]["undecodable"] == 1
    assert "cut off" in found["examples"]["visible invalid_image"]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_truncated_recording_is_read_up_to_the_damage_which_is_said(storage, tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", storage, seconds=2.0).write()
    whole = harvest(bag, "--out", tmp_path / "whole", "--val-share", 0)
    file = next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: int(0.6 * file.stat().st_size)])
    done = run(bag, "--out", tmp_path / "out", "--val-share", 0)
    assert f"damaged: {file}" in done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    kept = len(manifest["pairs"])
    assert 4 <= kept <= 6
    assert [pair["stem"] for pair in manifest["pairs"]] == [
        pair["stem"] for pair in whole["pairs"][:kept]
    ]
    assert len(manifest["bags"][0]["damage"]) == 1


def test_a_recorder_that_was_killed_leaves_no_metadata_and_is_read_all_the_same(
    drive, tmp_path
) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(drive, folder)
    (folder / "metadata.yaml").unlink()
    bag = Bag(folder)
    assert sum(1 for _ in bag.images(tuple(bag.topics))) == 60
    assert bag.damage == []


def test_a_missing_topic_is_answered_with_those_there_are(drive, tmp_path) -> None:
    done = run(drive, "--out", tmp_path / "out", "--infrared", "/ir/image")
    assert isinstance(done.exception, SettingsError)
    text = str(done.exception)
    assert "/ir/image" in text
    assert "/thermal/image_raw (sensor_msgs/msg/Image, 20 messages)" in text
    assert "/camera/image_raw (sensor_msgs/msg/Image, 40 messages)" in text
    assert not (tmp_path / "out").exists()


def test_topics_are_told_by_their_names_only_where_these_are_clear() -> None:
    def guess(*names: str) -> tuple[str | None, str | None]:
        return guess_topics([ImageTopic(name, "sensor_msgs/msg/Image", 1) for name in names])

    assert guess("/a/thermal0/image", "/cam/image", "/cam/image/compressed") == (
        "/a/thermal0/image",
        "/cam/image",
    )
    assert guess(
        "/infrared/image_raw",
        "/visible/image_raw",
        "/uaafusion/attribution/infrared_weight",
        "/uaafusion/fused/image",
        "/front/depth/image",
    ) == ("/infrared/image_raw", "/visible/image_raw")
    assert guess("/left/ir", "/right/ir", "/rgb/image") == (None, "/rgb/image")
    assert guess("/ir", "/left/image", "/right/image") == ("/ir", None)
    assert guess("/first/image", "/second/image") == (None, None)  # "ir" is a word, no syllable


def test_a_recording_without_pairs_fails_and_says_which_offset_its_stamps_ask_for(
    drive, tmp_path
) -> None:
    arguments = (drive, "--out", tmp_path / "out", "--max-skew", 0.001)
    assert "--infrared-offset -0.004" in run(*arguments).stderr
    shutil.rmtree(tmp_path / "out")
    assert harvest(*arguments, status=1)["pairs"] == []
    fitting = (drive, "--out", tmp_path / "fits", "--max-skew", 0.001, "--infrared-offset=-0.004")
    assert len(harvest(*fitting, *GAP)["pairs"]) > 10


def test_earlier_results_are_not_mixed_with_new_ones(drive, tmp_path) -> None:
    (tmp_path / "train").mkdir()
    done = run(drive, "--out", tmp_path)
    assert isinstance(done.exception, SettingsError) and "not empty" in str(done.exception)


def test_a_recording_named_twice_is_refused(drive, tmp_path) -> None:
    done = run(drive, drive, "--out", tmp_path / "pairs")
    assert isinstance(done.exception, SettingsError) and "more than once" in str(done.exception)


def test_no_pair_of_train_is_a_neighbour_of_val_in_another_recording() -> None:
    second = 10**9
    accounts = [BagAccount(bag=None, streams={}) for _ in range(2)]  # type: ignore[arg-type]
    for number, account in enumerate(accounts):  # the second goes on where the first ends
        for index in range(10):
            stamp = (10 * number + index) * second
            account.pairs.append(HarvestedPair(str(stamp), "", stamp, stamp, 0))
    split_by_time(accounts, val_share=0.2, gap=3 * second)
    stamps: dict[str, list[int]] = {"train": [], "val": []}
    for account in accounts:
        for pair in account.pairs:
            stamps[pair.split].append(pair.visible_stamp // second)
    assert stamps["val"] == [8, 9, 18, 19]
    assert stamps["train"] == [0, 1, 2, 3, 4, 5, 12, 13, 14, 15]
    assert sum((account.pairs_dropped for account in accounts), Counter()) == {"split_gap": 6}


def test_a_model_labels_what_it_is_sure_of_and_its_classes_stand_beside(
    drive, tiny_model, tmp_path
) -> None:
    def labels(name: str, confidence: float) -> list[np.ndarray]:
        out = tmp_path / name
        arguments = ("--label-with", tiny_model, "--confidence", confidence, "--every", 1)
        manifest = harvest(drive, "--out", out, *GAP, *arguments)
        assert sum(manifest["labels"]["shares"].values()) == pytest.approx(1, abs=1e-5)
        found = [
            out / pair["split"] / "labels" / f"{pair['stem']}.png" for pair in manifest["pairs"]
        ]
        return [read(path) for path in found]

    everywhere, nowhere = labels("low", 0.01), labels("high", 1.0)
    assert all(image.shape == (72, 96) and image.max() < 3 for image in everywhere)
    assert any(image.any() for image in everywhere) and not any(image.any() for image in nowhere)
    classes = json.loads((tmp_path / "low" / "classes.json").read_text())["classes"]
    assert [entry["name"] for entry in classes] == ["unlabelled", "road", "person"]
    assert [entry["id"] for entry in classes] == [0, 1, 2]


def test_pairs_may_be_as_far_apart_as_those_of_the_node(drive, tmp_path) -> None:
    pytest.importorskip("rclpy")
    from uaafusion_ros.node.fusion_parameters import DECLARATIONS

    default = next(entry.default for entry in DECLARATIONS if entry.name == "max_skew")
    assert harvest(drive, "--out", tmp_path / "out")["settings"]["max_skew"] == default


def test_raw_message_fields_that_contradict_each_other_are_refused_before_pairing(tmp_path) -> None:
    bag = street_bag(tmp_path / "bag", seconds=1.0)
    odd = raw(START + 50_000_000, street(0.05).visible, "bgr8")
    odd.step = 5
    bag.add("/camera/image_raw", START + 60_000_000, odd)
    found = harvest(bag.write(), "--out", tmp_path / "out", *GAP)["bags"][0]
    assert found["dropped"]["visible"]["invalid_image"] == 1
    assert found["paired"] == 5
