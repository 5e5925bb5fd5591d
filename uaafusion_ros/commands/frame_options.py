"""Options that several commands have: model, topics, pairing, and what precedes the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from uaafusion_ros.inference.settings import PipelineSettings

Topic = Annotated[str, typer.Option(help="Image topic; empty: told by the names.")]
MaxSkew = Annotated[float, typer.Option(help="Seconds between the stamps of a pair.")]
InfraredOffset = Annotated[float, typer.Option(help="Seconds added to infrared stamps.")]
Homography = Annotated[
    str, typer.Option(help="Infrared to visible pixel, nine numbers; empty: resize.")
]
GainLimits = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Fixed infrared range; else percentiles of the image.", metavar="MIN MAX"),
]
KelvinPerCount = Annotated[float, typer.Option(help="Above 0: the limits are kelvin.")]
Model = Annotated[str, typer.Option(help="Model file or name; empty is the default.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Mode = Annotated[str, typer.Option(help="exact, fast, realtime or auto.")]
MaxSide = Annotated[int, typer.Option(help="Longer side to work at; 0 is full size.")]
MaskSizes = Annotated[
    str,
    typer.Option(help="Sizes at which masks are read, as 0.8,1.6; empty: as the model says."),
]
Jobs = Annotated[int, typer.Option(help="Frames computed at a time, one core each; 0: all cores.")]


def frame_settings(
    homography: str = "",
    gain_limits: tuple[float, float] | None = None,
    kelvin_per_count: float = 0.0,
    mode: str = "auto",
    max_side: int = 0,
    mask_sizes: str = "",
) -> PipelineSettings:
    """Settings of the frame path from the options of these names.

    Raises:
        SettingsError: an impossible value.
    """
    from dataclasses import replace

    from uaafusion_ros.inference.settings import PipelineSettings, parse_mask_sizes

    frames = PipelineSettings(
        homography=parse_homography(homography),
        kelvin_per_count=kelvin_per_count,
        mode=mode,
        max_side=max_side,
        mask_sizes=parse_mask_sizes(mask_sizes),
    )
    if gain_limits is None:
        return frames
    low, high = gain_limits
    return replace(frames, gain_control="fixed", gain_minimum=low, gain_maximum=high)


def parse_homography(text: str) -> tuple[float, ...] | None:
    """Nine numbers, separated by commas or spaces, perhaps in brackets.

    Returns:
        None for "" and for zeros, which mean no homography to the node.

    Raises:
        SettingsError: not numbers.
    """
    from uaafusion_ros.inference.errors import SettingsError

    try:
        numbers = tuple(float(part) for part in re.split(r"[\s,\[\]]+", text) if part)
    except ValueError as error:
        raise SettingsError(f"homography is {text!r}, expected nine numbers ({error})") from error
    return numbers if any(numbers) else None
