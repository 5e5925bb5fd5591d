"""Labels for harvested pairs, from a model where it is confident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from uaafusion_ros.inference.models import find_model
from uaafusion_ros.inference.output_files import write_image, write_json
from uaafusion_ros.network.checkpoint import load_checkpoint
from uaafusion_ros.network.config import class_list
from uaafusion_ros.training.harvest_account import STREAMS, HarvestedPair
from uaafusion_ros.training.image_files import read_luminance
from uaafusion_ros.training.phase_settings import SegmentationSettings
from uaafusion_ros.training.pseudo_labels import pseudo_labels, to_label_with


class Labeller:
    """Writes ``labels/`` beside the images of a harvest, and its ``classes.json``.

    Raises:
        CheckpointError: the model cannot be used.
    """

    def __init__(self, model: str, confidence: float | None) -> None:
        network, info = load_checkpoint(find_model(model))
        self._segmentation = to_label_with(network.segmentation)
        self._classes, self._palette = info.config.classes, info.config.palette
        self._name = info.name
        self._confidence = SegmentationSettings().confidence if confidence is None else confidence

    def label(self, out: Path, pairs: list[HarvestedPair], console: Console) -> dict[str, Any]:
        """Label the pairs; pixels that the model is not sure of are 0.

        Returns:
            model, confidence, and the share of pixels that got each class.
        """
        counts = np.zeros(len(self._classes), np.int64)
        for pair in track(pairs, "labelling", console=console, transient=True):
            folder = out / pair.split
            infrared, visible = (
                read_luminance(folder / stream / f"{pair.stem}.png") for stream in STREAMS
            )
            labels = pseudo_labels(self._segmentation, infrared, visible, self._confidence)
            counts += np.bincount(labels.ravel(), minlength=len(counts))
            (folder / "labels").mkdir(exist_ok=True)
            write_image(folder / "labels" / f"{pair.stem}.png", labels)
        write_json(out / "classes.json", class_list(self._classes, self._palette))
        shares = counts / max(1, counts.sum())
        return {
            "model": self._name,
            "confidence": self._confidence,
            "shares": {
                name: round(float(share), 6)
                for name, share in zip(self._classes, shares, strict=True)
            },
        }
