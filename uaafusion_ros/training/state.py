"""Training state on disk: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from uaafusion_ros.training.errors import StateError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write plain tensors and numbers to `path` by a temporary file and a rename.

    Raises:
        OSError: it could not be written, as on a full disk; what was at `path` is untouched.
    """
    # Serialised in memory first: torch's own writer turns a full disk into other errors.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    # The rename itself survives a power cut only with its folder.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_state(path: Path) -> dict[str, Any] | None:
    """Return what `save_state` wrote, or None where there is no file.

    Raises:
        StateError: the file is damaged or something else.
    """
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise StateError(f"{path} is not a whole training state ({error}); delete it") from error
