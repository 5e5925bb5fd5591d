"""Writes images and JSON, and says so when that fails."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)


def write_image(path: Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
    """Write an image uint8 [H,W] or BGR [H,W,3].

    Args:
        options: of OpenCV's imwrite, each a key and its value.

    Raises:
        OSError: it cannot be written.
    """
    try:
        written = cv2.imwrite(str(path), image, list(options))
    except cv2.error as error:
        raise OSError(f"{path} could not be written: {error.err}") from error
    if not written:
        raise OSError(f"{path} could not be written; is there space, and a right to write?")
