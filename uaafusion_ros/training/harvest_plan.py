"""What to harvest from recordings, and which of their topics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.settings import PipelineSettings


@dataclass(frozen=True, kw_only=True)
class HarvestPlan:
    """What to harvest and how; times in seconds.

    infrared, visible: topics; "" tells them by their names.
    label_with: model for pseudo-labels; "" leaves the pairs unlabelled.
    confidence: score below which a pixel gets no label; None takes the trainer's.
    max_skew, infrared_offset: as the node's parameters of these names.
    every: least time between two pairs that are kept.
    val_share: last part of every recording that goes to val.
    split_gap: least time between a pair in train and one in val.
    difference: mean absolute difference of thumbnails in grey levels, below which both images of a
        pair must lie to make it a near-duplicate of the last pair kept. A car that stands sees a
        street change by 0.5 through noise; one that creeps changes it by 2 in some 0.02 s.
    frames: gain control and registration.

    Raises:
        SettingsError: an impossible value.
    """

    bags: tuple[Path, ...]
    out: Path
    infrared: str
    visible: str
    label_with: str
    confidence: float | None
    max_skew: float
    infrared_offset: float
    every: float
    val_share: float
    split_gap: float
    difference: float
    frames: PipelineSettings

    def __post_init__(self) -> None:
        if not self.bags:
            raise SettingsError("no recording given; expected at least one")
        named = [path.resolve() for path in self.bags]
        twice = next((bag for bag in self.bags if named.count(bag.resolve()) > 1), None)
        if twice is not None:
            raise SettingsError(f"{twice} is named more than once; its pairs would count double")
        for name in ("max_skew", "every", "split_gap", "difference"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not abs(self.infrared_offset) < float("inf"):
            raise SettingsError(f"infrared_offset is {self.infrared_offset}, expected seconds")
        if not 0 <= self.val_share < 1:
            raise SettingsError(f"val_share is {self.val_share}, expected 0 <= share < 1")
        if self.confidence is not None and not 0 < self.confidence <= 1:
            raise SettingsError(f"confidence is {self.confidence}, expected 0 < value <= 1")
        if self.confidence is not None and not self.label_with:
            raise SettingsError("confidence is of guessed labels; give the model for label_with")
