"""Where onnxruntime runs a graph: TensorRT, CUDA or CPU, and what to do where one is absent."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uaafusion_ros.inference.errors import SettingsError

AUTO = "auto"
#: In the order of preference, with onnxruntime's names.
_NAMES = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
PROVIDERS = (AUTO, *_NAMES)
_SHOWN = {"tensorrt": "TensorRT", "cuda": "CUDA", "cpu": "CPU"}


@dataclass(frozen=True)
class ProviderSettings:
    """Which provider, and its figures.

    name: one of `PROVIDERS`. engine_cache: folder for TensorRT's engines; empty: the user's cache.

    Raises:
        SettingsError: an unknown name.
    """

    name: str = AUTO
    engine_cache: str = ""

    def __post_init__(self) -> None:
        if self.name not in PROVIDERS:
            raise SettingsError(f"providers is {self.name!r}, expected one of {list(PROVIDERS)}")

    def engine_folder(self, sha256: str) -> Path:
        """Return the folder for the engines of one model file.

        Every file has its own: TensorRT knows an engine by the names in its graph, so a retrained
        model of the same shape would be served by its predecessor's engine.
        """
        root = self.engine_cache or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(root).expanduser()
        if not self.engine_cache:
            folder = folder / "uaafusion" / "tensorrt"
        return folder / sha256[:16]


@dataclass(frozen=True)
class Choice:
    """Providers to hand to onnxruntime, best first, and why the wanted one is not among them."""

    names: tuple[str, ...]
    fallback: str = ""


def shown(provider: str) -> str:
    """Return the usual name of a provider, from onnxruntime's or from ours."""
    ours = {theirs: name for name, theirs in _NAMES.items()}.get(provider, provider)
    return _SHOWN.get(ours, ours)


def choose(settings: ProviderSettings, device: str, available: list[str]) -> Choice:
    """Return what to try on `device` (auto, cpu, cuda, cuda:N), best first and CPU last.

    Raises:
        SettingsError: an unknown device, or one that contradicts the provider.
    """
    device_index(device)
    wanted = settings.name
    if wanted == AUTO:
        wanted = "cpu" if device == "cpu" else AUTO
        names = [name for name in _NAMES if wanted == AUTO or name == "cpu"]
        names = [name for name in names if _NAMES[name] in available]
        gpu = device.startswith("cuda") and names[0] == "cpu"
        return Choice(tuple(names), _missing("CUDA", available) if gpu else "")
    if (wanted == "cpu") != (device == "cpu") and device != AUTO:
        raise SettingsError(
            f"device is {device!r} and providers {wanted!r}, which contradict each other; set one "
            "of them to auto"
        )
    # What TensorRT cannot take goes to CUDA, and what that cannot take to the CPU.
    names = list(_NAMES)[list(_NAMES).index(wanted) :]
    found = tuple(name for name in names if _NAMES[name] in available)
    fallback = _missing(_SHOWN[wanted], available) if wanted not in found else ""
    return Choice(found, fallback)


def with_options(
    choice: Choice, settings: ProviderSettings, device: str, *, sha256: str, half: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Return the providers as onnxruntime takes them.

    Raises:
        SettingsError: the engine cache cannot be written.
    """
    index = device_index(device)
    options: dict[str, dict[str, Any]] = {"cpu": {}, "cuda": {"device_id": index}}
    if "tensorrt" in choice.names:
        folder = settings.engine_folder(sha256)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"TensorRT's engine cache {folder} cannot be made ({error}); set engine_cache to a "
                "folder that can be written"
            ) from error
        options["tensorrt"] = {
            "device_id": index,
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(folder),
            "trt_fp16_enable": half,
        }
    return [(_NAMES[name], options[name]) for name in choice.names]


def device_index(device: str) -> int:
    """Return N of `cuda:N`, else 0.

    Raises:
        SettingsError: no such device name.
    """
    match = re.fullmatch(r"(?:auto|cpu|cuda(?::(\d+))?)", device)
    if match is None:
        raise SettingsError(f"device is {device!r}, expected auto, cpu, cuda or cuda:N")
    return int(match[1] or 0)


def lost(choice: Choice, using: list[str]) -> str:
    """Say what onnxruntime dropped of `choice` by itself, a missing library for example."""
    wanted = choice.names[0]
    if _NAMES[wanted] in using:
        return choice.fallback
    return (
        f"the provider {_SHOWN[wanted]} is installed but could not start (onnxruntime's log says "
        f"why); {shown(using[0])} runs the model"
    )


def _missing(wanted: str, available: list[str]) -> str:
    installed = ", ".join(shown(name) for name in available if name in _NAMES.values())
    return (
        f"the provider {wanted} is not in this onnxruntime (it has {installed}); install a build "
        "that has it (docs/jetson.md), or set providers to what it has"
    )
