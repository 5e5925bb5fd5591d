"""Finds, checks and reads model files: by path, or by the name of one that ships."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from uaafusion_ros.network.checkpoint import (
    CheckpointError,
    CheckpointInfo,
    describe_differences,
    load_checkpoint,
    read_info,
)
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.share import share_folders

DEFAULT_MODEL = "uaafusion_edge"


@dataclass(frozen=True)
class ModelFile:
    """The file that a model was read from, as it was then; sha256 of its bytes in hexadecimal."""

    path: Path
    sha256: str


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
        f"({', '.join(sorted(shipped)) or 'none found'}); give a .safetensors "
        "or .onnx path, or such a name"
    )


def shipped_models() -> dict[str, Path]:
    """Return the models that ship with the package, by name."""
    found: dict[str, Path] = {}
    for folder in share_folders():
        for path in sorted((folder / "models").glob("*.safetensors")):
            found.setdefault(path.stem, path)
    return found


def check_checkpoint(name_or_path: str = "") -> CheckpointInfo:
    """Check what the file's header tells, in milliseconds and without reading the weights.

    It is whole, describes a model, and its weights have the names and shapes of that model. A
    model of another shape than those read or checked before takes some 50 ms.

    Raises:
        CheckpointError: with what was found, what was expected, what to do.
    """
    path = find_model(name_or_path)
    info = read_info(path)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {
                key: torch.empty(file.get_slice(key).get_shape(), device="meta")
                for key in file.keys()  # noqa: SIM118
            }
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); copy it again") from error
    differences = describe_differences(found, _expected_weights(info.config))
    if differences:
        raise CheckpointError(
            f"{path}: the weights do not fit the file's own description: {differences}. "
            "Export or train the model again"
        )
    return info


def read_model(
    name_or_path: str = "", mask_sizes: tuple[float, ...] = ()
) -> tuple[UAAFusion, CheckpointInfo, ModelFile]:
    """Return the model, on the CPU and ready for training, its description and its file.

    Args:
        mask_sizes: at which masks are read, in the description as well; () is as the file says.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind.
        ConfigError: sizes that cannot be.
    """
    path = find_model(name_or_path)
    with tempfile.TemporaryDirectory(prefix="uaafusion-") as folder:
        # Weights are read through a memory map, and one that shrinks ends the process: somebody
        # may be copying over the file at this moment. What is checked is a copy that nobody knows.
        copy = Path(folder) / path.name
        try:
            content = path.read_bytes()
            copy.write_bytes(content)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error})") from error
        try:
            model, info = load_checkpoint(copy)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(copy), str(path))) from error
    if mask_sizes:
        model.read_masks_at(mask_sizes)
        info = replace(info, config=model.config)
    return model, info, ModelFile(path, hashlib.sha256(content).hexdigest())


def _expected_weights(config: ModelConfig) -> dict[str, Tensor]:
    # A class has a weight whatever its name: a model retrained with others is no new shape.
    count = len(config.classes)
    return _weights_without_values(
        replace(config, classes=tuple(map(str, range(count))), palette=((0, 0, 0),) * count)
    )


@lru_cache(maxsize=8)
def _weights_without_values(config: ModelConfig) -> dict[str, Tensor]:
    with torch.device("meta"):
        return UAAFusion(config).state_dict()
