"""Which data sets a phase draws from, and the labels it gives to those that have none."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.training.datasets import Dataset
from uaafusion_ros.training.distributed import Processes
from uaafusion_ros.training.phase_settings import (
    DistillationSettings,
    FusionSettings,
    PhaseSettings,
)
from uaafusion_ros.training.pseudo_labels import (
    Knowledge,
    LabelledPixels,
    PseudoLabelledDataset,
    write_pseudo_labels,
)

#: Share of labelled pixels below which somebody should know.
_FEW_LABELS = 0.05


def shares_of(
    phase: str,
    settings: PhaseSettings,
    datasets: list[Dataset],
    weights: Mapping[str, float],
) -> dict[str, float]:
    """Return every data set's share of a phase's samples; 0 where it is left out.

    Args:
        weights: the data sets' own weights, used where the phase names no mix.

    Raises:
        SettingsError: the mix names an unknown or unusable data set, or nothing is left.
    """
    by_name = {dataset.name: dataset for dataset in datasets}
    for name, share in settings.mix.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"have {', '.join(by_name)}"
            raise SettingsError(f"{phase}.mix.{name}: no such data set; {hint}")
        reason = _why_not(settings, by_name[name], named=True)
        if share > 0 and reason:
            raise SettingsError(f"{phase}.mix.{name}: {reason}")
    shares = {
        name: (settings.mix.get(name, 0.0) if settings.mix else weights[name])
        for name, dataset in by_name.items()
        if not _why_not(settings, dataset, named=name in settings.mix)
    }
    if sum(shares.values()) <= 0:
        reasons = "; ".join(
            f"{name}: {_why_not(settings, dataset, named=False)}"
            for name, dataset in by_name.items()
        )
        raise SettingsError(f"{phase} has no data: {reasons}")
    return shares


def with_pseudo_labels(datasets: Sequence[Dataset], folder: Path) -> list[Dataset]:
    """Let unlabelled pairs take their labels from a subfolder of `folder`."""
    return [
        PseudoLabelledDataset(dataset, folder / dataset.name)
        if dataset.has_infrared and not dataset.has_labels
        else dataset
        for dataset in datasets
    ]


def write_labels(
    network: SegmentationNetwork,
    datasets: Sequence[Dataset],
    confidence: float,
    *,
    processes: Processes,
    unreadable: Callable[[str, str], None],
    knowledge: Mapping[str, Knowledge],
) -> dict[str, LabelledPixels]:
    """Label this process's part of all pseudo-labelled data sets.

    Args:
        knowledge: by the name of the data set.

    Returns:
        how many pixels of each got a label.

    Raises:
        OSError: a label cannot be written.
        TrainingError: too many samples are unreadable.
    """
    return {
        dataset.name: write_pseudo_labels(
            network,
            dataset.pairs,
            dataset.folder,
            confidence,
            part=processes.part_of(len(dataset)),
            unreadable=unreadable,
            knowledge=knowledge[dataset.name],
        )
        for dataset in datasets
        if isinstance(dataset, PseudoLabelledDataset)
    }


def describe_labels(phase: str, parts: Sequence[Mapping[str, LabelledPixels]]) -> list[str]:
    """Say of every data set how much of it has a label now.

    Args:
        parts: what `write_labels` returned in every process.
    """
    lines = []
    for name in parts[0]:
        labelled = sum(part[name].labelled for part in parts)
        share = labelled / max(1, sum(part[name].pixels for part in parts))
        line = f"{phase}: labelled {share:.1%} of the pixels of {name}"
        if share < _FEW_LABELS:
            line += (
                f"; the network is not sure of the rest, so little is learned from {name}: train "
                f"the segmentation longer before, or lower {phase}.confidence"
            )
        lines.append(line)
    return lines


def _why_not(settings: PhaseSettings, dataset: Dataset, *, named: bool) -> str:
    """Say why a phase cannot use a data set; empty where it can.

    Args:
        named: whether the phase's mix asks for it. Infrared images are imitated for nobody else.
    """
    if isinstance(settings, FusionSettings) and named and dataset.has_labels:
        return ""
    if isinstance(settings, FusionSettings | DistillationSettings):
        return "" if dataset.has_infrared else "has no infrared images"
    return "" if dataset.has_labels else "has no labels (the adaptation phase labels pairs)"
