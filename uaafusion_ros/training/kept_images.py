"""One image a sample, computed once and kept as files, so that a resumed run sees the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from uaafusion_ros.training.datasets import Dataset, Sample
from uaafusion_ros.training.errors import DatasetError


def kept_image(folder: Path, index: int) -> Path:
    """Return the file of the sample `index`."""
    return folder / f"{index}.png"


def keep_images(
    dataset: Dataset,
    folder: Path,
    part: Iterable[int],
    unreadable: Callable[[str, str], None],
    make: Callable[[int, Sample], np.ndarray],
) -> None:
    """Write what `make` makes of each pair in `part`, uint8 [H,W]; unreadable ones are left out.

    Raises:
        OSError: an image cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in part:
        try:
            sample = dataset.load(index)
        except DatasetError as error:
            unreadable(f"{dataset.name}/{index}", str(error))
            continue
        data = cv2.imencode(".png", make(index, sample))[1].tobytes()
        temporary = folder / f".{index}.tmp"
        temporary.write_bytes(data)
        os.replace(temporary, kept_image(folder, index))


def luminance_tensor(image: np.ndarray, device: torch.device) -> Tensor:
    """Return luminance uint8 [H,W] as the networks take it, float32 [1,1,H,W] in 0..1."""
    return torch.from_numpy(image).to(device).float()[None, None] / 255
