"""Finds model files: by path, or by the name of one that ships with the package."""

from __future__ import annotations

from pathlib import Path

from uaafusion_ros.network.checkpoint import CheckpointError
from uaafusion_ros.share import share_folders

DEFAULT_MODEL = "uaafusion_edge"


def find_model(name_or_path: str = "") -> Path:
    """Return the model file for a path, a shipped model's name, or "" for the default.

    Raises:
        CheckpointError: there is none, with what ships.
    """
    wanted = name_or_path or DEFAULT_MODEL
    path = Path(wanted).expanduser()
    if path.is_file():
        return path
    shipped = shipped_models()
    if wanted in shipped:
        return shipped[wanted]
    raise CheckpointError(
        f"model '{wanted}' is neither a file nor one that ships "
        f"({', '.join(sorted(shipped)) or 'none found'}); give a .safetensors path or such a name"
    )


def shipped_models() -> dict[str, Path]:
    """Return the models that ship with the package, by name."""
    found: dict[str, Path] = {}
    for folder in share_folders():
        for path in sorted((folder / "models").glob("*.safetensors")):
            found.setdefault(path.stem, path)
    return found
