"""Every setting of a training run with its default, those of its phases by phase_settings.py.

Nothing about training has another default.

Steps, rates and weights are plain numbers; sides are in pixels; shares and probabilities in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.training.checks import check_at_least, check_choice
from uaafusion_ros.training.phase_settings import (
    DistillationSettings,
    FusionSettings,
    SegmentationSettings,
)

KINDS = ("folder", "fmb", "msrs", "street")
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class DatasetSettings:
    """One data set of the mixture."""

    #: folder: infrared/, visible/ and labels/, of which infrared or labels may be absent.
    #: fmb, msrs: as distributed. street: rendered.
    kind: str = "folder"
    path: str = ""
    #: Subfolder of fmb and msrs: train or test.
    split: str = "train"
    #: Share of the samples relative to the other data sets, where a phase names no mix.
    weight: float = 1.0
    #: Whether the labels that are there are used; without, pairs are pseudo-labelled.
    labels: bool = True
    #: Names of the label ids; empty: the kind's own list, a folder's classes.json, or the model's.
    classes: tuple[str, ...] = ()
    #: Class name of the data set to class name of the model, where they differ.
    rename: dict[str, str] = field(default_factory=dict)
    #: COCO JSON of objects marked by boxes in unlabelled pairs; see training/boxes.py.
    boxes: str = ""
    #: COCO JSON of parts of unlabelled pairs whose class is known; see training/regions.py.
    regions: str = ""
    #: COCO JSON whose images are left out, to measure on; see `evaluate --marked`.
    held_out: str = ""
    #: Models (files or names) whose fused images of these pairs the segmentation learns on as well.
    fused_by: tuple[str, ...] = ()
    #: Class name to a share of the rows, from the top, in which a level camera sees none of it, as
    #: of the road above the horizon: pseudo-labels choose among the other classes there.
    absent_above: dict[str, float] = field(default_factory=dict)
    #: Class names that the network is not believed about in these pairs: where it names one, the
    #: pseudo-label is left out.
    doubted: tuple[str, ...] = ()
    #: Whether people cut from labelled visible frames are pasted into these pairs.
    paste_people: bool = False
    #: The street: how many frames, of how many pixels, from which seed on.
    frames: int = 300
    height: int = 300
    width: int = 400
    seed: int = 10_000

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_at_least("weight", self.weight, 0)
        check_at_least("frames", self.frames, 1)
        for label, share in self.absent_above.items():
            if not 0 <= share <= 1:
                raise SettingsError(f"absent_above.{label} is {share}, expected 0 to 1")
        if self.kind != "street" and not self.path:
            raise SettingsError(f"a data set of kind {self.kind!r} needs a path")


@dataclass(frozen=True)
class TrainingSettings:
    """A whole run. A phase of 0 steps is left out."""

    name: str = "uaafusion"
    #: Folder for the state, the curves and the exported model; shared by all machines.
    out: str = "out/train"
    #: imagenet (efficientnet_lite0), random, or a model file to go on from.
    start: str = "random"
    #: A model file whose segmentation network takes the place of `start`'s; empty: none.
    start_segmentation: str = ""
    #: Fields of the model's description (network/config.py) that are not its defaults.
    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, DatasetSettings] = field(default_factory=dict)
    #: Measured on the visible image after every segmentation phase; needs labels.
    validation: dict[str, DatasetSettings] = field(default_factory=dict)

    segmentation: SegmentationSettings = field(default_factory=SegmentationSettings)
    adaptation: SegmentationSettings = field(
        default_factory=lambda: SegmentationSettings(
            learning_rate=3e-4, class_weight_strength=0.25, pasting_share=0.6, seed=1
        )
    )
    fusion: FusionSettings = field(default_factory=FusionSettings)
    joint: FusionSettings = field(
        default_factory=lambda: FusionSettings(
            learning_rate=2e-4, segmentation_learning_rate=2e-5, seed=3
        )
    )

    #: Whether the last phase, distillation, takes place: it trains the mode `realtime`.
    distill: bool = False
    distillation: DistillationSettings = field(default_factory=DistillationSettings)

    device: str = "auto"
    precision: str = "float32"
    #: A step's share of a process is computed in so many parts, one after another.
    accumulation: int = 1
    #: Decay of the moving average of the weights, which is what a phase hands on; 0 keeps none.
    average: float = 0.0
    #: CPU threads of a process; 0 leaves it to torch.
    threads: int = 0
    #: Processes that read and augment ahead; 0 does it in between.
    workers: int = 0
    #: Images kept in memory, in MiB.
    cache: int = 4096
    save_every: int = 50
    #: Steps between pictures of one pair; 0 draws only at the end of a phase.
    picture_every: int = 250
    licence: str = "Apache-2.0 (weights); the data sets have terms of their own"

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("/\\\0"):
            raise SettingsError(
                f"name is {self.name!r}, expected that of a file; the folder is set by out="
            )
        check_choice("precision", self.precision, PRECISIONS)
        check_at_least("accumulation", self.accumulation, 1)
        check_at_least("save_every", self.save_every, 1)
        if not 0 <= self.average < 1:
            raise SettingsError(f"average is {self.average}, expected at least 0 and below 1")
        if not self.data:
            raise SettingsError("data names no data set; expected at least one")

    def steps_of(self, phase: str) -> int:
        """Return how many steps the phase of that name has; 0 leaves it out."""
        if phase == "distillation" and not self.distill:
            return 0
        return getattr(self, phase).steps
