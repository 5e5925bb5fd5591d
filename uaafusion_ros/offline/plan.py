"""What to fuse of which recordings, and how."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.node.pairing import DEFAULT_MAX_SKEW


@dataclass(frozen=True, kw_only=True)
class FusionPlan:
    """Which recordings to fuse, and how; times in seconds.

    infrared, visible: topics; "" tells them by their names.
    jobs: frames that are computed at a time; 0 takes the number of cores.
    max_skew, infrared_offset: as the node's parameters of these names.

    Raises:
        SettingsError: an impossible value.
    """

    bags: tuple[Path, ...]
    infrared: str = ""
    visible: str = ""
    model: str = ""
    device: str = "auto"
    jobs: int = 0
    max_skew: float = DEFAULT_MAX_SKEW
    infrared_offset: float = 0.0
    frames: PipelineSettings = field(default_factory=PipelineSettings)

    def __post_init__(self) -> None:
        if not self.bags:
            raise SettingsError("no recording given; expected at least one")
        if self.jobs < 0:
            raise SettingsError(f"jobs is {self.jobs}, expected 0 (all cores) or more")
        if not 0 <= self.max_skew < float("inf"):
            raise SettingsError(f"max_skew is {self.max_skew}, expected 0 or more")
        if not abs(self.infrared_offset) < float("inf"):
            raise SettingsError(f"infrared_offset is {self.infrared_offset}, expected seconds")

    @property
    def cores(self) -> int:
        """How many frames to compute at a time."""
        return self.jobs or len(os.sched_getaffinity(0))
