"""Checkpoints: safetensors with the model's description in the metadata; nothing executable."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from uaafusion_ros.network.config import ConfigError, ModelConfig
from uaafusion_ros.network.unfolding import UAAFusion

FORMAT = "uaafusion-1"
METADATA_KEY = "uaafusion"
_LISTED = 5


class CheckpointError(ValueError):
    """A model file that cannot be used, with what was found, what was expected, what to do."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself beside its weights."""

    config: ModelConfig
    name: str = ""
    version: str = ""
    training_data: str = ""
    licence: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    notes: str = ""


def save_checkpoint(path: str | os.PathLike[str], model: UAAFusion, info: CheckpointInfo) -> None:
    """Write `model` to `path`, by a temporary file, so that a reader never sees half of it.

    Raises:
        ValueError: the model was folded for inference and can no longer be described.
        OSError: the file cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    expected = UAAFusion(model.config).state_dict().keys()
    if state.keys() != expected:
        raise ValueError("the model was prepared for inference; save the one it was made from")
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        save_file(state, temporary, metadata=description(info))
        temporary.chmod(0o644)  # the writer makes files that only their owner may read
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def description(info: CheckpointInfo) -> dict[str, str]:
    """Return the metadata that a model file carries; `parse_description` reads them."""
    header = {
        "format": FORMAT,
        "config": info.config.to_dict(),
        "name": info.name,
        "version": info.version,
        "training_data": info.training_data,
        "licence": info.licence,
        "metrics": info.metrics,
        "notes": info.notes,
    }
    return {METADATA_KEY: json.dumps(header, sort_keys=True)}


def read_info(path: str | os.PathLike[str]) -> CheckpointInfo:
    """Read a checkpoint's description without its weights.

    Raises:
        CheckpointError: the file is missing, cut off, or not one of ours.
    """
    with _open(path) as file:
        return parse_description(path, file.metadata())


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[UAAFusion, CheckpointInfo]:
    """Return the model, on the CPU and ready for training, and its description.

    Raises:
        CheckpointError: the file is missing, cut off, of another layout or shape.
    """
    with _open(path) as file:
        info = parse_description(path, file.metadata())
        try:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
    # Compared before it is built: memory is for what the file holds, not for what it claims.
    with torch.device("meta"):
        expected = UAAFusion(info.config).state_dict()
    differences = describe_differences(state, expected)
    if differences:
        raise CheckpointError(
            f"{path}: the weights do not fit the file's own description: {differences}. "
            "Export or train the model again"
        )
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(
            f"{path}: {len(broken)} weights hold NaN or infinity, first {broken[0]}. "
            "Use an earlier checkpoint"
        )
    model = UAAFusion(info.config)
    model.load_state_dict(state)
    return model, info


def describe_differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> str:
    """Say how the keys and shapes of two state dicts differ; empty when they do not."""
    parts = []
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    shapes = [
        f"{key} is {list(found[key].shape)}, expected {list(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    for title, entries in (("missing", missing), ("not expected", extra), ("shapes", shapes)):
        if entries:
            rest = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
            parts.append(f"{title}: {', '.join(entries[:_LISTED])}{rest}")
    return "; ".join(parts)


def _open(path: str | os.PathLike[str]) -> Any:
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise CheckpointError(f"{file} {what}; expected a .safetensors model file")
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: str | os.PathLike[str], error: Exception) -> CheckpointError:
    hint = ""
    if Path(path).suffix in (".pth", ".pt"):
        hint = "; a released .pth is converted by `uaafusion import-checkpoint`"
    if Path(path).suffix == ".onnx":
        hint = "; an exported .onnx only fuses: give the .safetensors file that it was made from"
    return CheckpointError(
        f"{path}: not a whole safetensors file ({error}). Copy it again, or train or import it "
        f"anew{hint}"
    )


def parse_description(
    path: str | os.PathLike[str], metadata: dict[str, str] | None
) -> CheckpointInfo:
    """Read the metadata of a model file.

    Raises:
        CheckpointError: there are none, or they were not written by `description`.
    """
    if not metadata or METADATA_KEY not in metadata:
        raise CheckpointError(
            f"{path}: a whole file, but without the '{METADATA_KEY}' metadata that "
            "describes the model; expected one written by this package"
        )
    try:
        header = json.loads(metadata[METADATA_KEY])
        if header.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: format {header.get('format')!r}, expected {FORMAT!r}; "
                "it was written by another version of this package"
            )
        return CheckpointInfo(
            config=ModelConfig.from_dict(header["config"]),
            name=header.get("name", ""),
            version=header.get("version", ""),
            training_data=header.get("training_data", ""),
            licence=header.get("licence", ""),
            metrics=header.get("metrics", {}),
            notes=header.get("notes", ""),
        )
    except CheckpointError:
        raise
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: the model's description is malformed: {error}") from error
