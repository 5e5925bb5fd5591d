"""Labels that a network gives to pairs, kept as images so that a resumed run sees the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.training.boxes import MarkedObjects, draw_objects, scores_without
from uaafusion_ros.training.datasets import Dataset, Sample, read_labels
from uaafusion_ros.training.errors import DatasetError

# By night the visible camera is confidently wrong; it has the smallest say.
_SAY = {"infrared": 0.35, "average": 0.3, "brightest": 0.2, "visible": 0.15}


class PseudoLabelledDataset:
    """Pairs with the labels that `write_pseudo_labels` left in a folder."""

    has_infrared = True
    has_labels = True

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.pairs, self.folder = dataset, folder
        self.name, self.notes = dataset.name, dataset.notes

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> Sample:
        """Read one pair and its labels; see `Dataset`."""
        sample = self.pairs.load(index)
        labels = read_labels(_file(self.folder, index))
        return Sample(sample.visible, sample.infrared, labels, sample.name)


def write_pseudo_labels(
    network: SegmentationNetwork,
    dataset: Dataset,
    folder: Path,
    confidence: float,
    *,
    part: range,
    unreadable: Callable[[str, str], None],
    objects: MarkedObjects | None = None,
) -> None:
    """Label the samples in `part` and write class ids as `folder`/INDEX.png.

    Args:
        objects: what somebody marked in these pairs; the network labels the rest.

    Raises:
        OSError: a label cannot be written.
    """
    network.eval()
    folder.mkdir(parents=True, exist_ok=True)
    for index in part:
        try:
            sample = dataset.load(index)
        except DatasetError as error:
            unreadable(f"{dataset.name}/{index}", str(error))
            continue
        assert sample.infrared is not None
        labels = _labels(network, sample, confidence, objects)
        data = cv2.imencode(".png", labels)[1].tobytes()
        temporary = folder / f".{index}.tmp"
        temporary.write_bytes(data)
        os.replace(temporary, _file(folder, index))


def _labels(
    network: SegmentationNetwork, sample: Sample, confidence: float, objects: MarkedObjects | None
) -> np.ndarray:
    assert sample.infrared is not None
    scores = mean_scores(network, sample.infrared, sample.visible)
    if objects is None:
        return _confident(scores, confidence)
    stem = Path(sample.name).stem
    labels = _confident(scores_without(scores, objects, stem), confidence)
    draw_objects(labels, sample.infrared, objects.boxes.get(stem, ()))
    return labels


def pseudo_labels(
    network: SegmentationNetwork, infrared: np.ndarray, visible: np.ndarray, confidence: float
) -> np.ndarray:
    """Return class ids uint8 [H,W] by the mean score over both cameras and two fusions.

    The pair is aligned, so what one camera shows plainly labels the other. Pixels below
    `confidence` (score in 0..1) are 0, ignored.

    Args:
        infrared, visible: luminance uint8 [H,W].
    """
    return _confident(mean_scores(network, infrared, visible), confidence)


@torch.no_grad()
def mean_scores(
    network: SegmentationNetwork, infrared: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """Return class scores float32 [C,H,W] in 0..1, the mean over cameras, fusions and mirrors."""
    device = next(network.parameters()).device
    warm, lit = (_image(image, device) for image in (infrared, visible))
    views = torch.cat((warm, (warm + lit) / 2, torch.maximum(warm, lit), lit))
    say = torch.tensor(list(_SAY.values()), device=device)[:, None, None, None]
    scores = (network(views) * say).sum(dim=0)
    flipped = (network(views.flip(-1)) * say).sum(dim=0).flip(-1)
    return ((scores + flipped) / 2).float().cpu().numpy()


def _confident(scores_CHW: np.ndarray, confidence: float) -> np.ndarray:
    ids = scores_CHW.argmax(axis=0)
    ids[scores_CHW.max(axis=0) < confidence] = 0
    return ids.astype(np.uint8)


def _image(image: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(image).to(device).float()[None, None] / 255


def _file(folder: Path, index: int) -> Path:
    return folder / f"{index}.png"
