"""Draws samples from several data sets, so that a sample depends on its number alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.errors import DatasetError, TrainingError

#: Share of unreadable samples that stops a run.
UNREADABLE_LIMIT = 0.01
_ATTEMPTS = 50

Augmentation = Callable[[Dataset, Sample, np.random.Generator], dict[str, np.ndarray]]


class Unreadable:
    """Counts the samples that could not be read; each is named once.

    Raises (by `note`):
        TrainingError: more than 1 % of all samples.
    """

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self._total, self._say = total, say
        self.reasons: dict[str, str] = {}

    def note(self, key: str, reason: str) -> None:
        """Count the sample `key` unless it is known."""
        if key in self.reasons:
            return
        self.reasons[key] = reason
        self._say(f"skipped ({len(self.reasons)} so far): {reason}")
        if len(self.reasons) > UNREADABLE_LIMIT * self._total:
            raise TrainingError(
                f"{len(self.reasons)} of {self._total} samples are unreadable, more than "
                f"{UNREADABLE_LIMIT:.0%}; repair or remove them: "
                f"{'; '.join(list(self.reasons.values())[:5])}"
            )


class CachedDataset:
    """Keeps the first samples that are read, up to a common limit of bytes."""

    def __init__(self, dataset: Dataset, budget: list[int]) -> None:
        self._dataset, self._budget = dataset, budget
        self._kept: dict[int, Sample] = {}
        self.name, self.notes = dataset.name, dataset.notes
        self.has_infrared, self.has_labels = dataset.has_infrared, dataset.has_labels

    def __len__(self) -> int:
        return len(self._dataset)

    def load(self, index: int) -> Sample:
        """Read one sample; see `Dataset`."""
        if index in self._kept:
            return self._kept[index]
        sample = self._dataset.load(index)
        images = (sample.visible, sample.infrared, sample.labels, sample.chroma)
        size = sum(image.nbytes for image in images if image is not None)
        if size <= self._budget[0]:
            # Draws are uniform, so forgetting the oldest would be no better than keeping the first.
            self._budget[0] -= size
            self._kept[index] = sample
        return sample


@dataclass(frozen=True)
class Item:
    """One augmented sample, and what could not be read on the way to it."""

    arrays: dict[str, np.ndarray]
    name: str
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Batch:
    """tensors: stacked arrays, [B,1,H,W] images, [B,2,H,W] chroma and [B,H,W] int64 labels."""

    tensors: dict[str, Tensor]
    names: tuple[str, ...]
    keys: tuple[tuple[int, ...], ...]
    unreadable: tuple[tuple[str, str], ...]


class Mixture(torch.utils.data.Dataset):
    """The endless sequence of a phase's samples, addressed by (step, index in the step)."""

    def __init__(
        self,
        datasets: Sequence[Dataset],
        shares: Mapping[str, float],
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self._datasets = [dataset for dataset in datasets if shares.get(dataset.name, 0) > 0]
        weights = np.array([shares[dataset.name] for dataset in self._datasets])
        self._bounds = np.cumsum(weights / weights.sum())
        self._augmentation, self._seed = augmentation, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[tuple[int, ...], Item]:
        rng = np.random.default_rng((self._seed, *key))
        unreadable: list[tuple[str, str]] = []
        for _ in range(_ATTEMPTS):
            choice = int(np.searchsorted(self._bounds, rng.random(), side="right"))
            dataset = self._datasets[min(choice, len(self._datasets) - 1)]
            index = int(rng.integers(len(dataset)))
            try:
                sample = dataset.load(index)
            except DatasetError as error:
                unreadable.append((f"{dataset.name}/{index}", str(error)))
                continue
            arrays = self._augmentation(dataset, sample, rng)
            return (self._seed, *key), Item(arrays, sample.name, tuple(unreadable))
        raise TrainingError(f"{_ATTEMPTS} samples in a row are unreadable: {unreadable[-1][1]}")

    def batches(self, steps: range, indices: Sequence[range], workers: int) -> Iterator[Batch]:
        """Yield one batch for every range of `indices` of every step."""
        keys = [[(step, i) for i in part] for step in steps for part in indices]
        loader = DataLoader(
            self,
            batch_sampler=keys,
            num_workers=workers,
            collate_fn=_collate,
            worker_init_fn=_one_thread if workers else None,
        )
        return iter(loader)


def _one_thread(worker: int) -> None:
    # OpenCV's threads do not survive the fork.
    cv2.setNumThreads(0)


def _collate(items: list[tuple[tuple[int, ...], Item]]) -> Batch:
    names = items[0][1].arrays.keys()
    return Batch(
        {name: _stack([item.arrays[name] for _, item in items]) for name in names},
        tuple(item.name for _, item in items),
        tuple(key for key, _ in items),
        functools.reduce(lambda all_, entry: all_ + entry[1].unreadable, items, ()),
    )


def _stack(arrays: list[np.ndarray]) -> Tensor:
    stacked = torch.from_numpy(np.stack(arrays))
    if stacked.dtype == torch.uint8:
        return stacked.long()
    return stacked[:, None] if stacked.dim() == 3 else stacked
