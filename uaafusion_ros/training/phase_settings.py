"""The settings of a training run's phases with their defaults; settings.py has those of the run.

Steps, rates and weights are plain numbers; sides are in pixels; shares and probabilities in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.training.checks import check_at_least, check_choice

REGIONS = ("predicted", "labels")


@dataclass(frozen=True)
class PhaseSettings:
    """What all phases share. `batch` counts the samples of one step over all processes."""

    steps: int = 0
    batch: int = 8
    patch_height: int = 224
    patch_width: int = 288
    learning_rate: float = 6e-4
    #: Part of the steps in which the learning rate rises; afterwards it falls as a cosine.
    rise: float = 0.08
    #: Largest norm of the gradient; 0 does not clip.
    clip: float = 5.0
    #: Data set name to share of the samples; empty: every usable one by its own weight.
    mix: dict[str, float] = field(default_factory=dict)
    #: How often people are pasted into a pair of a data set with paste_people.
    pasting_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least("steps", self.steps, 0)
        check_at_least("batch", self.batch, 1)
        check_at_least("patch_height", self.patch_height, 32)
        check_at_least("patch_width", self.patch_width, 32)
        check_at_least("learning_rate", self.learning_rate, 0)
        check_at_least("clip", self.clip, 0)
        for name, share in self.mix.items():
            check_at_least(f"mix.{name}", share, 0)


@dataclass(frozen=True)
class SegmentationSettings(PhaseSettings):
    """Trains S on the visible, the infrared and some fusions of both."""

    #: The encoder's learning rate, as a part of the decoder's.
    encoder_rate: float = 0.5
    weight_decay: float = 0.01
    #: Whether batch norms follow the data. A network that is nearly done may keep what they know,
    #: which spares half of a step on a CPU.
    batch_statistics: bool = True
    #: 0.5 finds rare classes sooner, a lower one invents them less; 0 weighs all alike.
    class_weight_strength: float = 0.5
    #: Weight of the overlap with the labels (losses.py) beside 1 of the cross-entropy.
    overlap: float = 0.0
    #: Score below which a pseudo-label is left out.
    confidence: float = 0.5
    #: How often a pair is seen by one of its cameras alone; the rest are fusions of both.
    infrared_share: float = 0.28
    visible_share: float = 0.16
    #: How often such a fusion is that of a trained model, where there is one (`fused_by`).
    fused_share: float = 0.75
    #: Pairs are scaled by this to `greatest_pair_scale`. With `fast.scale` the sources are judged
    #: at a part of their size; a network that has seen such small ones judges them more as it does
    #: whole ones.
    least_pair_scale: float = 0.7
    #: Masks that are read at larger sizes (`mask_sizes`) want a network that has seen such ones.
    greatest_pair_scale: float = 1.5
    #: Of a network that reads colours: how often it is shown a coloured image without them, so that
    #: it goes on reading grey ones.
    grey_share: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("infrared_share", "visible_share", "fused_share", "grey_share"):
            check_at_least(name, getattr(self, name), 0)
        if not 0.1 <= self.least_pair_scale <= self.greatest_pair_scale <= 4:
            raise SettingsError(
                f"least_pair_scale is {self.least_pair_scale} and greatest_pair_scale "
                f"{self.greatest_pair_scale}, expected 0.1 <= least <= greatest <= 4"
            )
        if self.infrared_share + self.visible_share > 1:
            raise SettingsError(
                f"infrared_share {self.infrared_share} and visible_share {self.visible_share} add "
                "up to more than 1"
            )


@dataclass(frozen=True)
class LossSettings:
    """Weight of every loss; 0 switches it off.

    The paper weighs data 1, gradient 1 (unsigned) and segmentation 0.1. Its data term alone fades
    warm people where the region's weight leans to the visible image; the intensity term keeps
    them. The other terms are explained where they are computed, in losses.py.
    """

    data: float = 1.0
    gradient: float = 1.0
    signed_gradient: bool = True
    intensity: float = 0.6
    shadow: float = 0.0
    checkerboard: float = 0.0
    saliency: float = 0.0
    similarity: float = 0.0
    complement: float = 0.0
    #: To what the phase's `teacher` fuses.
    imitation: float = 0.0
    segmentation: float = 0.1
    #: In `joint`, how much the segmentation learns from each source alone, beside 1 from the fused
    #: image; the paper's mean over the three is 1. A 0 spares two of its three passes.
    sources: float = 1.0

    def __post_init__(self) -> None:
        check_at_least("losses.sources", self.sources, 0)


@dataclass(frozen=True)
class FusionSettings(PhaseSettings):
    """Trains the stages; with a segmentation rate above 0, S together with them."""

    batch: int = 6
    patch_height: int = 128
    patch_width: int = 160
    learning_rate: float = 2e-3
    rise: float = 0.1
    clip: float = 1.0
    pasting_share: float = 0.35
    seed: int = 2
    #: The step sizes' learning rate, as a part of the stages': these should learn to fuse before
    #: the data step takes their work over.
    step_size_rate: float = 0.25
    segmentation_learning_rate: float = 0.0
    #: As in SegmentationSettings, for the segmentation loss; the paper weighs all classes alike.
    class_weight_strength: float = 0.0
    #: Regions that get a weight: predicted, argmax S(f_0); labels, ground truth or pseudo-labels.
    regions: str = "predicted"
    losses: LossSettings = field(default_factory=LossSettings)
    confidence: float = 0.5
    #: Without evidence detail is noise (training/evidence.py): box of pixels, odd, that the sources
    #: are smoothed over twice where attention finds nothing; 0 keeps all detail everywhere.
    noise_width: int = 0
    #: The gate, above 0.5 up to 1, from which on all detail is kept.
    evidence: float = 0.58
    #: How often a pair is fused as without attention: nothing is evident, all of it is smooth.
    blind_share: float = 0.0
    #: Model (file or name) that `losses.imitation` compares with; see training/teacher.py.
    teacher: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.teacher) != bool(self.losses.imitation):
            raise SettingsError(
                f"teacher is {self.teacher!r} and losses.imitation {self.losses.imitation}, "
                "expected both or neither"
            )
        check_choice("regions", self.regions, REGIONS)
        if self.noise_width < 0 or (self.noise_width and self.noise_width % 2 == 0):
            raise SettingsError(f"noise_width is {self.noise_width}, expected 0 or an odd number")
        if not 0.5 < self.evidence <= 1:
            raise SettingsError(f"evidence is {self.evidence}, expected above 0.5, at most 1")
        if not 0 <= self.blind_share <= 1:
            raise SettingsError(f"blind_share is {self.blind_share}, expected 0 to 1")
        if self.segmentation_learning_rate > 0 and not self.losses.segmentation:
            raise SettingsError(
                "segmentation_learning_rate is above 0 but losses.segmentation is 0: "
                "S would learn from nothing"
            )


@dataclass(frozen=True)
class DistillationSettings(PhaseSettings):
    """Trains the student head of `realtime` to say what the model's own exact attribution says.

    Everything else is held still, so that `exact` gives the same images before and after, and the
    target does not move.
    """

    steps: int = 800
    batch: int = 4
    #: A gate is normalised over its whole image, so a patch should be much of one.
    patch_height: int = 192
    patch_width: int = 256
    learning_rate: float = 2e-3
    clip: float = 1.0
    pasting_share: float = 0.35
    seed: int = 4
    #: Width of the head, where the model has none yet.
    channels: int = 32
    #: Weights of the losses: mean square difference of the gates, and L1 of the fused images.
    attention: float = 1.0
    fused: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("channels", self.channels, 1)
        for name in ("attention", "fused"):
            check_at_least(name, getattr(self, name), 0)
