"""Finds a data set's files, whole or not, and reads one moment of it with all that is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.config import FMB_CLASSES
from uaafusion_ros.node.compressed_images import compressed_infrared_array, compressed_visible_array
from uaafusion_ros.node.images import ImageError, is_constant
from uaafusion_ros.training.class_mapping import KNOWN_CLASSES, VOID
from uaafusion_ros.training.datasets import (
    INFRARED,
    LABELS,
    LAYOUTS,
    SUFFIXES,
    VISIBLE,
    DatasetError,
)
from uaafusion_ros.training.image_files import SPLITS, read_labels

_CHECKED_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Problem:
    """Something wrong; ``kind`` is one word for counting, ``text`` says what and where."""

    kind: str
    text: str


@dataclass(frozen=True)
class ClassList:
    """Names and RGB colours of label ids; empty where a data set does not say."""

    names: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()

    def name(self, number: int) -> str:
        """Name of an id."""
        if number < len(self.names):
            return self.names[number]
        return "void" if number == VOID else f"id {number}"


@dataclass
class Moment:
    """The images of one stem; those that are missing or unreadable are None."""

    stem: str
    visible: np.ndarray | None = None
    infrared: np.ndarray | None = None
    labels: np.ndarray | None = None
    problems: list[Problem] = field(default_factory=list)


@dataclass
class Split:
    """A part of a data set: the files of every kind by stem, and what is wrong with their names."""

    name: str
    files: dict[str, dict[str, Path]]
    problems: list[Problem] = field(default_factory=list)

    @property
    def stems(self) -> list[str]:
        return sorted(set().union(*self.files.values()))

    def read(self, stem: str, classes: ClassList) -> Moment:
        """Read the images of a stem, and say what is wrong with them."""
        moment = Moment(stem)
        for kind, files in self.files.items():
            if stem not in files:
                text = f"{self.name}: {stem} has no {kind} image"
                moment.problems.append(Problem("no_partner", text))
                continue
            try:
                image = _read(files[stem], kind)
            except (ImageError, DatasetError) as error:
                moment.problems.append(Problem("unreadable", _naming(files[stem], str(error))))
                continue
            setattr(moment, kind, image)
            if kind != LABELS and is_constant(image):
                text = f"{files[stem]} is of one grey level"
                moment.problems.append(Problem("constant", text))
            if kind == INFRARED and image.dtype != np.uint8:
                text = f"{files[stem]} is {image.dtype}, expected 8 bits (training reads no more)"
                moment.problems.append(Problem("depth", text))
        self._compare(moment, classes)
        return moment

    def _compare(self, moment: Moment, classes: ClassList) -> None:
        visible = moment.visible
        for kind in (INFRARED, LABELS):
            image = getattr(moment, kind)
            if image is None or visible is None or image.shape[:2] == visible.shape[:2]:
                continue
            text = (
                f"{self.files[kind][moment.stem]} is {size_text(image)}, but its visible image is "
                f"{size_text(visible)}; expected equal sizes"
            )
            moment.problems.append(Problem("different_size", text))
        if moment.labels is None or not classes.names:
            return
        strange = [i for i in np.unique(moment.labels) if len(classes.names) <= i < VOID]
        if strange:
            text = (
                f"{self.files[LABELS][moment.stem]} has ids {', '.join(map(str, strange))}, "
                f"expected 0 to {len(classes.names) - 1} or {VOID}"
            )
            moment.problems.append(Problem("unknown_class", text))


def find_splits(folder: Path) -> tuple[str, list[Split]]:
    """Recognise a data set's layout and list the files of its splits.

    Raises:
        SettingsError: no data set; says what the folder holds and what was expected.
    """
    if not folder.is_dir():
        raise SettingsError(f"{folder} is not a folder; expected a data set")
    for layout, names in LAYOUTS.items():
        roots = {name: folder / name for name in SPLITS} | {folder.name: folder}
        splits = [
            _split(name, present)
            for name, root in roots.items()
            if len(present := _present(root, names)) > 1 and VISIBLE in present
        ]
        if splits:
            return layout, splits
    held = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    expected = "; ".join("/".join(names.values()) for names in LAYOUTS.values())
    raise SettingsError(
        f"{folder} is no data set: it holds {held}. Expected, there or under "
        f"{', '.join(SPLITS)}, visible images with infrared ones or labels, in folders {expected}"
    )


def class_list(folder: Path, layout: str) -> ClassList:
    """The classes of a data set: its classes.json, or those of a layout as distributed.

    Raises:
        SettingsError: a classes.json that cannot be understood.
    """
    path = folder / "classes.json"
    if not path.is_file():
        names = KNOWN_CLASSES.get(layout, ())
        palette = tuple(FMB_CLASSES.values()) if layout == "fmb" else ()
        return ClassList(names, palette)
    try:
        entries = sorted(json.loads(path.read_text())["classes"], key=lambda entry: entry["id"])
        palette = tuple((int(r), int(g), int(b)) for r, g, b in (e["rgb"] for e in entries))
        return ClassList(tuple(str(entry["name"]) for entry in entries), palette)
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} is no class list ({error}); expected "
            '{"classes": [{"id": 0, "name": "unlabelled", "rgb": [0, 0, 0]}, …]}'
        ) from error


def size_text(image: np.ndarray) -> str:
    """WIDTHxHEIGHT."""
    return f"{image.shape[1]}x{image.shape[0]}"


def _present(root: Path, names: dict[str, str]) -> dict[str, Path]:
    if not root.is_dir():
        return {}
    held = {path.name for path in root.iterdir()}  # exact, also where file systems are not
    return {kind: root / name for kind, name in names.items() if name in held}


def _split(name: str, folders: dict[str, Path]) -> Split:
    split = Split(name, {})
    for kind, folder in folders.items():
        found: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in SUFFIXES:
                continue
            if path.stem in found:
                text = f"{path} has the same stem as {found[path.stem].name}"
                split.problems.append(Problem("same_stem", text))
                continue
            found[path.stem] = path
        if not found:
            text = f"{folder} holds no images ({', '.join(SUFFIXES)})"
            split.problems.append(Problem("empty_folder", text))
        split.files[kind] = found
    return split


def _read(path: Path, kind: str) -> np.ndarray:
    if kind == LABELS:
        return read_labels(path)
    if path.suffix.lower() in _CHECKED_SUFFIXES:
        # OpenCV reads images that were cut off, with grey where the data ends.
        message = SimpleNamespace(format=path.suffix[1:], data=path.read_bytes())
        decode = compressed_infrared_array if kind == INFRARED else compressed_visible_array
        return decode(message)  # type: ignore[arg-type]
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH if kind == INFRARED else cv2.IMREAD_COLOR
    image = cv2.imread(str(path), flags)
    if image is None:
        raise DatasetError(f"{path} is not a readable image; remove it or copy it again")
    return image


def _naming(path: Path, text: str) -> str:
    return text if str(path) in text else f"{path}: {text}"
