"""From what thermal cameras deliver to luminance in 0..1.

The range of `percentile` follows the scene under these promises, which the tests hold it to:

* Nothing pumps: when a hot object comes or goes, no grey level of the rest moves by more than
  ``MAXIMUM_STEP`` from one frame to the next. What all of the image does, such as the step of
  offset after a shutter (flat-field correction), is followed at once, so that grey levels stay.
* Nothing is flat: what is hotter than the range shares the brightest ``HEADROOM`` by rank, so that
  a hot object has structure from its first frame on, however hot it is.
* Nothing is crushed: the range ends at ``FARTHEST`` interquartile ranges above the median, so that
  a furnace in the picture leaves the rest its contrast.
* A closed shutter, an image of hardly any range, leaves the range as it was for ``HOLD`` frames.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.settings import PipelineSettings

#: Largest change of a grey level from frame to frame while the range follows, of 1.
MAXIMUM_STEP = 4 / 255

#: Part of the output that belongs to what lies above the high percentile.
HEADROOM = 0.1

#: Largest distance of the range's upper end from the median, in interquartile ranges.
FARTHEST = 8.0

#: Frames for which a closed shutter is waited out: half a second at 60 Hz.
HOLD = 30

#: An image with less than this part of the range before is taken for a closed shutter.
SHUTTER = 0.2

#: Where this part of an image lies outside the range, it shows something else; no frame before
#: matters then.
CUT = 0.5

#: Part of NaN and infinite pixels up to which a float image is mended.
MENDABLE = 0.5

#: The range is estimated on about this many pixels; more change the percentiles by noise only.
_SAMPLED_PIXELS = 20_000

_RANKS = np.linspace(0, 1, 9)[1:]


class Range(NamedTuple):
    """Values of black and of the upper end, and the median between them."""

    low: float
    middle: float
    high: float

    def shifted(self, by: float) -> Range:
        return Range(self.low + by, self.middle + by, self.high + by)

    def towards(self, other: Range, share: float) -> Range:
        return Range(
            *(own + share * (its - own) for own, its in zip(self, other, strict=True)),
        )


class GainControl:
    """Maps infrared frames to 0..1 and remembers the range from frame to frame."""

    def __init__(self) -> None:
        self._range: Range | None = None
        self._held = 0

    def reset(self) -> None:
        """Forget the range; the next frame sets it anew."""
        self._range, self._held = None, 0

    def state(self) -> tuple[float, ...]:
        """What is kept of the frames so far, of plain numbers."""
        return (float(self._held), *map(float, self._range or ()))

    def restore(self, state: tuple[float, ...]) -> None:
        """Go on where a gain control was when it told its `state`."""
        held, *values = state
        self._held, self._range = int(held), Range(*values) if values else None

    def __call__(self, infrared: np.ndarray, settings: PipelineSettings) -> np.ndarray:
        """Return luminance float32 [H,W] in 0..1.

        Args:
            infrared: [H,W] uint8 (taken as it is), uint16 counts, or float: luminance where all
                values lie in 0..1, otherwise temperatures or counts that need a range. NaN and
                infinite pixels are mended from their neighbours.

        Raises:
            FrameError: another type, or half of the image and more NaN or infinite.
        """
        if infrared.dtype == np.uint8:
            return infrared.astype(np.float32) / 255
        if infrared.dtype == np.uint16:
            values = infrared.astype(np.float32)
            if settings.gain_control == "fixed" and settings.kelvin_per_count > 0:
                values *= settings.kelvin_per_count
        elif infrared.dtype in (np.float32, np.float64):
            values = mended(infrared.astype(np.float32))
            if values.min() >= 0 and values.max() <= 1:
                return values
        else:
            raise FrameError(
                f"infrared image is {infrared.dtype}, expected uint8, uint16 or float32"
            )
        if settings.gain_control == "fixed":
            low, high = settings.gain_minimum, settings.gain_maximum
            return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
        self._range = self._follow(values, settings)
        return _mapped(values, self._range)

    def _follow(self, values: np.ndarray, settings: PipelineSettings) -> Range:
        step = max(1, int(np.sqrt(values.size / _SAMPLED_PIXELS)))
        sample = values[::step, ::step]
        target, before = _range(sample, values, settings), self._range
        if before is None or settings.gain_smoothing == 0:
            return target
        span = before.high - before.low
        if target.high - target.low < SHUTTER * span and self._held < HOLD:
            self._held += 1
            return before
        self._held = 0
        before = before.shifted(_common(before, target))
        outside = np.count_nonzero((sample < before.low) | (sample > before.high))
        if outside > CUT * sample.size:
            return target
        return before.towards(target, _share(before, target, 1 - settings.gain_smoothing))


def mended(values: np.ndarray) -> np.ndarray:
    """Replaces NaN by the mean of its neighbours, and infinities by the largest and least values.

    Args:
        values: float32 [H,W].

    Raises:
        FrameError: half of the values and more are not finite.
    """
    finite = np.isfinite(values)
    bad = values.size - int(np.count_nonzero(finite))
    if not bad:
        return values
    if bad >= MENDABLE * values.size:
        raise FrameError(
            f"infrared image has {bad} of {values.size} values that are NaN or infinite, expected "
            "less than half; check the driver's conversion to temperatures"
        )
    good = values[finite]
    filled = np.where(finite, values, 0).astype(np.float32)
    weights = cv2.blur(finite.astype(np.float32), (5, 5))
    means = cv2.blur(filled, (5, 5)) / np.maximum(weights, 1e-6)
    around = np.where(weights > 1e-3, means, np.median(good))
    result = np.where(np.isnan(values), around, values)
    return np.clip(result, good.min(), good.max()).astype(np.float32)


def check_finite(name: str, values: np.ndarray) -> None:
    """Raise FrameError when a float image holds NaN or infinity."""
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise FrameError(
            f"{name} image has {bad} of {values.size} values that are NaN or infinite; "
            "mend the driver or mask dead pixels before publishing"
        )


def _range(sample: np.ndarray, values: np.ndarray, settings: PipelineSettings) -> Range:
    ends = settings.gain_low_percentile, settings.gain_high_percentile
    low, high, lower, middle, upper = map(float, np.percentile(sample, (*ends, 25, 50, 75)))
    if upper > lower:
        high = min(high, middle + FARTHEST * (upper - lower))
    # A constant image has no range; a little keeps it finite (and black).
    smallest = max(1e-3, float(np.abs(values).max()) * 1e-4)
    return Range(low, middle, max(high, low + smallest))


def _common(before: Range, target: Range) -> float:
    """The shift that all of the image makes; 0 where its ends or middle stay."""
    shifts = [new - old for new, old in zip(target, before, strict=True)]
    if min(shifts) > 0 or max(shifts) < 0:
        return min(shifts, key=abs)
    return 0.0


def _share(before: Range, target: Range, most: float) -> float:
    """How far to go towards the target, so that no grey level moves by more than a step."""
    span, growth = before.high - before.low, (target.high - target.low) - (before.high - before.low)
    for way in (abs(target.low - before.low), abs(target.high - before.high)):
        if (excess := way - MAXIMUM_STEP * growth) > 0:
            most = min(most, MAXIMUM_STEP * span / excess)
    return most


def _mapped(values: np.ndarray, limits: Range) -> np.ndarray:
    """Linear up to the high end, by rank above it."""
    top = 1 - HEADROOM
    grey = (values - limits.low) * (top / (limits.high - limits.low))
    hotter = values > limits.high
    hot = values[hotter]
    if hot.size:
        knots = np.concatenate([[limits.high], np.quantile(hot, _RANKS)])
        levels = np.concatenate([[top], top + HEADROOM * _RANKS])
        last = np.append(knots[1:] > knots[:-1], True)  # of equal values the highest level counts
        last[0] = True
        grey[hotter] = np.interp(hot, knots[last], levels[last])
    return np.clip(grey, 0, 1).astype(np.float32)
