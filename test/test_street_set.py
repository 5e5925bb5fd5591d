"""The street as a data set on disk: what `evaluate` and `train` read of it."""

from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from uaafusion_ros.cli import app
from uaafusion_ros.commands.console import console
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.training.dataset_check import check_dataset


def written(out: Path, *arguments: str) -> Path:
    size = ("--frames", "3", "--height", "64", "--width", "96")
    done = CliRunner().invoke(app, ["dataset", "street", "--out", str(out), *size, *arguments])
    if done.exception:
        raise done.exception
    return out


def test_a_street_set_is_sound_and_follows_from_its_seed(tmp_path: Path) -> None:
    one, same, other = (
        written(tmp_path / name, "--seed", seed)
        for name, seed in (("one", "7"), ("same", "7"), ("other", "8"))
    )
    report = check_dataset(one, tmp_path / "check", console, model="")
    assert report["ok"], report["problems"]
    names = sorted(path.name for path in (one / "labels").iterdir())
    assert names == ["fog-8.png", "night-7.png", "night-9.png"]
    for name in names:
        file = Path("visible") / name
        assert (one / file).read_bytes() == (same / file).read_bytes()
    fog, night = one / "visible" / "fog-8.png", other / "visible" / "night-8.png"
    assert cv2.imread(str(night)).mean() < cv2.imread(str(fog)).mean() / 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--condition", "snow"), "expected some of day, night, fog"),
        (("--frames", "0"), "frames is 0, expected at least 1"),
        (("--height", "1"), "height is 1, expected at least"),
    ],
)
def test_an_impossible_street_set_is_refused(tmp_path: Path, arguments, told) -> None:
    with pytest.raises(SettingsError, match=told):
        written(tmp_path / "set", *arguments)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SettingsError, match="is not empty"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
