"""What the node knows of itself at one moment; diagnostics.py says what it means."""

from __future__ import annotations

from dataclasses import dataclass, field

from uaafusion_ros.node.accounting import Figures


@dataclass(frozen=True)
class Connection:
    """One input topic as ROS's graph shows it."""

    topic: str
    publishers: int = 0
    incompatible_qos: str = ""
    """The policy in which a publisher differs, empty if none does."""


@dataclass(frozen=True)
class Misses:
    """What stamps say of the cameras' clocks; times in seconds."""

    nearest: float | None = None
    """Distance of the nearest two of the images that found no partner lately."""

    ahead: float | None = None
    """By how much infrared stamps run ahead of visible ones, ``infrared_offset`` applied; None
    where that is not constant, or unknown."""


@dataclass(frozen=True)
class Reloads:
    """What became of models that were to replace the one that serves."""

    count: int = 0
    """How many took over."""

    loading: str = ""
    """The one that is being loaded now."""

    failure: str = ""
    """Why the last one did not take over; empty once another has."""


@dataclass(frozen=True)
class Snapshot:
    """Everything `diagnose` looks at; times in seconds."""

    state: str
    figures: Figures
    failure: str = ""
    """Why the last transition failed."""

    model: str = ""
    model_file: str = ""
    model_sha256: str = ""
    device: str = ""
    notice: str = ""
    """Why the model does not run where it was wanted; empty if it does."""
    mode: str = ""
    """The mode of attribution that serves; of `auto`, what it means for the model."""

    reloads: Reloads = Reloads()
    active_for: float = 0.0
    inputs: dict[str, Connection] = field(default_factory=dict)
    max_skew: float = 0.0
    infrared_offset: float = 0.0
    misses: Misses = Misses()
    subscribers: dict[str, int] = field(default_factory=dict)
    """Number of subscribers of each output topic."""

    unserved: dict[str, str] = field(default_factory=dict)
    """Output topics with a subscriber of incompatible QoS, and the policy that differs."""

    shrinkage: str = ""
    """The smaller size that frames are fused at for want of memory, and why."""
