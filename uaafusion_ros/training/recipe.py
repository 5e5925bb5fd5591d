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

from uaafusion_ros import __version__
from uaafusion_ros.network.checkpoint import CheckpointInfo, save_checkpoint
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.training.augmentation import PeoplePaster
from uaafusion_ros.training.datasets import (
    Sample,
    labelled_folder,
    paired_folder,
    street_samples,
)
from uaafusion_ros.training.fusion_phase import FusionPlan, train_fusion
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
PSEUDO_LABEL_CONFIDENCE = 0.5


def main() -> None:
    """Run all phases and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camvid", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--roadscene", type=Path, required=True, help="folder with train/")
    parser.add_argument("--work", type=Path, required=True, help="folder for the training state")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--street-frames", type=int, default=300)
    parser.add_argument("--segmentation-steps", type=int, default=900)
    parser.add_argument("--adaptation-steps", type=int, default=450)
    parser.add_argument("--fusion-steps", type=int, default=1500)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, metrics = train_all(options)
    save_checkpoint(
        options.out,
        model,
        CheckpointInfo(
            config=model.config,
            name=options.out.stem,
            version=__version__,
            training_data=(
                "CamVid train (367 frames), RoadScene train (171 pairs, pseudo-labelled), "
                f"synthetic street ({options.street_frames} frames); ImageNet start"
            ),
            licence="Apache-2.0 (weights); the data sets have terms of their own",
            metrics=metrics,
        ),
    )


def train_all(options: argparse.Namespace) -> tuple[UAAFusion, dict[str, float]]:
    """Train the segmentation on labelled frames, adapt it to pairs, then train the stages."""
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
    pairs = pseudo_label(model.segmentation, data.pairs, PSEUDO_LABEL_CONFIDENCE)
    adaptation = replace(
        plan,
        steps=options.adaptation_steps,
        learning_rate=3e-4,
        labelled_share=0.4,
        pairs_share=0.38,
        class_weight_strength=0.25,
        seed=1,
    )
    train_segmentation(
        model.segmentation,
        replace(data, pairs=pairs),
        adaptation,
        options.work / "adaptation.pt",
    )
    metrics = {"camvid_val_grey_miou": _report(model, validation)}
    train_fusion(
        model,
        pseudo_label(model.segmentation, data.pairs, PSEUDO_LABEL_CONFIDENCE),
        data.street,
        PeoplePaster(data.labelled),
        FusionPlan(steps=options.fusion_steps),
        options.work / "fusion.pt",
    )
    return model, metrics


def _report(model: UAAFusion, validation: list[Sample]) -> float:
    scores = mean_intersection_over_union(model.segmentation, validation, len(model.config.classes))
    mean = sum(scores.values()) / len(scores)
    named = {model.config.classes[index]: round(score, 3) for index, score in scores.items()}
    console.print(f"mIoU {mean:.3f} over {len(scores)} classes: {named}")
    return mean


if __name__ == "__main__":
    main()
