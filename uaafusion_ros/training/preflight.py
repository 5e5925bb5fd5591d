"""What a later phase would stop at is told before the first one begins, not hours into a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from uaafusion_ros.inference.models import find_model
from uaafusion_ros.network.checkpoint import read_info
from uaafusion_ros.training.datasets import Dataset
from uaafusion_ros.training.distributed import Processes
from uaafusion_ros.training.phase_data import shares_of, with_pseudo_labels
from uaafusion_ros.training.phase_settings import (
    FusionSettings,
    PhaseSettings,
    SegmentationSettings,
)
from uaafusion_ros.training.phases import LABELLING_PHASES
from uaafusion_ros.training.settings import DatasetSettings, TrainingSettings
from uaafusion_ros.training.trainer import parts_of


def check_phases(
    phases: Iterable[str],
    settings: TrainingSettings,
    datasets: list[Dataset],
    processes: Processes,
) -> None:
    """Look for all that `phases` will need, without computing anything.

    Raises:
        SettingsError: a mix that names an unknown or unusable data set, a phase without data, or a
            batch that cannot be divided among the processes.
        CheckpointError: a teacher, or a model that is to fuse pairs, that cannot be used.
    """
    weights = {key: value.weight for key, value in settings.data.items()}
    for phase in phases:
        own: PhaseSettings = getattr(settings, phase)
        usable = with_pseudo_labels(datasets, Path()) if phase in LABELLING_PHASES else datasets
        shares = shares_of(phase, own, usable, weights)
        parts_of(own.batch, processes, settings.accumulation)
        needed = [own.teacher] if isinstance(own, FusionSettings) and own.teacher else []
        if isinstance(own, SegmentationSettings):
            for dataset in datasets:
                if dataset.has_infrared and shares.get(dataset.name, 0) > 0:
                    needed += settings.data[dataset.name].fused_by
        for name in needed:
            read_info(find_model(name))


def measured_on_training_data(settings: TrainingSettings) -> list[str]:
    """Say which of the data to measure on are trained on as well."""

    def images(data: DatasetSettings) -> tuple[str, ...]:
        if data.kind == "street":
            return "street", str(data.seed), str(data.height), str(data.width)
        return data.kind, str(Path(data.path).resolve()), data.split

    trained_on = {images(data): name for name, data in settings.data.items()}
    return [
        f"validation.{name} is what data.{trained_on[images(data)]} trains on: it says nothing of "
        "images that are new"
        for name, data in settings.validation.items()
        if images(data) in trained_on
    ]
