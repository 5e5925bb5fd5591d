"""Labels that a network gives to pairs, kept as images so that a resumed run sees the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.segmentation import SegmentationNetwork
from uaafusion_ros.training.boxes import (
    MarkedObjects,
    draw_objects,
    read_boxes,
    scores_without,
)
from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.image_files import read_labels
from uaafusion_ros.training.kept_images import keep_images, kept_image, luminance_tensor
from uaafusion_ros.training.regions import MarkedRegions, draw_regions, read_regions
from uaafusion_ros.training.settings import DatasetSettings

# By night the visible camera is confidently wrong; it has the smallest say.
_SAY = {"infrared": 0.35, "average": 0.3, "brightest": 0.2, "visible": 0.15}
# Things are as large in recordings as they are, whatever sizes a network learned best.
_SIZES = (0.8, 1.0, 1.35)
#: Class id to the share of the rows, from the top, in which there is none of it.
AbsentAbove = Mapping[int, float]


def absent_above(shares: Mapping[str, float], classes: Sequence[str]) -> AbsentAbove:
    """Take class names to the ids of a model.

    Raises:
        SettingsError: a class that the model does not have.
    """
    return dict(zip(_class_ids("absent_above", shares, classes), shares.values(), strict=True))


def _class_ids(setting: str, names: Collection[str], classes: Sequence[str]) -> tuple[int, ...]:
    for name in names:
        if name not in classes:
            raise SettingsError(f"{setting}: no class {name!r}; expected {', '.join(classes)}")
    return tuple(classes.index(name) for name in names)


def scores_below(scores_CHW: np.ndarray, absent: AbsentAbove) -> np.ndarray:
    """Share the score of a class in the rows where it has no place out among the others.

    Args:
        scores_CHW: class scores in 0..1 that sum to 1 at every pixel, float32 [C,H,W].
    """
    scores = scores_CHW.copy()
    for label, share in absent.items():
        scores[label, : round(share * scores.shape[1])] = 0
    return scores / np.maximum(scores.sum(axis=0, keepdims=True), 1e-6)


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
        return replace(sample, labels=read_labels(kept_image(self.folder, index)))


@dataclass(frozen=True)
class LabelledPixels:
    """labelled: pixels that got a label, of so many pixels."""

    labelled: int
    pixels: int


@dataclass(frozen=True)
class Knowledge:
    """What is known of a data set's pairs beside the images.

    objects, regions: what somebody marked. absent: where a class cannot be. doubted: class ids
    that the network is not believed about.
    """

    objects: MarkedObjects | None = None
    regions: MarkedRegions | None = None
    absent: AbsentAbove = field(default_factory=dict)
    doubted: tuple[int, ...] = ()


def knowledge_of(settings: DatasetSettings, classes: Sequence[str]) -> Knowledge:
    """Read what the settings of a data set point to.

    Raises:
        DatasetError: a file that cannot be read.
        SettingsError: a class that the model does not have.
    """
    return Knowledge(
        read_boxes(settings.boxes, classes) if settings.boxes else None,
        read_regions(settings.regions, classes) if settings.regions else None,
        absent_above(settings.absent_above, classes),
        _class_ids("doubted", settings.doubted, classes),
    )


def write_pseudo_labels(
    network: SegmentationNetwork,
    dataset: Dataset,
    folder: Path,
    confidence: float,
    *,
    part: Iterable[int],
    unreadable: Callable[[str, str], None],
    knowledge: Knowledge,
) -> LabelledPixels:
    """Label the samples in `part` and write class ids as `folder`/INDEX.png.

    Raises:
        OSError: a label cannot be written.
    """
    labeller, labelled, pixels = to_label_with(network), 0, 0

    def labels(_: int, sample: Sample) -> np.ndarray:
        nonlocal labelled, pixels
        ids = _labels(labeller, sample, confidence, knowledge)
        labelled, pixels = labelled + np.count_nonzero(ids), pixels + ids.size
        return ids

    keep_images(dataset, folder, part, unreadable, labels)
    return LabelledPixels(labelled, pixels)


def to_label_with(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a copy with batch norms folded: the same answers to a millionth, in half the time."""
    labeller = copy.deepcopy(network).eval().requires_grad_(False)
    labeller.fold()
    if next(labeller.parameters()).device.type == "cpu":
        labeller.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return labeller


def _labels(
    network: SegmentationNetwork, sample: Sample, confidence: float, known: Knowledge
) -> np.ndarray:
    assert sample.infrared is not None
    stem = Path(sample.name).stem
    scores = mean_scores(network, sample.infrared, sample.visible)
    if known.absent:
        scores = scores_below(scores, known.absent)
    if known.objects is not None:
        scores = scores_without(scores, known.objects, stem)
    labels = _confident(scores, confidence)
    labels[np.isin(labels, known.doubted)] = 0
    if known.objects is not None:
        draw_objects(labels, sample.infrared, known.objects.shapes.get(stem, ()))
    if known.regions is not None:
        draw_regions(labels, known.regions.shapes.get(stem, ()))
    return labels


def pseudo_labels(
    network: SegmentationNetwork, infrared: np.ndarray, visible: np.ndarray, confidence: float
) -> np.ndarray:
    """Return class ids uint8 [H,W] by the mean over cameras, fusions, sizes and mirrors.

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
    """Return class scores float32 [C,H,W] in 0..1: the mean over cameras, fusions, sizes, mirrors.

    Args:
        infrared, visible: luminance uint8 [H,W].
    """
    device = next(network.parameters()).device
    warm, lit = (luminance_tensor(image, device) for image in (infrared, visible))
    views = torch.cat((warm, (warm + lit) / 2, torch.maximum(warm, lit), lit))
    size = list(views.shape[-2:])
    total = torch.zeros((), device=device)
    for scale in _SIZES:
        scaled = _resize(views, [max(1, round(side * scale)) for side in size])
        scores = _weighed(network, scaled) + _weighed(network, scaled.flip(-1)).flip(-1)
        total = total + _resize(scores[None], size)[0]
    return (total / (2 * len(_SIZES))).float().cpu().numpy()


def _weighed(network: SegmentationNetwork, views: torch.Tensor) -> torch.Tensor:
    """Scores [C,H,W], the mean over the views by their say."""
    say = torch.tensor(list(_SAY.values()), device=views.device)[:, None, None, None]
    return (network(views) * say).sum(dim=0)


def _resize(images: torch.Tensor, size: list[int]) -> torch.Tensor:
    if list(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def _confident(scores_CHW: np.ndarray, confidence: float) -> np.ndarray:
    ids = scores_CHW.argmax(axis=0)
    ids[scores_CHW.max(axis=0) < confidence] = 0
    return ids.astype(np.uint8)
