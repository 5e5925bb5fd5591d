"""What an interrupted run leaves in its folder for the next one."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from uaafusion_ros import __version__
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.offline.plan import FusionPlan
from uaafusion_ros.offline.stream import FusionStream

STATE = ".uaafusion_resume"


def fingerprint(plan: FusionPlan, stream: FusionStream) -> dict[str, str]:
    """What must be equal for two runs to give the same images; values are JSON."""
    file = stream.fusion.pipeline.model_file
    parts: dict[str, Any] = {
        "version": __version__,
        "recordings": [[str(path.resolve()), _size(path)] for path in plan.bags],
        "topics": stream.topics,
        "model": file and file.sha256,
        "device": stream.fusion.pipeline.device.partition(":")[0],
        "max_skew": plan.max_skew,
        "infrared_offset": plan.infrared_offset,
        "frames": asdict(plan.frames),
    }
    return {name: json.dumps(value, sort_keys=True) for name, value in parts.items()}


def save_state(folder: Path, own: dict[str, str], state: dict[str, Any]) -> None:
    """Keep what the next run needs."""
    temporary = folder / f"{STATE}.tmp"
    torch.save({"fingerprint": own, "state": state}, temporary)
    os.replace(temporary, folder / STATE)


def has_state(folder: Path) -> bool:
    """Whether an interrupted run has left its state."""
    return (folder / STATE).is_file()


def load_state(folder: Path, own: dict[str, str]) -> dict[str, Any]:
    """What `save_state` has kept.

    Raises:
        SettingsError: there is nothing to go on from, or it is of another run.
    """
    try:
        # Plain values and tensors alone: the file cannot bring code with it.
        content = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        before, state = content["fingerprint"], content["state"]
    except Exception as error:  # torch raises whatever a damaged file makes of it
        raise SettingsError(
            f"{folder} holds no interrupted run that could go on ({error}); give a new folder"
        ) from error
    differences = [
        f"{name} was {before.get(name)} and is {value}"
        for name, value in own.items()
        if before.get(name) != value
    ]
    if differences:
        raise SettingsError(
            f"{folder} was begun otherwise: {'; '.join(differences)}. Give what was given then, or "
            "a new folder"
        )
    return state


def forget_state(folder: Path) -> None:
    """The run is complete."""
    (folder / STATE).unlink(missing_ok=True)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
