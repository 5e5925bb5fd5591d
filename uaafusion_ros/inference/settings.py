"""Settings of the frame path; every default of it stands here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.network.config import check_mask_sizes
from uaafusion_ros.network.modes import AUTO, MODES, FastSettings

GAIN_CONTROLS = ("percentile", "fixed")
REGISTRATIONS = ("homography", "camera_info", "none")
STRETCHES = ("minmax", "none")
MINIMUM_SIDE = 32


def parse_size(text: str, name: str) -> tuple[int, int]:
    """Read `HEIGHTxWIDTH`, in pixels; `name` is that of the value.

    Raises:
        SettingsError: anything else, or sides that are too short.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise SettingsError(f"{name} is {text!r}, expected HEIGHTxWIDTH, as 480x640")
    height, width = int(match[1]), int(match[2])
    if min(height, width) < MINIMUM_SIDE:
        raise SettingsError(f"{name} is {text}, expected sides of at least {MINIMUM_SIDE} pixels")
    return height, width


def parse_mask_sizes(text: str) -> tuple[float, ...]:
    """Read factors of the image's size, separated by commas or spaces; () for an empty text.

    Raises:
        SettingsError: not numbers, or impossible ones.
    """
    try:
        sizes = tuple(float(part) for part in text.replace(",", " ").split())
        check_mask_sizes(sizes or (1.0,))
    except ValueError as error:
        raise SettingsError(
            f"mask_sizes is {text!r} ({error}); give factors of the image's size, as 0.8,1.6"
        ) from error
    return sizes


@dataclass(frozen=True)
class PipelineSettings:
    """How frames are brought into the network and its results out of it.

    Raises:
        SettingsError: an unknown choice or an impossible number.
    """

    #: Who attributes: exact, fast, realtime, or auto, realtime where the model has learned it.
    mode: str = AUTO
    fast: FastSettings = field(default_factory=FastSettings)
    #: How 16-bit counts and float temperatures become 0..1; 8-bit infrared is taken as it is.
    gain_control: str = "percentile"
    gain_low_percentile: float = 0.5
    gain_high_percentile: float = 99.5
    #: Share of the previous range that is kept from frame to frame, 0 (none) to below 1.
    gain_smoothing: float = 0.9
    #: Limits of `fixed`, in counts, or in kelvin where `kelvin_per_count` is positive.
    gain_minimum: float = 0.0
    gain_maximum: float = 65535.0
    kelvin_per_count: float = 0.0
    #: The release stretches the fused luminance from its minimum and maximum to 0..255.
    stretch: str = "minmax"
    #: Share of the previous stretch that is kept; 0 is the release's form, which flickers.
    stretch_smoothing: float = 0.9
    #: Factors of its size at which the fused image is read for the mask; () is as the model says.
    #: It is taken when a model is opened.
    mask_sizes: tuple[float, ...] = ()
    #: Longer side, in pixels, that the network works at; 0 is the full resolution.
    max_side: int = 0
    #: How infrared pixels find their place: by `homography`, by the cameras' calibration and
    #: `infrared_rotation`, or by resizing alone.
    registration: str = "homography"
    #: Nine numbers, row by row, that take infrared pixels to visible ones; None resizes.
    homography: tuple[float, ...] | None = None
    #: Directions in the infrared camera's optical frame to the visible one's: roll, pitch, yaw.
    infrared_rotation: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _check_choice("mode", self.mode, (AUTO, *MODES))
        _check_choice("gain_control", self.gain_control, GAIN_CONTROLS)
        _check_choice("stretch", self.stretch, STRETCHES)
        _check_choice("registration", self.registration, REGISTRATIONS)
        for name in ("gain_smoothing", "stretch_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected 0 <= value < 1")
        low, high = self.gain_low_percentile, self.gain_high_percentile
        if not 0 <= low < high <= 100:
            raise SettingsError(f"gain percentiles are {low} and {high}, expected 0 <= low < high")
        if not self.gain_minimum < self.gain_maximum:
            raise SettingsError(
                f"gain_minimum is {self.gain_minimum} and gain_maximum {self.gain_maximum}, "
                "expected minimum < maximum"
            )
        if self.kelvin_per_count < 0:
            raise SettingsError(f"kelvin_per_count is {self.kelvin_per_count}, expected >= 0")
        if self.max_side != 0 and self.max_side < MINIMUM_SIDE:
            raise SettingsError(f"max_side is {self.max_side}, expected 0 or >= {MINIMUM_SIDE}")
        rotation = self.infrared_rotation
        if len(rotation) != 3 or not all(map(math.isfinite, rotation)):
            raise SettingsError(f"infrared_rotation is {list(rotation)}, expected 3 finite numbers")
        self._check_homography()

    def _check_homography(self) -> None:
        if self.homography is None:
            return
        if len(self.homography) != 9 or not all(map(math.isfinite, self.homography)):
            raise SettingsError(
                f"homography has {len(self.homography)} numbers, expected 9 finite ones"
            )
        a, b, c, d, e, f, g, h, i = self.homography
        if abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) < 1e-12:
            raise SettingsError("homography cannot be inverted; expected one of rank 3")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}, expected one of {list(allowed)}")
