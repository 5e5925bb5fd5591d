"""What an evaluation found, and its form as JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uaafusion_ros.training.faithfulness import Curves, mean_curves
from uaafusion_ros.training.fusion_metrics import NAMES, mean_ranks
from uaafusion_ros.training.mode_fidelity import Fidelity
from uaafusion_ros.training.segmentation_metrics import Confusion

TABLE_COLUMNS = ("image", "method", "kind", *NAMES, "mean_rank", "seconds")


@dataclass
class Column:
    """One method's figures of every pair.

    kind: model, comparison or baseline. rows: {stem: {figure: value}}.
    """

    kind: str
    rows: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class ModelResult:
    """What is measured of our models alone.

    seconds: of each pair, for all products. labelled: pairs whose labels were compared.
    segmentation: {input: {class: IoU}}. right: {input: share of labelled pixels whose class was
    found}. curves: {reference: {map: of each image}}. mode: that it ran in. fidelity: to `exact`,
    where that was measured beside it.
    """

    file: str
    device: str
    classes: tuple[str, ...]
    mode: str
    seconds: dict[str, float] = field(default_factory=dict)
    labelled: int = 0
    segmentation: dict[str, dict[str, float]] = field(default_factory=dict)
    right: dict[str, float] = field(default_factory=dict)
    curves: dict[str, dict[str, list[Curves]]] = field(default_factory=dict)
    fidelity: Fidelity = field(default_factory=Fidelity)

    def add_segmentation(self, confusions: Mapping[str, Confusion]) -> None:
        """Take over what the segmentation made of each of several inputs."""
        for name, confusion in confusions.items():
            self.right[name] = confusion.share_right()
            self.segmentation[name] = {
                self.classes[index]: value
                for index, value in confusion.intersection_over_union().items()
            }

    def add_curves(self, curves: Mapping[str, Mapping[str, Curves]]) -> None:
        """Add the deletion and insertion curves of one image."""
        for reference, by_map in curves.items():
            for name, each in by_map.items():
                self.curves.setdefault(reference, {}).setdefault(name, []).append(each)

    def mean_intersection_over_union(self, name: str) -> float | None:
        """The mean IoU over the classes in the labels; None where nothing is labelled."""
        values = list(self.segmentation[name].values())
        return float(np.mean(values)) if values else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        seconds = list(self.seconds.values())
        return {
            "file": self.file,
            "device": self.device,
            "mode": self.mode,
            "fidelity": self.fidelity.as_dict(),
            "seconds": {
                "median": float(np.median(seconds)),
                "p95": float(np.percentile(seconds, 95)),
            },
            "segmentation": {
                "images": self.labelled,
                **{
                    name: {
                        "mIoU": self.mean_intersection_over_union(name),
                        "right": self.right[name] if classes else None,
                        "classes": classes,
                    }
                    for name, classes in self.segmentation.items()
                },
            },
            "faithfulness": {
                reference: {
                    name: _curves_as_dict(each, by_map["attention"])
                    for name, each in by_map.items()
                }
                for reference, by_map in self.curves.items()
            },
        }


@dataclass
class EvaluationResult:
    """Everything that was measured.

    evaluated: stems of the pairs that were measured. common: those that all columns have.
    """

    data: str
    max_side: int
    found: int
    evaluated: list[str]
    common: list[str]
    columns: dict[str, Column]
    models: dict[str, ModelResult]
    problems: list[str]
    notes: list[str]

    def means(self) -> dict[str, dict[str, float]]:
        """Every column's mean figures over the common pairs."""
        return {
            name: {
                figure: float(np.mean([column.rows[stem][figure] for stem in self.common]))
                for figure in NAMES
            }
            for name, column in self.columns.items()
        }

    def mean_ranks(self) -> dict[str, float]:
        """Every column's rank of its mean figures, averaged over the nine ranked figures."""
        return mean_ranks(self.means())

    def image_ranks(self, stem: str) -> dict[str, float]:
        """Every column's mean rank on one common pair."""
        return mean_ranks({name: column.rows[stem] for name, column in self.columns.items()})

    def from_best_to_worst(self, name: str) -> list[str]:
        """The common pairs by a column's mean rank on each; equal ranks by SCD."""
        rows = self.columns[name].rows
        return sorted(
            self.common, key=lambda stem: (self.image_ranks(stem)[name], -rows[stem]["SCD"])
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        means, ranks = self.means(), self.mean_ranks()
        return {
            "data": self.data,
            "max_side": self.max_side,
            "pairs": {
                "found": self.found,
                "evaluated": len(self.evaluated),
                "common": len(self.common),
            },
            "columns": {
                name: {"kind": column.kind, "metrics": means[name], "mean_rank": ranks[name]}
                for name, column in self.columns.items()
            },
            "models": {name: model.as_dict() for name, model in self.models.items()},
            "problems": self.problems,
            "notes": self.notes,
        }

    def table(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows of per_image.csv, in the order of `TABLE_COLUMNS`."""
        common = set(self.common)
        for stem in self.evaluated:
            ranks = self.image_ranks(stem) if stem in common else {}
            for name, column in self.columns.items():
                if stem not in column.rows:
                    continue
                seconds = self.models[name].seconds.get(stem) if name in self.models else None
                figures = (f"{column.rows[stem][figure]:.6f}" for figure in NAMES)
                yield (
                    *(stem, name, column.kind, *figures),
                    "" if name not in ranks else f"{ranks[name]:.3f}",
                    "" if seconds is None else f"{seconds:.4f}",
                )


def _curves_as_dict(curves: list[Curves], attention: list[Curves]) -> dict[str, Any]:
    mean = mean_curves(curves)
    pairs = list(zip(attention, curves, strict=True))
    return {
        "images": len(curves),
        "deletion_auc": mean.deletion_area,
        "insertion_auc": mean.insertion_area,
        "deletion": [float(value) for value in mean.deletion],
        "insertion": [float(value) for value in mean.insertion],
        # On how many images the attention is the more faithful one: a mean can hang on a few.
        "attention_better_deletion": float(
            np.mean([own.deletion_area < other.deletion_area for own, other in pairs])
        ),
        "attention_better_insertion": float(
            np.mean([own.insertion_area > other.insertion_area for own, other in pairs])
        ),
    }
