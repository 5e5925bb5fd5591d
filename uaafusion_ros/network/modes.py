"""The modes of attribution by name, and their figures; imports nothing heavy.

exact: the paper's equations (exact.py). fast: the same at a lower price (fast.py). realtime: the
weights of fast, and a learned guess where to look, without any gradient (student.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from uaafusion_ros.network.config import ModelConfig

MODES = ("exact", "fast", "realtime")
#: Height and width of the thumbnails that tell whether a scene has changed.
THUMBNAIL = (12, 16)
#: The fastest mode that the model was trained for.
AUTO = "auto"


class ModeError(ValueError):
    """A mode that a model does not have, or an impossible figure, with what to do."""


@dataclass(frozen=True)
class FastSettings:
    """The figures of `fast`, and those by which `realtime` judges the sources.

    Raises:
        ModeError: an impossible one.
    """

    #: Frames between two renewals of an attribution that nothing else renews.
    every: int = 10
    #: Mean difference of two thumbnails, in 0..1, that is a change of scene.
    change: float = 0.05
    #: S judges the sources at such a part of their size: 1 whole, 2 half.
    scale: int = 1
    #: Stages whose gradient is taken; those after them look where the last of them did.
    gradients: int = 1

    def __post_init__(self) -> None:
        for name in ("every", "scale", "gradients"):
            if getattr(self, name) < 1:
                raise ModeError(f"fast.{name} is {getattr(self, name)}, expected at least 1")
        if self.change < 0:
            raise ModeError(f"fast.change is {self.change}, expected at least 0")


def resolve_mode(name: str, config: ModelConfig) -> str:
    """Return the mode of `MODES` that `name` means for such a model.

    Raises:
        ModeError: an unknown mode, or realtime without a student head.
    """
    guesses = bool(config.student_channels) and config.attention != "raw"
    if name == AUTO:
        return "realtime" if guesses else "exact"
    if name not in MODES:
        raise ModeError(f"mode is {name!r}, expected one of {[AUTO, *MODES]}")
    if name == "realtime" and not config.student_channels:
        raise ModeError(
            "mode is realtime, but the model has no student head; train one onto it (`uaafusion "
            "train` with start: MODEL and distill: true), or use exact or fast"
        )
    if name == "realtime" and not guesses:
        raise ModeError(
            "mode is realtime, but the model's attention is raw, whose scale no head knows; use "
            "exact or fast, or attention: normalised"
        )
    return name
