"""From what thermal cameras deliver to luminance in 0..1."""

from __future__ import annotations

import numpy as np

from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.settings import PipelineSettings

#: The range is estimated on about this many pixels; more change the percentiles by noise only.
_SAMPLED_PIXELS = 20_000


class GainControl:
    """Maps infrared frames to 0..1 and remembers the range from frame to frame."""

    def __init__(self) -> None:
        self._range: tuple[float, float] | None = None

    def reset(self) -> None:
        """Forget the range; the next frame sets it anew."""
        self._range = None

    def __call__(self, infrared: np.ndarray, settings: PipelineSettings) -> np.ndarray:
        """Return luminance float32 [H,W] in 0..1.

        Args:
            infrared: [H,W] uint8 (taken as it is), uint16 counts, or float: luminance where all
                values lie in 0..1, otherwise temperatures or counts that need a range.

        Raises:
            FrameError: another type, or NaN or infinite values.
        """
        if infrared.dtype == np.uint8:
            return infrared.astype(np.float32) / 255
        if infrared.dtype == np.uint16:
            values = infrared.astype(np.float32)
            if settings.gain_control == "fixed" and settings.kelvin_per_count > 0:
                values *= settings.kelvin_per_count
        elif infrared.dtype in (np.float32, np.float64):
            values = infrared.astype(np.float32)
            check_finite("infrared", values)
            if values.min() >= 0 and values.max() <= 1:
                return values
        else:
            raise FrameError(
                f"infrared image is {infrared.dtype}, expected uint8, uint16 or float32"
            )
        low, high = self._limits(values, settings)
        return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)

    def _limits(self, values: np.ndarray, settings: PipelineSettings) -> tuple[float, float]:
        if settings.gain_control == "fixed":
            return settings.gain_minimum, settings.gain_maximum
        step = max(1, int(np.sqrt(values.size / _SAMPLED_PIXELS)))
        low, high = np.percentile(
            values[::step, ::step], (settings.gain_low_percentile, settings.gain_high_percentile)
        )
        # A constant image has no range; one unit keeps it finite (and black).
        current = (float(low), float(max(high, low + _smallest_range(values))))
        if self._range is not None:
            kept = settings.gain_smoothing
            current = (
                kept * self._range[0] + (1 - kept) * current[0],
                kept * self._range[1] + (1 - kept) * current[1],
            )
        self._range = current
        return current


def check_finite(name: str, values: np.ndarray) -> None:
    """Raise FrameError when a float image holds NaN or infinity."""
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise FrameError(
            f"{name} image has {bad} of {values.size} values that are NaN or infinite; "
            "mend the driver or mask dead pixels before publishing"
        )


def _smallest_range(values: np.ndarray) -> float:
    return max(1e-3, float(np.abs(values).max()) * 1e-4)
