"""Looks through a data set before somebody trains on it: counts, classes, and what is wrong.

OUT/report.json    OUT/contact.png: a look at the pairs, those with something wrong first
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from uaafusion_ros.inference.models import find_model
from uaafusion_ros.inference.output_files import require_writable, write_image, write_json
from uaafusion_ros.network.checkpoint import read_info
from uaafusion_ros.training.alignment import (
    SET_LIMITS,
    SET_MINIMUM,
    best_alignment,
    correlation,
)
from uaafusion_ros.training.contact_sheet import contact_sheet, moment_picture
from uaafusion_ros.training.dataset_files import (
    INFRARED,
    LABELS,
    ClassList,
    Moment,
    Problem,
    Split,
    class_list,
    find_splits,
    size_text,
)

SHOWN_PER_SPLIT = 12
"""Pairs of a split on the contact sheet, evenly over the split …"""

SHOWN_PROBLEMS = 12
"""… and before them this many of those with something wrong."""

COMMON_SIZES = 5
"""Image sizes that the report names; the images of other sizes are counted together."""

LISTED = 20
"""Problems that are printed; the report has them all."""


def check_dataset(folder: Path, out: Path, console: Console, *, model: str = "") -> dict[str, Any]:
    """Look at every image of a data set and leave report and contact sheet in ``out``.

    Args:
        folder: a plain, FMB or MSRS data set, or one split of it.
        model: whose classes the labels of a plain data set without classes.json are; "" to take
            any id.

    Returns:
        what stands in ``report.json``; ``ok`` says whether nothing is wrong.

    Raises:
        SettingsError: no data set, or `out` cannot be written.
        CheckpointError: the model cannot be used.
    """
    layout, splits = find_splits(folder)
    require_writable(out)
    classes = class_list(folder, layout)
    if not classes.names and model:
        config = read_info(find_model(model)).config
        classes = ClassList(config.classes, config.palette)
    kinds = set().union(*(split.files for split in splits))
    checks = [_SplitCheck(split, classes, kinds) for split in splits]
    for check in checks:
        check.run(console)
    problems = [problem for check in checks for problem in check.problems]
    for problem in problems[:LISTED]:
        console.print(f"[yellow]{problem.kind}:[/yellow] {escape(problem.text)}", soft_wrap=True)
    if len(problems) > LISTED:
        console.print(f"and {len(problems) - LISTED} more, see {out / 'report.json'}")
    flagged = [picture for check in checks for picture in check.flagged][:SHOWN_PROBLEMS]
    shown = [picture for check in checks for picture in check.shown]
    out.mkdir(parents=True, exist_ok=True)
    write_image(out / "contact.png", contact_sheet(flagged + shown))
    report = {
        "folder": str(folder),
        "ok": not problems,
        "layout": layout,
        "classes": list(classes.names),
        "splits": {check.split.name: check.summary() for check in checks},
        "problem_counts": dict(sorted(Counter(problem.kind for problem in problems).items())),
        "problems": [asdict(problem) for problem in problems],
    }
    write_json(out / "report.json", report)
    console.print(
        f"{len(problems)} problems; pictures in {escape(str(out / 'contact.png'))}, all of this in "
        f"{escape(str(out / 'report.json'))}",
        soft_wrap=True,
    )
    return report


class _SplitCheck:
    """Goes through one split once and keeps what the report says of it."""

    def __init__(self, split: Split, classes: ClassList, kinds: Collection[str]) -> None:
        self.split = split
        self._classes, self._kinds = classes, kinds
        self.problems = list(split.problems)
        self.flagged: list[np.ndarray] = []
        self.shown: list[np.ndarray] = []
        self._sizes: Counter[str] = Counter()
        self._pixels = np.zeros(256, np.int64)
        self._images_with = np.zeros(256, np.int64)
        self._surfaces: list[np.ndarray] = []

    def run(self, console: Console) -> None:
        stems = self.split.stems
        step = max(1, -(-len(stems) // SHOWN_PER_SPLIT))
        name = self.split.name
        for index, stem in enumerate(
            track(stems, f"checking {name}", console=console, transient=True)
        ):
            moment = self.split.read(stem, self._classes)
            self._measure(moment)
            self.problems += moment.problems
            flagged = bool(moment.problems) and len(self.flagged) < SHOWN_PROBLEMS
            if flagged or index % step == 0:
                title = f"{name}/{stem}"
                picture = moment_picture(moment, title, self._classes, self._kinds)
                (self.flagged if flagged else self.shown).append(picture)
        self._judge_whole()

    def _measure(self, moment: Moment) -> None:
        if moment.visible is not None:
            self._sizes[size_text(moment.visible)] += 1
        if moment.labels is not None:
            counts = np.bincount(moment.labels.ravel(), minlength=256)
            self._pixels += counts
            self._images_with += counts > 0
        if moment.visible is None or moment.infrared is None or moment.problems:
            return
        surface = correlation(moment.infrared, _grey(moment.visible))
        if surface is None:
            return
        self._surfaces.append(surface)
        found = best_alignment(surface)
        if found.misaligned:
            width = max(moment.visible.shape)
            text = (
                f"{self.split.files[INFRARED][moment.stem]} seems to be "
                f"{round(found.dx * width):+d}, {round(found.dy * width):+d} pixels (right, down) "
                f"from fitting its visible image (correlation {found.score:.2f}, without shift "
                f"{found.score - found.gain:.2f})"
            )
            moment.problems.append(Problem("misaligned", text))

    def _judge_whole(self) -> None:
        """A shift that all pairs share shows in their mean before it shows in each."""
        if len(self._surfaces) < SET_MINIMUM:
            return
        found = best_alignment(np.mean(self._surfaces, axis=0), SET_LIMITS)
        if found.misaligned:
            text = (
                f"{self.split.name}: the infrared images as a whole are {100 * found.dx:+.1f} %, "
                f"{100 * found.dy:+.1f} % of the longer side (right, down) from fitting the "
                "visible ones; check homography and infrared_offset"
            )
            self.problems.append(Problem("misaligned_set", text))

    def summary(self) -> dict[str, Any]:
        """What the report says of the split."""
        summary: dict[str, Any] = {
            "images": {kind: len(files) for kind, files in self.split.files.items()},
            "sizes": dict(self._sizes.most_common(COMMON_SIZES)),
            "other_sizes": sum(count for _, count in self._sizes.most_common()[COMMON_SIZES:]),
        }
        if LABELS in self.split.files:
            total = max(1, int(self._pixels.sum()))
            numbers = {int(number) for number in np.flatnonzero(self._pixels)}
            summary["class_histogram"] = {
                self._classes.name(number): {
                    "pixels": int(self._pixels[number]),
                    "share": round(float(self._pixels[number] / total), 6),
                    "images": int(self._images_with[number]),
                }
                for number in sorted(numbers | set(range(len(self._classes.names))))
            }
        if self._surfaces:
            mean = best_alignment(np.mean(self._surfaces, axis=0), SET_LIMITS)
            summary["alignment"] = {"pairs": len(self._surfaces), **asdict(mean)}
        return summary


def _grey(visible: np.ndarray) -> np.ndarray:
    return visible if visible.ndim == 2 else cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
