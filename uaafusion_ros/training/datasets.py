"""Samples for training: labelled visible frames, infrared/visible pairs, the synthetic street.

Images are uint8; labels are uint8 class ids where 0 is ignored by every loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uaafusion_ros.scenes.street import StreetScene

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class DatasetError(ValueError):
    """A data folder that cannot be used: what was found and what was expected."""


@dataclass(frozen=True)
class Sample:
    """Luminance images uint8 [H,W] of one moment; what a data set lacks is None."""

    visible: np.ndarray
    infrared: np.ndarray | None = None
    labels: np.ndarray | None = None
    name: str = ""


def read_luminance(path: Path) -> np.ndarray:
    """Read an image as luminance uint8 [H,W].

    Raises:
        DatasetError: not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DatasetError(f"{path} is not a readable image; remove it or copy it again")
    return image


def labelled_folder(folder: Path) -> list[Sample]:
    """Read `visible/` and `labels/` of equal stems (class ids as grey levels).

    Raises:
        DatasetError: an empty folder, a missing label, or different sizes.
    """
    samples = []
    labels = _by_stem(folder / "labels")
    for stem, path in _by_stem(folder / "visible").items():
        if stem not in labels:
            raise DatasetError(f"{path} has no label of the same name in {folder / 'labels'}")
        image, ids = read_luminance(path), read_luminance(labels[stem])
        if image.shape != ids.shape:
            raise DatasetError(
                f"{path} is {image.shape} but its label is {ids.shape}, expected equal sizes"
            )
        samples.append(Sample(visible=image, labels=ids, name=stem))
    return samples


def paired_folder(folder: Path) -> list[Sample]:
    """Read `infrared/` and `visible/` of equal stems and sizes, unlabelled.

    Raises:
        DatasetError: an empty folder, a missing partner, or different sizes.
    """
    samples = []
    infrared = _by_stem(folder / "infrared")
    for stem, path in _by_stem(folder / "visible").items():
        if stem not in infrared:
            raise DatasetError(f"{path} has no partner in {folder / 'infrared'}")
        visible, thermal = read_luminance(path), read_luminance(infrared[stem])
        if visible.shape != thermal.shape:
            raise DatasetError(
                f"{path} is {visible.shape} but its infrared partner is {thermal.shape}"
            )
        samples.append(Sample(visible=visible, infrared=thermal, name=stem))
    return samples


def street_samples(count: int, *, height: int, width: int, seed: int) -> list[Sample]:
    """Render `count` frames of as many different streets, by day, at night and in fog."""
    samples = []
    conditions: Sequence = ("night", "night", "day", "fog")
    for index in range(count):
        condition = conditions[index % len(conditions)]
        scene = StreetScene(height, width, condition, seed=seed + index)
        frame = scene.frame(float(index % 7))
        samples.append(
            Sample(
                visible=cv2.cvtColor(frame.visible, cv2.COLOR_BGR2GRAY),
                infrared=frame.infrared,
                labels=frame.labels,
                name=f"street-{condition}-{seed + index}",
            )
        )
    return samples


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; expected images in it")
    found = {
        path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES
    }
    if not found:
        raise DatasetError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return found
