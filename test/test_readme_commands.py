"""A newcomer's path: every command of the README works, from a folder with the data it speaks of.

Each command in a block of the README is run here as it stands, in bash, or is one of `make`, which
.ci/run calls in a fresh clone, or stands in `NOT_RUN` with the reason. A new command that is none
of these fails.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("av")
pytest.importorskip("matplotlib")
pytest.importorskip("tensorboard")

from bag_fixtures import street_bag
from golden_checkpoint import write_checkpoint
from ros_fixtures import ros_environment

from uaafusion_ros.scenes.street import StreetScene

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 600.0

NOT_RUN = {
    "colcon build": "needs an installed ROS 2; `make colcon` builds and tests the same with pip's",
    "ros2 launch": "needs ros2launch; test/launch/ runs the launch files where it is installed",
}
"""First words of a command, and why it is not run here or in .ci/run."""

SHORTENED = {
    "uaafusion train": "adaptation.steps=1 fusion.steps=1 adaptation.batch=1 fusion.batch=1 "
    "adaptation.patch_height=64 adaptation.patch_width=64 fusion.patch_height=64 "
    "fusion.patch_width=64 distillation.steps=1 distillation.batch=1 "
    "distillation.patch_height=64 distillation.patch_width=64 data.street.height=96 "
    "data.street.width=96 data.street.frames=2",
    "uaafusion evaluate": "--limit 1 --faithfulness 1",
    "uaafusion bench": "--sizes 64x64 --repeats 1 --modes exact",
}
"""Added to a command that would take hours or minutes."""

MAY_FAIL = {"uaafusion doctor": "there are no cameras to be found, which it says"}
"""Commands whose exit status 1 is an answer."""


def commands():
    """The README's commands in their order, without comments; `&&` joins two."""
    blocks = re.findall(
        r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    lines = [re.split(r"\s+#", line)[0].strip() for block in blocks for line in block.splitlines()]
    return [command for line in lines if line for command in line.split(" && ")]


COMMANDS = commands()
OURS = [command for command in COMMANDS if command.startswith("uaafusion ")]
MADE = [command for command in COMMANDS if command.startswith("make ")]


def named(command, table):
    """The entry of a table that a command begins with, or None."""
    return next((table[start] for start in table if f"{command} ".startswith(f"{start} ")), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working folder with everything that the README's commands name."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name in ("thermal", "camera"):
        (folder / name).mkdir()
    scene = StreetScene(240, 320, "day", seed=1)
    for index in range(4):
        frame = scene.frame(1.5 * index)
        cv2.imwrite(str(folder / "thermal" / f"{index}.png"), frame.infrared)
        cv2.imwrite(str(folder / "camera" / f"{index}.jpg"), frame.visible)
    street_bag(folder / "last_night", seconds=14, infrared_rate=1, visible_rate=1).write()
    write_checkpoint(folder / "authors.pth", 0)
    (folder / "config").symlink_to(ROOT / "config")
    return folder


def test_every_command_is_run_or_said_not_to_be():
    assert len(OURS) > 10 and len(MADE) > 1
    for command in COMMANDS:
        ways = [command in OURS, command in MADE, command.startswith("source ")]
        ways.append(named(command, NOT_RUN) is not None)
        assert sum(ways) == 1, f"{command!r}: run it here, in .ci/run, or say in NOT_RUN why not"
    for table in (NOT_RUN, SHORTENED, MAY_FAIL):
        assert all(any(f"{c} ".startswith(f"{start} ") for c in COMMANDS) for start in table)


@pytest.mark.parametrize("command", MADE)
def test_ci_makes_what_the_readme_makes(command):
    def shape(line):
        _, target, *settings = shlex.split(line, comments=True)
        return target, {setting.split("=")[0] for setting in settings}

    target, variables = shape(command)
    made = [
        shape(line)
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line.startswith("make ")
    ]
    assert any(target == other and variables <= given for other, given in made)


def test_what_ros2_is_asked_to_launch_exists():
    launches = [command.split() for command in COMMANDS if command.startswith("ros2 launch")]
    assert launches
    for _, _, package, file, *arguments in launches:
        assert package == "uaafusion_ros"
        text = (ROOT / "launch" / file).read_text()
        assert all(f'"{argument.split(":=")[0]}"' in text for argument in arguments), arguments


@pytest.mark.parametrize("command", OURS, ids=lambda command: command.split(" --")[0])
def test_a_command_of_the_readme_works_as_it_stands(command, folder):
    # In their order: later ones use what earlier ones wrote.
    binaries = folder / "bin"
    if not binaries.exists():
        binaries.mkdir()
        script = binaries / "uaafusion"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uaafusion_ros.cli "$@"\n')
        script.chmod(0o755)
    paths = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        ["bash", "-c", f"{command} {named(command, SHORTENED) or ''}"],
        cwd=folder,
        env=os.environ
        | ros_environment()
        | {"PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONPATH": paths, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    allowed = (0, 1) if named(command, MAY_FAIL) else (0,)
    assert done.returncode in allowed, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    written = re.findall(r"(?:--out|--record) (\S+)", command)
    assert all((folder / path).exists() for path in written), f"{command} wrote no {written}"
