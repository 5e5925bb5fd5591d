"""How near a mode's answers come to those of `exact`, over all pairs of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uaafusion_ros.inference.backends import NetworkArrays

#: Images that do not differ at all have no PSNR; two of 16 bits would have about this one.
HIGHEST_PSNR = 100.0


@dataclass
class Correlation:
    """Pearson's correlation of two maps, over the pixels of all images together."""

    _sums: np.ndarray = field(default_factory=lambda: np.zeros(6))

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Count the pixels of one image; float [H,W] each."""
        x, y = (values.astype(np.float64).ravel() for values in (first, second))
        self._sums += (x.size, x.sum(), y.sum(), x @ x, y @ y, x @ y)

    def value(self) -> float | None:
        """The correlation in -1..1; None where a map is constant."""
        count, x, y, xx, yy, xy = self._sums
        if not count:
            return None
        variances = (xx - x * x / count) * (yy - y * y / count)
        # What is constant varies by rounding errors all the same.
        if variances < (1e-9 * max(xx, yy, 1e-30)) ** 2:
            return None
        return float((xy - x * y / count) / np.sqrt(variances))


@dataclass
class Fidelity:
    """One mode of one model against `exact` of the same model."""

    psnr: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    weight: Correlation = field(default_factory=Correlation)
    attention: Correlation = field(default_factory=Correlation)

    def add(self, exact: NetworkArrays, found: NetworkArrays) -> None:
        """Compare the network's arrays of one pair."""
        assert exact.fused is not None and found.fused is not None
        assert exact.infrared_weight is not None and found.infrared_weight is not None
        assert exact.attention is not None and found.attention is not None
        assert exact.mask is not None and found.mask is not None
        error = float(np.square(exact.fused.astype(np.float64) - found.fused).mean())
        worst = 10 ** (-HIGHEST_PSNR / 10)
        self.psnr.append(float(-10 * np.log10(max(error, worst))))
        self.agreement.append(float(np.mean(exact.mask == found.mask)))
        self.weight.add(exact.infrared_weight, found.infrared_weight)
        self.attention.add(exact.attention, found.attention)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; empty where nothing was compared."""
        if not self.psnr:
            return {}
        return {
            "images": len(self.psnr),
            "psnr": {"mean": float(np.mean(self.psnr)), "lowest": min(self.psnr)},
            "mask_agreement": float(np.mean(self.agreement)),
            "weight_correlation": self.weight.value(),
            "attention_correlation": self.attention.value(),
        }
