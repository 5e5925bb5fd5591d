"""A data set is told to be sound or not before somebody trains on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from uaafusion_ros.cli import app
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.scenes.classes import CLASSES, PALETTE
from uaafusion_ros.scenes.street import StreetFrame, StreetScene

ROADSCENE = Path(__file__).resolve().parents[2] / "shared" / "data" / "roadscene"
CAMVID_LIKE = ("visible", "labels")
PLAIN = ("visible", "infrared", "labels")


def check(folder: Path, out: Path, *arguments: str) -> dict:
    done = CliRunner().invoke(
        app, ["dataset", "check", str(folder), "--out", str(out), *map(str, arguments)]
    )
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    report = json.loads((out / "report.json").read_text())
    assert done.exit_code == (0 if report["ok"] else 1)
    for problem in report["problems"]:
        assert problem["text"] in done.stderr
    sheet = cv2.imread(str(out / "contact.png"))
    assert sheet is not None and sheet.std() > 5
    return report


def write(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@cache
def street(index: int) -> StreetFrame:
    return StreetScene(96, 128, ("day", "night")[index % 2], seed=index).frame(0.0)


def fill(folder: Path, count: int = 6, kinds: tuple[str, ...] = PLAIN, shift: int = 0) -> Path:
    """Streets, of which infrared may be `shift` pixels to the left of where it belongs."""
    for index in range(count):
        frame = street(index)
        images = (frame.visible, np.roll(frame.infrared, -shift, axis=1), frame.labels)
        for kind, image in zip(kinds, images if len(kinds) == 3 else images[::2], strict=True):
            write(image, folder / kind / f"{index}.png")
    return folder


def classes_json(folder: Path, count: int = len(CLASSES)) -> None:
    entries = [{"id": i, "name": CLASSES[i], "rgb": PALETTE[i]} for i in range(count)]
    (folder / "classes.json").write_text(json.dumps({"classes": entries}))


@pytest.fixture()
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    fill(folder / "train")
    fill(folder / "val", 2)
    classes_json(folder)
    return folder


def test_a_sound_set_is_counted_and_passes(data, tmp_path) -> None:
    report = check(data, tmp_path / "out")
    assert report["ok"] and report["problem_counts"] == {}
    train = report["splits"]["train"]
    assert train["images"] == {"visible": 6, "infrared": 6, "labels": 6}
    assert train["sizes"] == {"128x96": 6}
    labels = [cv2.imread(str(path), 0) for path in (data / "train" / "labels").iterdir()]
    road = sum(int((image == 1).sum()) for image in labels)
    assert train["class_histogram"]["road"]["pixels"] == road > 0
    assert train["class_histogram"]["road"]["images"] == 6
    assert sum(entry["share"] for entry in train["class_histogram"].values()) == pytest.approx(
        1, abs=1e-4
    )
    assert report["splits"]["val"]["images"]["visible"] == 2


def unlink(path: Path) -> None:
    path.unlink()


def cut_off(path: Path) -> None:
    """Half a JPEG, which OpenCV alone reads without complaint."""
    data = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()
    path.write_bytes(data[: len(data) // 2])
    path.rename(path.with_suffix(".jpg"))


def change(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: write(function(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)), path)


def with_stranger(labels: np.ndarray) -> np.ndarray:
    labels[:3] = 99
    labels[3:6] = 255  # void is none
    return labels


DEFECTS = {
    "no_partner": ("infrared", unlink),
    "unreadable": ("visible", cut_off),
    "different_size": ("infrared", change(lambda image: image[:, :-8])),
    "misaligned": ("infrared", change(lambda image: np.roll(image, 7, axis=1))),
    "constant": ("infrared", change(lambda image: image * 0 + 7)),
    "depth": ("infrared", change(lambda image: image.astype(np.uint16) * 9)),
    "unknown_class": ("labels", change(with_stranger)),
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_one_bad_image_is_found_and_named(kind, data, tmp_path) -> None:
    folder, damage = DEFECTS[kind]
    path = data / "train" / folder / "2.png"
    damage(path)
    report = check(data, tmp_path / "out")
    assert report["problem_counts"] == {kind: 1}
    text = report["problems"][0]["text"]
    assert str(path.with_suffix("")) in text or (
        kind == "no_partner" and "train: 2 has no infrared" in text
    )
    if kind == "unknown_class":
        assert "ids 99," in text


def test_labels_in_colour_and_an_empty_folder_are_problems(data, tmp_path) -> None:
    change(lambda labels: np.asarray(PALETTE, np.uint8)[labels])(data / "train/labels/0.png")
    for path in (data / "val" / "infrared").iterdir():
        path.unlink()
    counts = check(data, tmp_path / "out")["problem_counts"]
    assert counts == {"unreadable": 1, "empty_folder": 1, "no_partner": 2}


def test_a_small_shift_that_all_pairs_share_is_found_in_their_mean(tmp_path) -> None:
    report = check(fill(tmp_path / "data", 8, shift=2), tmp_path / "out")
    assert report["problem_counts"]["misaligned_set"] == 1
    assert report["splits"]["data"]["alignment"]["dx"] == pytest.approx(2 / 128, abs=1 / 256)


@pytest.mark.parametrize(
    ("layout", "kinds", "name"),
    [
        ("fmb", ("Visible", "Infrared", "Label"), "vegetation"),
        ("msrs", ("vi", "ir", "Segmentation_labels"), "guardrail"),
    ],
)
def test_data_sets_as_distributed_are_known_with_their_classes(
    layout, kinds, name, tmp_path
) -> None:
    for split in ("train", "test"):
        fill(tmp_path / "data" / split, 1, kinds)
        change(lambda labels: labels % 9)(tmp_path / "data" / split / kinds[2] / "0.png")
    report = check(tmp_path / "data", tmp_path / "out")
    assert report["ok"] and report["layout"] == layout
    assert set(report["splits"]) == {"train", "test"}
    assert report["splits"]["test"]["class_histogram"][name]["pixels"] > 0


def test_labels_of_visible_images_alone_can_be_held_against_a_model(tiny_model, tmp_path) -> None:
    fill(tmp_path / "data", 2, CAMVID_LIKE)
    assert check(tmp_path / "data", tmp_path / "out")["ok"]
    report = check(tmp_path / "data", tmp_path / "out", "--model", tiny_model)
    assert report["problem_counts"] == {"unknown_class": 2}  # the tiny model has three classes
    assert report["splits"]["data"]["class_histogram"]["person"]["images"] >= 0


def test_what_is_no_data_set_is_answered_with_what_was_expected(tmp_path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(SettingsError, match=r"holds pictures.*visible/infrared/labels"):
        check(tmp_path, tmp_path / "out")


@pytest.mark.skipif(not ROADSCENE.is_dir(), reason="RoadScene is not here")
def test_real_pairs_that_are_aligned_are_not_suspected(tmp_path) -> None:
    report = check(ROADSCENE, tmp_path / "out")
    assert report["ok"], report["problems"]
    assert report["splits"]["train"]["alignment"]["pairs"] == 171
