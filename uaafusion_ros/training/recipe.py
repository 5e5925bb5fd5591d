"""Trains the model that ships: segmentation, self-training on pairs, then fusion.

    python -m uaafusion_ros.training.recipe --camvid DIR --roadscene DIR --work DIR --out FILE

Every phase continues where an interrupted run left it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.training.datasets import labelled_folder, paired_folder, street_samples
from uaafusion_ros.training.pretrained import load_imagenet_weights
from uaafusion_ros.training.segmentation_phase import (
    SegmentationData,
    SegmentationPlan,
    mean_intersection_over_union,
    pseudo_label,
    train_segmentation,
)

console = Console(stderr=True)

EDGE = ModelConfig(
    encoder="efficientnet_lite0",
    decoder="pyramid",
    decoder_channels=64,
    output_stride=32,
    scores="softmax",
    stages=3,
    channels=16,
    unshuffle=2,
    attention="normalised",
    attention_smoothing=5,
    contributions="completeness",
    weight_temperature=0.15,
)
STREET_SEED = 10_000
PSEUDO_LABEL_CONFIDENCE = 0.6


def main() -> None:
    """Run all phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camvid", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--roadscene", type=Path, required=True, help="folder with train/")
    parser.add_argument("--work", type=Path, required=True, help="folder for the training state")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--street-frames", type=int, default=400)
    parser.add_argument("--segmentation-steps", type=int, default=900)
    parser.add_argument("--adaptation-steps", type=int, default=450)
    parser.add_argument("--until", choices=("segmentation", "fusion"), default="fusion")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    train_all(options)


def train_all(options: argparse.Namespace) -> None:
    """Segmentation on labelled frames, then with pseudo-labelled pairs."""
    model = UAAFusion(EDGE)
    load_imagenet_weights(model.segmentation.encoder)
    data = SegmentationData(
        labelled=labelled_folder(options.camvid / "train"),
        street=street_samples(options.street_frames, height=300, width=400, seed=STREET_SEED),
        pairs=paired_folder(options.roadscene / "train"),
    )
    validation = labelled_folder(options.camvid / "val")
    plan = SegmentationPlan(steps=options.segmentation_steps)
    train_segmentation(model.segmentation, data, plan, options.work / "segmentation.pt")
    _report(model, validation)
    labelled_pairs = pseudo_label(model.segmentation, data.pairs, PSEUDO_LABEL_CONFIDENCE)
    train_segmentation(
        model.segmentation,
        replace(data, pairs=labelled_pairs),
        replace(
            plan,
            steps=options.adaptation_steps,
            learning_rate=3e-4,
            labelled_share=0.4,
            pairs_share=0.38,
            seed=1,
        ),
        options.work / "adaptation.pt",
    )
    _report(model, validation)


def _report(model: UAAFusion, validation: list) -> None:
    scores = mean_intersection_over_union(model.segmentation, validation, len(model.config.classes))
    mean = sum(scores.values()) / len(scores)
    named = {model.config.classes[index]: round(score, 3) for index, score in scores.items()}
    console.print(f"mIoU {mean:.3f} over {len(scores)} classes: {named}")


if __name__ == "__main__":
    main()
