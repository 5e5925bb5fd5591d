"""The command line: what it writes, what it skips, and what its exit status says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_checkpoint import GOLDEN, write_checkpoint

from uaafusion_ros.scenes.street import StreetScene


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "uaafusion_ros.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture()
def folders(tmp_path: Path) -> tuple[Path, Path]:
    infrared, visible = tmp_path / "infrared", tmp_path / "visible"
    infrared.mkdir()
    visible.mkdir()
    for index, condition in enumerate(("day", "night")):
        frame = StreetScene(64, 80, condition, seed=index).frame(0.0)
        cv2.imwrite(str(infrared / f"{index}.png"), frame.infrared)
        cv2.imwrite(str(visible / f"{index}.jpg"), frame.visible)
    return infrared, visible


def test_fuse_writes_every_picture_of_every_pair(folders, tiny_model: Path, tmp_path) -> None:
    infrared, visible = folders
    out = tmp_path / "out"
    done = run(
        *("fuse", "--infrared", infrared, "--visible", visible, "--out", out),
        *("--model", tiny_model, "--arrays"),
    )
    assert done.returncode == 0, done.stderr
    for folder in ("fused", "mask", "overlay", "attribution"):
        assert sorted(path.name for path in (out / folder).iterdir()) == ["0.png", "1.png"]
    mask = cv2.imread(str(out / "mask" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (64, 80) and mask.max() < 15
    arrays = np.load(out / "arrays" / "1.npz")
    assert set(arrays) == {
        *("fused", "weight_infrared", "weight_visible", "attention", "labels"),
        *("contribution_infrared", "contribution_visible"),
    }
    np.testing.assert_allclose(arrays["weight_infrared"] + arrays["weight_visible"], 1, atol=1e-6)


def test_unreadable_and_unmatched_files_are_named_skipped_and_show_in_the_status(
    folders, tiny_model: Path, tmp_path: Path
) -> None:
    infrared, visible = folders
    (infrared / "1.png").write_bytes(b"no image")
    (infrared / "alone.png").write_bytes((infrared / "0.png").read_bytes())
    out = tmp_path / "out"
    done = run(
        *("fuse", "--infrared", infrared, "--visible", visible, "--out", out),
        *("--model", tiny_model),
    )
    assert done.returncode == 1
    text = done.stderr.replace("\n", " ")
    assert "1.png is not a readable image" in text
    assert "alone.png has no partner" in text
    assert "1 of 3 pairs fused" in text
    assert [path.name for path in (out / "fused").iterdir()] == ["0.png"]


def test_what_nobody_can_use_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = run(
        *("fuse", "--infrared", tmp_path / "none", "--visible", tmp_path, "--out", tmp_path / "o")
    )
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_imported_checkpoint_fuses_as_the_authors_do_from_the_command_line(
    tmp_path: Path,
) -> None:
    expected = np.load(GOLDEN / "release_97x131.npz")
    source = write_checkpoint(tmp_path / "authors.pth", int(expected["seed"]))
    model = tmp_path / "imported.safetensors"
    imported = run("import-checkpoint", source, "--out", model)
    assert imported.returncode == 0, imported.stderr
    assert "step sizes set to 0" in imported.stderr.replace("\n", " ")
    for name in ("infrared", "visible"):
        np.save(tmp_path / f"{name}.npy", expected[name])
    done = run(
        *("fuse", "--infrared", tmp_path / "infrared.npy", "--visible", tmp_path / "visible.npy"),
        *("--out", tmp_path, "--model", model, "--arrays"),
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "arrays" / "visible.npz")
    np.testing.assert_allclose(found["fused"], expected["fused"], atol=1e-4)
    np.testing.assert_allclose(found["weight_visible"], expected["weight_visible"], atol=1e-4)
    np.testing.assert_array_equal(found["labels"], expected["labels"])
    picture = cv2.imread(str(tmp_path / "fused" / "visible.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_allclose(picture / 255, expected["fused_minmax"], atol=0.6 / 255)
