"""The file that a stored run stands in, and how far a later one may be from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from uaafusion_ros.inference.errors import SettingsError


@dataclass(frozen=True)
class Limits:
    """How far a run may be from the stored one; to be edited in ``expected.json``.

    Pixels are the same on the same machine and libraries; on others they round differently, which
    the limits let pass and an error in the method does not.
    """

    identical: bool = False
    """Every pixel must be the same."""

    psnr: float = 35.0
    """Least PSNR of fused images and weights, in dB."""

    mask_agreement: float = 0.97
    """Least share of pixels of the same class."""

    pair_ratio: float = 0.0
    """Most by which the share of fused images may differ."""

    rate: float = 0.05
    """Most by which the pairs' rate may differ, as a share of it."""

    node_pair_ratio: float = 0.05
    node_latency: float = 1.5
    """Most by which the live node's median latency may be longer, as a factor."""

    node_rate: float = 0.9
    """Least rate of the live node's fused images, as a share."""

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, expected: dict[str, Any]) -> Limits:
        """The limits of a stored run.

        Raises:
            SettingsError: one that does not exist.
        """
        given = expected.get("limits", {})
        known = {field.name for field in fields(cls)}
        if unknown := given.keys() - known:
            raise SettingsError(
                f"unknown limits {sorted(unknown)}, expected some of {sorted(known)}"
            )
        return cls(**given)


def read_expected(path: Path) -> dict[str, Any]:
    """A stored run.

    Raises:
        SettingsError: there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["replay"]["checksums"], dict):
            raise ValueError("without checksums")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} is no stored run ({type(error).__name__}: {error}); make one with --record "
            f"{path}"
        ) from error
    return content
