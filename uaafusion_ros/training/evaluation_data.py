"""What an evaluation reads: pairs, their labels, and other methods' fused images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.files import SUFFIXES, by_stem, read_infrared, read_visible
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import GainControl
from uaafusion_ros.training.class_mapping import ClassMapping, map_classes, read_class_names
from uaafusion_ros.training.coco import category_names
from uaafusion_ros.training.datasets import DatasetError
from uaafusion_ros.training.harvest_account import guessed_by
from uaafusion_ros.training.image_files import missing_folder, read_labels
from uaafusion_ros.training.regions import Region, draw_regions, read_regions

#: Called with what is wrong with a file that is then left out.
Problem = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """One infrared and one visible image of equal size.

    infrared: as stored, [H,W] uint8, uint16 or float. visible: BGR uint8 [H,W,3].
    infrared_luminance, visible_luminance: uint8 [H,W]; 16-bit infrared after gain control.
    label_ids: uint8 [H,W] in the data's own numbering, or None.
    """

    stem: str
    infrared: np.ndarray
    visible: np.ndarray
    infrared_luminance: np.ndarray
    visible_luminance: np.ndarray
    label_ids: np.ndarray | None


class EvaluationFolder:
    """A folder with infrared/, visible/ and labels/ or marks or neither, matched by stem.

    stems: of the pairs to evaluate. found: how many pairs there are in the folder.

    Args:
        limit: evaluate so many pairs, evenly spread over the folder; 0 is all.
        marked: COCO JSON of regions (training/regions.py) that take the place of labels/; the
            pairs that it does not list are left out.

    Raises:
        DatasetError: `marked` cannot be read.
        SettingsError: a folder that is missing or empty, or without any pair.
    """

    def __init__(
        self, folder: Path, limit: int, problem: Problem, *, marked: Path | None = None
    ) -> None:
        self._problem = problem
        self._infrared = images_by_stem(folder / "infrared", problem)
        self._visible = images_by_stem(folder / "visible", problem)
        self._marks: dict[str, tuple[Region, ...]] = {}
        self._labels: dict[str, Path] = {}
        if marked is not None:
            self._class_names = category_names(marked)
            self._marks = read_regions(marked, self._class_names).shapes
        else:
            labels = folder / "labels"
            self._labels = images_by_stem(labels, problem) if labels.is_dir() else {}
            self._class_names = read_class_names(folder.resolve())
        self.has_labels = bool(self._labels or self._marks)
        #: The model that guessed the labels; empty where they are not known to be guesses.
        self.guessed_by = guessed_by(folder) if self._labels else ""
        for own, other, partner in (
            (self._infrared, self._visible, "visible"),
            (self._visible, self._infrared, "infrared"),
        ):
            for stem in sorted(own.keys() - other.keys()):
                problem(f"{own[stem]} has no partner of the same stem in {folder / partner}")
        stems = sorted(self._infrared.keys() & self._visible.keys())
        if not stems:
            raise SettingsError(
                f"{folder} holds {len(self._infrared)} infrared and {len(self._visible)} visible "
                "images, none of equal stem; expected pairs such as infrared/a.png, visible/a.jpg"
            )
        self.found = len(stems)
        if marked is not None:
            stems = [stem for stem in stems if stem in self._marks]
            if not stems:
                raise SettingsError(f"{marked} lists none of the {self.found} pairs in {folder}")
        if limit and limit < len(stems):
            stems = [stems[round(index)] for index in np.linspace(0, len(stems) - 1, limit)]
        self.stems = stems

    def pairs(self) -> Iterator[Pair | None]:
        """Read the pairs one by one; None for one that is unusable, whose problem was told."""
        for stem in self.stems:
            try:
                yield self.read(stem)
            except FrameError as error:
                self._problem(f"{stem}: {error}")
                yield None

    def read(self, stem: str, *, with_labels: bool = True) -> Pair:
        """Read one pair; a label that is unusable is told and left out.

        Raises:
            FrameError: an unreadable image, or images of different sizes.
        """
        infrared = read_infrared(self._infrared[stem])
        visible = read_visible(self._visible[stem])
        if visible.ndim != 3 or visible.shape[2] != 3 or visible.dtype != np.uint8:
            raise FrameError(
                f"visible image is {visible.dtype} {list(visible.shape)}, expected uint8 [H,W,3]"
            )
        if infrared.ndim != 2:
            raise FrameError(f"infrared image is {list(infrared.shape)}, expected [H,W]")
        if infrared.shape != visible.shape[:2]:
            raise FrameError(
                f"infrared is {_size(infrared)} and visible {_size(visible)}, expected equal sizes"
            )
        thermal = GainControl()(infrared, PipelineSettings())
        return Pair(
            stem=stem,
            infrared=infrared,
            visible=visible,
            infrared_luminance=np.rint(thermal * 255).astype(np.uint8),
            visible_luminance=cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY),
            label_ids=self._read_labels(stem, infrared.shape) if with_labels else None,
        )

    def mapping(self, classes: tuple[str, ...]) -> ClassMapping:
        """Map the labels' ids to a model's classes.

        By name where the data bring a class list; without one the ids are the model's own.
        """
        return map_classes(self._class_names or classes, classes)

    def _read_labels(self, stem: str, shape: tuple[int, ...]) -> np.ndarray | None:
        if stem in self._marks:
            marked = np.zeros(shape, np.uint8)
            draw_regions(marked, self._marks[stem])
            return marked
        path = self._labels.get(stem)
        if path is None:
            return None
        try:
            labels = read_labels(path)
        except DatasetError as error:
            self._problem(f"{stem}: label left out: {error}")
            return None
        if labels.shape != shape:
            self._problem(
                f"{stem}: label left out: {path} is {_size(labels)} and the images are "
                f"{shape[1]}x{shape[0]}, expected equal sizes"
            )
            return None
        return labels


class ComparedFolder:
    """Another method's fused images, named as the pairs are.

    Raises:
        SettingsError: a folder that is missing or holds none of the pairs' images.
    """

    def __init__(self, folder: Path, stems: list[str], problem: Problem) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        self._problem = problem
        self._paths = images_by_stem(folder, problem)
        if not self._paths.keys() & set(stems):
            raise SettingsError(
                f"{folder} holds {len(self._paths)} images, none of a pair's name; expected fused "
                f"images such as {stems[0]}.png"
            )

    def read(self, stem: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return luminance uint8 [H,W] of `shape`; None where it is unusable, which is told."""
        path = self._paths.get(stem)
        if path is None:
            self._problem(f"{stem}: {self.folder} has no image of this name")
            return None
        try:
            image = read_visible(path)
        except FrameError as error:
            self._problem(f"{stem}: {error}")
            return None
        if image.shape[:2] != shape or image.dtype != np.uint8:
            self._problem(
                f"{stem}: {path} is {image.dtype} {_size(image)}, expected uint8 "
                f"{shape[1]}x{shape[0]} as the pair"
            )
            return None
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image


def images_by_stem(folder: Path, problem: Problem) -> dict[str, Path]:
    """Return the image files of a folder by stem; of several of one stem the first.

    Raises:
        SettingsError: a folder that is missing or holds no images.
    """
    if not folder.is_dir():
        raise SettingsError(missing_folder(folder))
    found = by_stem(folder, problem)
    if not found:
        raise SettingsError(f"{folder} holds no images; expected {', '.join(SUFFIXES)}")
    return found


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
