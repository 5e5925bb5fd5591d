"""Writes images and JSON, and says so when that fails."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from uaafusion_ros.inference.errors import SettingsError


def require_writable(folder: Path) -> None:
    """See that `folder` can be made and written to, before hours are spent on what goes there.

    Raises:
        SettingsError: it cannot.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise SettingsError(f"{there} is a file; give another folder for the results")
    if not os.access(there, os.W_OK):
        raise SettingsError(f"{there} cannot be written to; give another folder for the results")


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
