"""`uaafusion calibrate`: from pairs or clicked points to the file that the node reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uaafusion_ros.calibration.errors import CalibrationError
from uaafusion_ros.calibration.estimation import Estimate, estimate
from uaafusion_ros.calibration.judgement import cautions, doubts
from uaafusion_ros.calibration.pairs import Pair, bag_pairs, folder_pairs
from uaafusion_ros.calibration.picture import judgement_picture
from uaafusion_ros.calibration.points import fit_points, read_points
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.output_files import write_image

PARAMETERS, PICTURE = "registration.yaml", "overlay.png"
DEFAULT_PAIRS = 40


@dataclass(frozen=True, kw_only=True)
class CalibrationJob:
    """What to calibrate from, and where the results go.

    bag: a recording, or None. infrared, visible: folders, or topics of the recording ("" tells
    them by their names). points: clicked points, or None; images are then for the picture alone.
    force: write the parameters even if they are not to be trusted.
    """

    out: Path
    bag: Path | None = None
    infrared: str = ""
    visible: str = ""
    points: Path | None = None
    pairs: int = DEFAULT_PAIRS
    max_skew: float = 0.02
    infrared_offset: float = 0.0
    force: bool = False

    def __post_init__(self) -> None:
        folders = bool(self.infrared and self.visible)
        if self.bag is None and not folders and self.points is None:
            raise SettingsError(
                "nothing to calibrate from: give a recording, or --infrared DIR and --visible DIR, "
                "or --points FILE"
            )
        if self.pairs < 1:
            raise SettingsError(f"pairs is {self.pairs}, expected 1 or more")


@dataclass(frozen=True)
class CalibrationResult:
    """The estimate, and why it is not to be trusted or less sure.

    parameters, picture: the files written; None where they were not.
    """

    estimate: Estimate
    infrared_size: tuple[int, int]
    visible_size: tuple[int, int]
    pairs: int
    doubts: list[str]
    cautions: list[str]
    parameters: Path | None
    picture: Path | None


def calibrate(job: CalibrationJob, problem: Callable[[str], None]) -> CalibrationResult:
    """Estimate, draw, and write what can be trusted.

    Raises:
        CalibrationError: there is nothing to estimate from.
        SettingsError, BagError: images that cannot be had.
        OSError: the results cannot be written.
    """
    pairs = _pairs(job, problem)
    notes: list[str] = []
    if job.points is not None:
        points = read_points(job.points)
        found, wrong = fit_points(points)
        infrared, visible = points.infrared_size, points.visible_size
        if pairs and (_size(pairs[0][0]), _size(pairs[0][1])) != (infrared, visible):
            raise CalibrationError(
                f"{job.points} is of images of {infrared} and {visible} pixels, but the given ones "
                f"have {_size(pairs[0][0])} and {_size(pairs[0][1])}"
            )
        if wrong:
            notes.append(f"points {', '.join(map(str, wrong))} contradict the others: left out")
    else:
        found = estimate(pairs)
        infrared, visible = _size(pairs[0][0]), _size(pairs[0][1])
    number = None if job.points is not None else len(pairs)
    doubted = doubts(found, infrared, visible, number)
    job.out.mkdir(parents=True, exist_ok=True)
    picture = None
    if pairs:
        picture = job.out / PICTURE
        write_image(picture, judgement_picture(pairs, found.homography))
    parameters = job.out / PARAMETERS
    if doubted and not job.force:
        parameters.unlink(missing_ok=True)  # what an earlier run left must not pass for this one's
    else:
        text = parameter_text(found, infrared, visible, number, doubted)
        parameters.write_text(text, encoding="utf-8")
    return CalibrationResult(
        estimate=found,
        infrared_size=infrared,
        visible_size=visible,
        pairs=len(pairs),
        doubts=doubted,
        cautions=[*notes, *cautions(number)],
        parameters=parameters if parameters.exists() else None,
        picture=picture,
    )


def parameter_text(
    found: Estimate,
    infrared: tuple[int, int],
    visible: tuple[int, int],
    pairs: int | None,
    doubted: list[str],
) -> str:
    """A ROS parameter file for the fusion node."""
    source = f"{found.found} clicked points" if pairs is None else f"{pairs} pairs"
    lines = [
        f"# Written by `uaafusion calibrate` from {source}.",
        f"# Holds for infrared images of {infrared[0]}x{infrared[1]} and visible ones of "
        f"{visible[0]}x{visible[1]} pixels, and this mounting.",
        f"# {summary(found)}",
        *(f"# Not to be trusted: {doubt}." for doubt in doubted),
        "/**:",
        "  ros__parameters:",
        "    registration: homography",
        f"    homography: [{', '.join(_written(number) for number in found.homography.ravel())}]",
    ]
    return "\n".join(lines) + "\n"


def summary(found: Estimate) -> str:
    """Residual and what it rests on, in one line; pixels of the visible image."""
    if math.isnan(found.residual):
        return "Residual unknown: too few points."
    text = (
        f"Residual: median {found.residual:.2f} px, 95 % within {found.worst:.2f} px, of "
        f"{found.agreeing} of {found.found} places"
    )
    if found.repeatability is not None:
        text += f"; halves of the pairs agree to {found.repeatability:.2f} px"
    return text + "."


def _pairs(job: CalibrationJob, problem: Callable[[str], None]) -> list[Pair]:
    if job.bag is not None:
        return bag_pairs(
            job.bag,
            (job.infrared, job.visible),
            job.max_skew,
            job.infrared_offset,
            job.pairs,
            problem,
        )
    if job.infrared and job.visible:
        return folder_pairs(Path(job.infrared), Path(job.visible), job.pairs, problem)
    return []


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _written(number: float) -> str:
    """Enough digits for 0.01 px, and a point, without which ROS takes it for a whole number."""
    text = f"{number:.10g}"
    return text if "." in text or "e" in text else text + ".0"
