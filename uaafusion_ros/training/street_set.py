"""Writes frames of the synthetic street as a data set, to train or to measure on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.output_files import write_image, write_json
from uaafusion_ros.network.config import class_list
from uaafusion_ros.scenes.classes import CLASSES, PALETTE
from uaafusion_ros.scenes.street import MINIMUM_SIDE, Condition
from uaafusion_ros.training.class_mapping import CLASSES_FILE
from uaafusion_ros.training.datasets import KINDS, VISIBLE, street_frame


def write_street_set(
    out: Path, *, frames: int, height: int, width: int, conditions: Sequence[str], seed: int
) -> Iterator[Path]:
    """Write a street a frame to infrared/, visible/ and labels/, and classes.json.

    Args:
        conditions: taken in turn.
        seed: of the first street; the next has the next.

    Returns:
        the visible images one after another, as they are written.

    Raises:
        SettingsError: values that cannot be used, or a folder that holds something.
        OSError: something cannot be written.
    """
    known = get_args(Condition)
    if unknown := [name for name in conditions if name not in known] or not conditions:
        raise SettingsError(f"conditions are {unknown or []}, expected some of {', '.join(known)}")
    for name, value, least in (
        ("frames", frames, 1),
        ("height", height, MINIMUM_SIDE),
        ("width", width, MINIMUM_SIDE),
        ("seed", seed, 0),
    ):
        if value < least:
            raise SettingsError(f"{name} is {value}, expected at least {least}")
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out} is not empty; give a folder of its own, or empty this one")
    return _write(out, frames, (height, width), conditions, seed)


def _write(
    out: Path, frames: int, size: tuple[int, int], conditions: Sequence[str], seed: int
) -> Iterator[Path]:
    for kind in KINDS:
        (out / kind).mkdir(parents=True, exist_ok=True)
    write_json(out / CLASSES_FILE, class_list(CLASSES, PALETTE))
    for index in range(frames):
        name, frame = street_frame(index, *size, conditions, seed)
        for kind in KINDS:
            write_image(out / kind / f"{name}.png", getattr(frame, kind))
        yield out / VISIBLE / f"{name}.png"
