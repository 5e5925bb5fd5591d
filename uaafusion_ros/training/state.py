"""Training state on disk: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write plain tensors and numbers to `path` by a temporary file and a rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Return what `save_state` wrote, or None where there is no file."""
    if not path.is_file():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)
