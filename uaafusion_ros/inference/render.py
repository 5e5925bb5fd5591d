"""Pictures for people: colour, mask overlay, attribution overlay. All uint8 BGR."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

#: BGR of a region that comes wholly from one source.
INFRARED_COLOUR = (40, 110, 255)
VISIBLE_COLOUR = (235, 140, 30)
_TINT = 0.45
OVERLAY_OPACITY = 0.5
#: Cr and Cb of grey, of 255.
GREY_CHROMA = 128
#: How far attention brightens and darkens the picture at its extremes; what lies in the dark must
#: stay recognisable.
_BRIGHTENING, _DARKENING = 0.8, 0.35


class Stretch:
    """The release's min-max stretch, steadied over time.

    Stretching every frame by its own extremes makes video flicker; the extremes are smoothed.
    """

    def __init__(self) -> None:
        self.range: tuple[float, float] | None = None

    def reset(self) -> None:
        """Forget the range; the next frame sets it anew."""
        self.range = None

    def __call__(self, luminance: np.ndarray, smoothing: float) -> np.ndarray:
        """Return `luminance` float32 [H,W] stretched to 0..1; smoothing 0 is the release's form."""
        low, high = float(luminance.min()), float(luminance.max())
        if self.range is not None:
            low = smoothing * self.range[0] + (1 - smoothing) * low
            high = smoothing * self.range[1] + (1 - smoothing) * high
        self.range = (low, high)
        if high - low < 1e-6:
            return np.clip(luminance, 0, 1)
        return np.clip((luminance - low) / (high - low), 0, 1)


def split_colour(visible: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return luminance float32 [H,W] in 0..1 and chroma uint8 [H,W,2] (None for grey images)."""
    if visible.ndim == 2:
        return _luminance(visible), None
    converted = cv2.cvtColor(visible, cv2.COLOR_BGR2YCrCb)
    return _luminance(converted[:, :, 0]), converted[:, :, 1:]


def signed_chroma(chroma: np.ndarray) -> np.ndarray:
    """Return Cr and Cb uint8 [H,W,2] as the networks take them, float32 [2,H,W] in -0.5..0.5."""
    return (chroma.transpose(2, 0, 1).astype(np.float32) - GREY_CHROMA) / 255


def join_colour(luminance: np.ndarray, chroma: np.ndarray | None) -> np.ndarray:
    """Return BGR uint8 [H,W,3] of a luminance in 0..1 and the visible image's chroma."""
    grey = np.rint(np.clip(luminance, 0, 1) * 255).astype(np.uint8)
    if chroma is None:
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(np.dstack((grey, chroma)), cv2.COLOR_YCrCb2BGR)


def colour_mask(mask: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Return BGR uint8 [H,W,3] of class ids uint8 [H,W]; the palette is RGB."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8)[:, ::-1]
    return table[mask]


def mask_overlay(
    fused: np.ndarray,
    mask: np.ndarray,
    palette: Sequence[tuple[int, int, int]],
    opacity: float = OVERLAY_OPACITY,
) -> np.ndarray:
    """Lay the mask's colours over the fused image; class 0 stays clear.

    Args:
        fused: BGR uint8 [H,W,3]. mask: class ids uint8 [H,W]. opacity: 0..1.
    """
    blended = cv2.addWeighted(fused, 1 - opacity, colour_mask(mask, palette), opacity, 0)
    blended[mask == 0] = fused[mask == 0]
    return blended


def attribution_overlay(
    fused: np.ndarray, infrared_weight: np.ndarray, attention: np.ndarray
) -> np.ndarray:
    """Show which source each region comes from, and on top where attention steers the stages.

    Orange regions come from infrared, blue ones from the visible image, grey ones from both.
    Attention above the image's mean brightens a pixel, below it darkens.

    Args:
        fused: BGR uint8 [H,W,3]. infrared_weight, attention: float32 [H,W] in 0..1.
    """
    grey = cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY).astype(np.float32)[..., None]
    lean = (2 * infrared_weight - 1)[..., None]
    infrared, visible = (np.asarray(c, np.float32) for c in (INFRARED_COLOUR, VISIBLE_COLOUR))
    colour = np.where(lean > 0, infrared, visible)
    tint = _TINT * np.abs(lean)
    picture = grey * (1 - tint) + colour * tint
    lift = 2 * (attention - attention.mean())[..., None]
    picture *= 1 + np.where(lift > 0, _BRIGHTENING, _DARKENING) * lift
    return np.clip(picture, 0, 255).astype(np.uint8)


def _luminance(grey: np.ndarray) -> np.ndarray:
    if grey.dtype == np.uint8:
        return grey.astype(np.float32) / 255
    return grey.astype(np.float32)
