"""Samples for training: labelled visible frames, infrared/visible pairs, the synthetic street.

Images are uint8 luminance [H,W], of visible ones the chroma as well where a model asks for colour;
labels are uint8 class ids where 0 is ignored by every loss.
Files are read when they are asked for, so that a damaged one costs one sample and not the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from uaafusion_ros.scenes.classes import CLASSES as STREET_CLASSES
from uaafusion_ros.scenes.street import StreetFrame, StreetScene
from uaafusion_ros.training.class_mapping import (
    KNOWN_CLASSES,
    KNOWN_NAMES,
    ClassMapping,
    map_classes,
    read_class_names,
)
from uaafusion_ros.training.coco import image_stems
from uaafusion_ros.training.errors import DatasetError
from uaafusion_ros.training.image_files import (
    missing_folder,
    part_colour,
    read_colour,
    read_labels,
    read_luminance,
)
from uaafusion_ros.training.settings import DatasetSettings

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STREET_CONDITIONS = ("night", "night", "day", "fog")

KINDS = VISIBLE, INFRARED, LABELS = ("visible", "infrared", "labels")
#: Folder of every kind of image, by the name of the layout.
LAYOUTS = {
    "folder": dict(zip(KINDS, KINDS, strict=True)),
    "fmb": {VISIBLE: "Visible", INFRARED: "Infrared", LABELS: "Label"},
    "msrs": {VISIBLE: "vi", INFRARED: "ir", LABELS: "Segmentation_labels"},
}


@dataclass(frozen=True)
class Sample:
    """Luminance images uint8 [H,W] of one moment; what a data set lacks is None.

    chroma: Cr and Cb of the visible image, uint8 [H,W,2], 128 where it is grey.
    """

    visible: np.ndarray
    infrared: np.ndarray | None = None
    labels: np.ndarray | None = None
    name: str = ""
    fused: np.ndarray | None = None
    chroma: np.ndarray | None = None


class Dataset(Protocol):
    """A named sequence of samples that all hold the same kinds of images."""

    name: str
    has_infrared: bool
    has_labels: bool
    notes: list[str]

    def __len__(self) -> int: ...

    def load(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            DatasetError: unreadable, or images of different sizes; names the file.
        """


class FolderDataset:
    """Images of equal stems in two or three folders."""

    def __init__(
        self, name: str, settings: DatasetSettings, classes: Sequence[str], *, colour: bool = False
    ) -> None:
        """Find the files; `classes` are the model's. With `colour`, samples have chroma.

        Raises:
            DatasetError: an empty folder or a missing partner.
            SettingsError: class names that do not fit.
        """
        root = Path(settings.path)
        if settings.kind != "folder":
            root /= settings.split
        visible, infrared, labels = (root / LAYOUTS[settings.kind][kind] for kind in KINDS)
        self.name, self._colour = name, colour
        self._visible = _by_stem(visible)
        needs_all = settings.kind != "folder"
        self.has_infrared = needs_all or infrared.is_dir()
        self.has_labels = settings.labels and (needs_all or labels.is_dir())
        self._infrared = self._partners(infrared) if self.has_infrared else {}
        self._labels = self._partners(labels) if self.has_labels else {}
        held_out = image_stems(settings.held_out) if settings.held_out else frozenset()
        self._stems = [stem for stem in self._visible if stem not in held_out]
        if not self._stems:
            raise DatasetError(f"{settings.held_out} holds out all images of {visible}")
        self._mapping = _mapping(settings, classes)
        self.notes: list[str] = []
        if self.has_labels and self._mapping.unmapped:
            self.notes.append(
                f"{name}: ignored, because the model has no class of that name: "
                f"{', '.join(self._mapping.unmapped)}"
            )
        self._strangers_said = False

    def __len__(self) -> int:
        return len(self._stems)

    def _partners(self, folder: Path) -> dict[str, Path]:
        found = _by_stem(folder)
        for stem, path in self._visible.items():
            if stem not in found:
                raise DatasetError(f"{path} has no partner of the same name in {folder}")
        return found

    def load(self, index: int) -> Sample:
        stem = self._stems[index]
        chroma = infrared = labels = None
        if self._colour:
            visible, chroma = read_colour(self._visible[stem])
        else:
            visible = read_luminance(self._visible[stem])
        if self.has_infrared:
            infrared = read_luminance(self._infrared[stem])
            self._check_size(self._infrared[stem], infrared, visible)
        if self.has_labels:
            path = self._labels[stem]
            ids = read_labels(path)
            self._check_size(path, ids, visible)
            self._note_strangers(path, ids)
            labels = self._mapping.apply(ids)
        return Sample(visible, infrared, labels, str(self._visible[stem]), chroma=chroma)

    def _check_size(self, path: Path, image: np.ndarray, visible: np.ndarray) -> None:
        if image.shape != visible.shape:
            raise DatasetError(
                f"{path} is {image.shape[1]}x{image.shape[0]} but its visible image is "
                f"{visible.shape[1]}x{visible.shape[0]}, expected equal sizes"
            )

    def _note_strangers(self, path: Path, ids: np.ndarray) -> None:
        strangers = self._mapping.strangers(ids)
        if strangers and not self._strangers_said:
            self._strangers_said = True
            self.notes.append(
                f"{self.name}: {path} and perhaps others hold ids {strangers} outside the list of "
                f"{self._mapping.known} classes; they are ignored"
            )


def street_frame(
    index: int, height: int, width: int, conditions: Sequence[str], seed: int
) -> tuple[str, StreetFrame]:
    """Render one of a row of streets, each of its own and with the next of the conditions.

    Args:
        seed: of the first street.

    Returns:
        a name that is like no other's, and the frame.
    """
    condition = conditions[index % len(conditions)]
    scene = StreetScene(height, width, condition, seed=seed + index)  # type: ignore[arg-type]
    # At a time of its own: some things stand at the same place when a street begins.
    return f"{condition}-{seed + index}", scene.frame(float(index % 7))


class StreetDataset:
    """Frames of as many different synthetic streets, by day, at night and in fog."""

    has_infrared = True

    def __init__(
        self, name: str, settings: DatasetSettings, classes: Sequence[str], *, colour: bool = False
    ) -> None:
        self.name, self._settings, self._colour = name, settings, colour
        self.has_labels = settings.labels
        self._mapping = map_classes(STREET_CLASSES, classes, settings.rename)
        self.notes = (
            [f"{name}: ignored: {', '.join(self._mapping.unmapped)}"]
            if self._mapping.unmapped
            else []
        )

    def __len__(self) -> int:
        return self._settings.frames

    def load(self, index: int) -> Sample:
        settings = self._settings
        name, frame = street_frame(
            index, settings.height, settings.width, STREET_CONDITIONS, settings.seed
        )
        visible, chroma = part_colour(frame.visible)
        return Sample(
            visible=visible,
            chroma=chroma if self._colour else None,
            infrared=frame.infrared,
            labels=self._mapping.apply(frame.labels) if self.has_labels else None,
            name=f"street-{name}",
        )


def open_dataset(
    name: str, settings: DatasetSettings, classes: Sequence[str], *, colour: bool = False
) -> Dataset:
    """Find the samples of a data set for a model with these classes; with `colour`, their chroma.

    Raises:
        DatasetError: an empty folder or a missing partner.
        SettingsError: class names that do not fit.
    """
    street = settings.kind == "street"
    dataset = (StreetDataset if street else FolderDataset)(name, settings, classes, colour=colour)
    if unused := _unused(settings, dataset):
        dataset.notes.append(f"{name}: no use is made of {unused}")
    return dataset


def _unused(settings: DatasetSettings, dataset: Dataset) -> str:
    """Say which settings of a data set nothing asks for, and why."""
    reasons: dict[str, str] = {}
    if dataset.has_labels or not dataset.has_infrared:
        why = "it has labels of its own" if dataset.has_labels else "only pairs are pseudo-labelled"
        reasons |= dict.fromkeys(("boxes", "regions", "absent_above", "doubted"), why)
    if not dataset.has_infrared:
        reasons["fused_by"] = "it has no infrared images"
    if settings.kind == "street":
        reasons |= dict.fromkeys(("path", "held_out", "classes"), "it is rendered")
    return ", ".join(f"{name} ({why})" for name, why in reasons.items() if getattr(settings, name))


def _mapping(settings: DatasetSettings, classes: Sequence[str]) -> ClassMapping:
    theirs = (
        settings.classes
        or KNOWN_CLASSES.get(settings.kind)
        or read_class_names(Path(settings.path))
        or tuple(classes)
    )
    known = KNOWN_NAMES.get(settings.kind, {}) if not settings.classes else {}
    usable = {old: new for old, new in known.items() if new in classes}
    return map_classes(theirs, classes, {**usable, **settings.rename})


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DatasetError(missing_folder(folder))
    found = {
        path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES
    }
    if not found:
        raise DatasetError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return found
