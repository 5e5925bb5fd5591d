"""`uaafusion evaluate` from end to end, on a synthetic street with one file that is no image."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.scenes.street import StreetFrame, StreetScene
from uaafusion_ros.training.evaluation import EvaluationJob, evaluate_models
from uaafusion_ros.training.evaluation_result import TABLE_COLUMNS
from uaafusion_ros.training.fusion_metrics import NAMES
from uaafusion_ros.training.mode_fidelity import Correlation, Fidelity

HEIGHT, WIDTH = 64, 96


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "uaafusion_ros.cli", "evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def frames() -> list[StreetFrame]:
    """A street by day, at night and in fog."""
    return [
        StreetScene(HEIGHT, WIDTH, condition, seed=index).frame(0.0)
        for index, condition in enumerate(("day", "night", "fog"))
    ]


@pytest.fixture()
def data(frames: list[StreetFrame], tmp_path: Path) -> Path:
    """Five pairs, labelled with the tiny model's three classes: three good, two unusable."""
    folder = tmp_path / "street"
    for index, frame in enumerate([*frames, *frames[:2]]):
        write(folder / "infrared" / f"{index}.png", frame.infrared)
        write(folder / "visible" / f"{index}.png", frame.visible)
        write(folder / "labels" / f"{index}.png", np.minimum(frame.labels, 2))
    (folder / "visible" / "3.png").write_bytes(b"no image")
    write(folder / "infrared" / "4.png", np.zeros((HEIGHT, WIDTH // 2), np.uint8))
    return folder


def test_evaluate_measures_what_is_usable_and_names_what_is_not(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write(data / "labels" / "2.png", np.full((HEIGHT, WIDTH), 9, np.uint8))
    for index in (0, 1):  # a method whose images are the infrared ones, that lacks some
        write(
            tmp_path / "copied" / f"{index}.png",
            cv2.imread(str(data / "infrared" / f"{index}.png"), cv2.IMREAD_GRAYSCALE),
        )
    out = tmp_path / "out"
    done = run(
        *("--model", tiny_model, "--model", tiny_model, "--data", data, "--out", out),
        *("--compare", tmp_path / "copied", "--faithfulness", "1"),
    )
    assert done.returncode == 1, done.stderr
    text = done.stderr.replace("\n", " ")
    assert "3.png is not a readable image" in text
    assert "infrared is 48x64 and visible 96x64" in text
    assert "2: label left out: it holds class ids [9], expected ids below 3" in text
    assert "copied has no image of this name" in text
    assert "3 of 5 pairs evaluated" in text

    found = json.loads((out / "metrics.json").read_text())
    assert found["pairs"] == {"found": 5, "evaluated": 3, "common": 2}
    assert len(found["problems"]) == 5  # the label once for each model
    assert list(found["columns"]) == ["tiny", "tiny-2", "copied", "average", "maximum"]
    assert json.loads(done.stdout).keys() == found["columns"].keys()
    for column in found["columns"].values():
        assert tuple(column["metrics"]) == NAMES and 1 <= column["mean_rank"] <= 5
    assert found["columns"]["copied"]["metrics"]["SSIM255"] > 1  # a source equals itself
    tiny = found["models"]["tiny"]
    assert tiny["seconds"]["median"] <= tiny["seconds"]["p95"]
    assert tiny["segmentation"]["images"] == 2
    inputs = ("infrared", "visible", "fused", "fused, attention off", "average", "maximum")
    for source in inputs:
        assert set(tiny["segmentation"][source]["classes"]) == {"road", "person"}
    for reference in ("blurred", "average"):
        maps = tiny["faithfulness"][reference]
        assert set(maps) == {"attention", "gradient", "random"}
        assert maps["attention"]["images"] == 1 and len(maps["attention"]["deletion"]) == 11

    with (out / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == TABLE_COLUMNS
    counts = {name: sum(row["method"] == name for row in rows) for name in found["columns"]}
    assert counts == {"tiny": 3, "tiny-2": 3, "copied": 2, "average": 3, "maximum": 3}
    mean = np.mean([float(row["EN"]) for row in rows if row["method"] == "average"][:2])
    assert mean == pytest.approx(found["columns"]["average"]["metrics"]["EN"], abs=1e-5)

    report = (out / "report.md").read_text()
    pictures = [line.split("](")[1].rstrip(")") for line in report.splitlines() if line[:2] == "!["]
    assert len(pictures) == 9
    for picture in pictures:
        assert cv2.imread(str(out / picture)) is not None, picture
    assert "3.png is not a readable image" in report


def test_a_class_list_beside_the_data_maps_labels_by_name(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    names = ("unlabelled", "person", "road", "kerb")
    entries = [{"id": index, "name": name} for index, name in enumerate(names)]
    (data / "classes.json").write_text(json.dumps({"classes": entries}))
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:8], label[8:16] = 1, 3
    write(data / "labels" / "0.png", label)
    job = EvaluationJob(
        models=(str(tiny_model),), data=data, out=tmp_path / "out", limit=1, max_side=48
    )
    result = evaluate_models(job, Console(quiet=True))
    assert (result.evaluated, result.problems) == (["0"], [])
    assert "kerb" in result.notes[0]
    assert list(result.models["tiny"].segmentation["fused"]) == ["person"]
    assert (tmp_path / "out" / "report.md").exists()


def test_labels_that_a_model_guessed_are_not_taken_for_the_truth(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": {"model": "its_teacher"}}))
    job = EvaluationJob(
        models=(str(tiny_model),), data=data, out=tmp_path / "out", limit=1, max_side=48
    )
    result = evaluate_models(job, Console(quiet=True))
    assert "the labels are guesses of its_teacher" in result.notes[0]
    with pytest.raises(SettingsError, match="holds train: give one of these"):
        (tmp_path / "train").mkdir()
        evaluate_models(replace(job, data=tmp_path), Console(quiet=True))


def test_marks_choose_the_pairs_and_take_the_place_of_labels(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """The whole of one pair is marked as road, and one pixel as a class that nobody knows."""
    marks = {
        "images": [{"id": 5, "file_name": "elsewhere/1.jpg"}],
        "categories": [{"id": 1, "name": "giraffe"}, {"id": 2, "name": "road"}],
        "annotations": [
            {"image_id": 5, "category_id": 2, "bbox": [0, 0, WIDTH, HEIGHT]},
            {"image_id": 5, "category_id": 1, "bbox": [7, 7, 1, 1]},
        ],
    }
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    job = EvaluationJob(
        models=(str(tiny_model),), data=data, out=tmp_path, marked=tmp_path / "marks.json"
    )

    result = evaluate_models(job, Console(quiet=True))

    assert result.evaluated == ["1"] and "giraffe" in result.notes[0]
    model = result.models["tiny"]
    # Of one class alone what is right is all that there is to find.
    assert model.segmentation["fused"].keys() == {"road"}
    assert model.right["fused"] == pytest.approx(model.segmentation["fused"]["road"])

    marks["images"][0]["file_name"] = "77.jpg"
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    with pytest.raises(SettingsError, match="lists none of the 5 pairs"):
        evaluate_models(job, Console(quiet=True))


def test_modes_are_compared_with_exact_of_the_same_model(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    job = EvaluationJob(
        models=(str(tiny_model),), data=data, out=tmp_path / "out", limit=1, modes=("fast",)
    )
    evaluate_models(job, Console(quiet=True))
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["models"]
    assert {name: model["mode"] for name, model in found.items()} == {
        "tiny exact": "exact",
        "tiny fast": "fast",
    }
    assert found["tiny exact"]["fidelity"] == {}
    fast = found["tiny fast"]["fidelity"]
    # The first frame of fast differs in later stages' gates at most.
    assert fast["images"] == 1 and fast["psnr"]["mean"] > 40 and fast["mask_agreement"] > 0.98
    assert fast["weight_correlation"] is None or fast["weight_correlation"] > 0.99
    assert "tiny fast" in (tmp_path / "out" / "report.md").read_text().split("## Modes")[1]


def test_correlation_and_psnr_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((2, 8, 9)) for _ in range(2)]
    correlation = Correlation()
    for first, second in zip(*maps, strict=True):
        correlation.add(first, second)
    wanted = np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]
    assert correlation.value() == pytest.approx(wanted)
    constant = Correlation()
    constant.add(np.full((8, 9), 0.3), maps[0][0])
    assert constant.value() is None
    fidelity, ids = Fidelity(), np.zeros((8, 9), np.uint8)
    exact, other = (
        NetworkArrays(fused=np.full((8, 9), value), mask=ids, infrared_weight=ids, attention=ids)
        for value in (0.5, 0.51)
    )
    fidelity.add(exact, other)
    assert fidelity.as_dict()["psnr"]["lowest"] == pytest.approx(40.0)


def test_folders_that_nothing_can_be_measured_on_are_refused(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    def refusal(folder: Path, **others: object) -> str:
        job = EvaluationJob(models=(str(tiny_model),), data=folder, out=tmp_path / "out", **others)
        with pytest.raises(SettingsError) as refused:
            evaluate_models(job, Console(quiet=True))
        return str(refused.value)

    empty = tmp_path / "empty"
    (empty / "infrared").mkdir(parents=True)
    assert "holds no images" in refusal(empty)
    assert "is not a folder" in refusal(tmp_path / "none")
    write(tmp_path / "other" / "cat.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert "none of a pair's name" in refusal(data, compare=(tmp_path / "other",))
    for index in range(3):
        (data / "infrared" / f"{index}.png").write_bytes(b"no image")
    assert "none of the 5 pairs" in refusal(data)
    assert not (tmp_path / "out").exists()
