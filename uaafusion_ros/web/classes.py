"""The class legend, from what the fusion node latches."""

from __future__ import annotations

import json
from typing import Any

MOST = 256
"""Class ids are bytes."""


def read_classes(text: str) -> list[dict[str, Any]]:
    """Names and colours of the classes.

    Args:
        text: JSON as `uaafusion_ros.node.outputs.classes_json` makes it.

    Returns:
        for each class ``name`` and ``rgb``, three whole numbers of 0..255.

    Raises:
        ValueError: it is something else.
    """
    try:
        entries = json.loads(text)["classes"]
        legend: list[dict[str, Any]] = [
            {"name": str(entry["name"]), "rgb": [int(level) for level in entry["rgb"]]}
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"class list that cannot be read: {error!r}") from error
    colours = [entry["rgb"] for entry in legend]
    if len(legend) > MOST or not all(map(_is_colour, colours)):
        raise ValueError(f"class list of {len(legend)} classes with colours beyond 3 bytes")
    return legend


def _is_colour(rgb: Any) -> bool:
    return len(rgb) == 3 and all(0 <= level <= 255 for level in rgb)
