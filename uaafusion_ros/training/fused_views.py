"""Fused images of trained models, on which the segmentation network learns as well.

S is asked about fused images more than about any camera's (paper, section III-E trains it on them).
Kept as files, so that a step costs no fusion and a resumed run sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from uaafusion_ros.inference.models import find_model
from uaafusion_ros.network.checkpoint import load_checkpoint
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.distributed import Processes
from uaafusion_ros.training.image_files import read_luminance
from uaafusion_ros.training.kept_images import keep_images, kept_image, luminance_tensor
from uaafusion_ros.training.settings import DatasetSettings


class FusedViews:
    """Pairs with the fused image that `fuse_pairs` left in a folder, where there is one."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self._dataset, self._folder = dataset, folder
        self.name, self.notes = dataset.name, dataset.notes
        self.has_infrared, self.has_labels = dataset.has_infrared, dataset.has_labels

    def __len__(self) -> int:
        return len(self._dataset)

    def load(self, index: int) -> Sample:
        """Read one pair and its fused image; see `Dataset`."""
        sample, file = self._dataset.load(index), kept_image(self._folder, index)
        return replace(sample, fused=read_luminance(file)) if file.exists() else sample


def with_fused_views(
    datasets: Sequence[Dataset], settings: Mapping[str, DatasetSettings], folder: Path
) -> list[Dataset]:
    """Let data sets with `fused_by` take fused images from a subfolder of `folder`."""
    return [
        FusedViews(dataset, folder / dataset.name)
        if dataset.has_infrared and settings[dataset.name].fused_by
        else dataset
        for dataset in datasets
    ]


def fuse_pairs(
    datasets: Sequence[Dataset],
    settings: Mapping[str, DatasetSettings],
    folder: Path,
    processes: Processes,
    unreadable: Callable[[str, str], None],
) -> list[str]:
    """Fuse this process's part of all data sets with `fused_by` into FOLDER/NAME/INDEX.png.

    Returns: a line a data set that says by which models.

    Raises:
        CheckpointError: a model that cannot be read.
        OSError: an image cannot be written.
    """
    lines = []
    for dataset in datasets:
        names = settings[dataset.name].fused_by
        if names and dataset.has_infrared:
            _write(dataset, folder / dataset.name, names, processes, unreadable)
            lines.append(f"{dataset.name}: fused by {', '.join(names)}")
    return lines


def _write(
    dataset: Dataset,
    folder: Path,
    names: Sequence[str],
    processes: Processes,
    unreadable: Callable[[str, str], None],
) -> None:
    """Every model fuses its turn of the samples, so that several cost no more than one."""
    models = [finished_model(name, processes.device) for name in names]
    part = processes.part_of(len(dataset), together=len(models))

    def fused(index: int, sample: Sample) -> np.ndarray:
        return _fuse(models[index % len(models)], sample, processes.device)

    keep_images(dataset, folder, part, unreadable, fused)


def finished_model(name: str, device: torch.device) -> UAAFusion:
    """Load a model, by its file or the name of one that ships, to fuse with and not to train.

    Raises:
        CheckpointError: it cannot be read.
    """
    model, _ = load_checkpoint(find_model(name))
    return model.to(device).prepare_for_inference(channels_last=device.type == "cpu")


@torch.no_grad()
def _fuse(model: UAAFusion, sample: Sample, device: torch.device) -> np.ndarray:
    assert sample.infrared is not None
    pair = (luminance_tensor(image, device) for image in (sample.infrared, sample.visible))
    fused = model(*pair, Output.FUSED).fused_B1HW
    assert fused is not None
    return (fused[0, 0] * 255).round().byte().cpu().numpy()
