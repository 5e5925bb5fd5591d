"""Checks of this machine: Python, PyTorch, GPU, ONNX Runtime, memory, the model. No ROS."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from uaafusion_ros import __version__
from uaafusion_ros.doctor.checks import Check, error, ok, skipped, warn

PYTHONS = (3, 10), (3, 13)
"""Oldest and newest that have been tried."""

LITTLE_MEMORY, TOO_LITTLE_MEMORY = 2.0, 0.5
"""GiB available below which a model may not find room, and does not."""

BUSY = 1.5
"""Programs a core that want to run, above which a model has to wait."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
MEMORY = Path("/proc/meminfo")


def machine_checks(model: str) -> list[Check]:
    """Everything that can be told without ROS; ``model`` as for `uaafusion fuse`."""
    torch = _module("torch")
    return [
        _python(),
        _libraries(),
        _torch(torch),
        _cuda(torch),
        _onnxruntime(),
        _load(),
        _memory(),
        _model(model, torch),
    ]


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable}), uaafusion_ros {__version__}"
    low, high = PYTHONS
    if low <= sys.version_info[:2] <= high:
        return ok("Python", found)
    name = "{}.{} to {}.{}".format(*low, *high)
    if sys.version_info[:2] > high:
        return warn("Python", found, f"tried with {name}; ROS 2 wheels exist for these")
    return error("Python", found, f"install Python {name}")


def _libraries() -> Check:
    versions = {}
    for name in ("numpy", "opencv-python-headless", "opencv-python", "safetensors"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    found = ", ".join(f"{name} {number}" for name, number in versions.items())
    missing = [name for name in ("numpy", "cv2", "safetensors") if not _module(name)]
    if missing:
        return error(
            "libraries",
            f"{', '.join(missing)} cannot be imported",
            f"pip install uaafusion_ros with {sys.executable}, the Python that runs this command",
        )
    if {"opencv-python-headless", "opencv-python"} <= versions.keys():
        return warn("libraries", found, "keep one of the two OpenCV packages: they share files")
    return ok("libraries", found)


def _torch(torch: ModuleType | None) -> Check:
    if torch is None:
        return error(
            "PyTorch",
            f"cannot be imported by {sys.executable}",
            "pip install torch there; a ROS 2 workspace must be built by the Python that has it",
        )
    found = f"{torch.__version__}, {torch.get_num_threads()} threads on {_cores()} cores"
    numbers = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if numbers < (2, 1):
        return error("PyTorch", found, "pip install 'torch>=2.1'")
    return ok("PyTorch", found)


def _cuda(torch: ModuleType | None) -> Check:
    driver = NVIDIA_DRIVER.exists() or Path("/dev/nvhost-gpu").exists()
    if torch is None:
        return skipped("GPU", "unknown without PyTorch")
    if not torch.cuda.is_available():
        if not driver:
            return ok("GPU", "none; models run on the CPU")
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        return warn(
            "GPU",
            f"there is an NVIDIA driver, but this PyTorch is built for {build} and does not see it",
            "install a torch build for the driver's CUDA (nvidia-smi shows it); in a container, "
            "start it with the NVIDIA runtime",
        )
    names = []
    for index in range(torch.cuda.device_count()):
        free, total = (value / 2**30 for value in torch.cuda.mem_get_info(index))
        name = torch.cuda.get_device_name(index)
        names.append(f"{name} ({free:.1f} of {total:.1f} GiB free)")
    found = f"CUDA {torch.version.cuda}: {', '.join(names)}"
    free = torch.cuda.mem_get_info(0)[0] / 2**30
    if free < LITTLE_MEMORY:
        return warn("GPU", found, "end what else uses it, or run with device:=cpu")
    return ok("GPU", found)


def _onnxruntime() -> Check:
    onnxruntime = _module("onnxruntime")
    if onnxruntime is None:
        return ok("ONNX Runtime", "not installed; only exported models need it")
    providers = [
        name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()
    ]
    found = f"{onnxruntime.__version__}, providers {', '.join(providers)}"
    if NVIDIA_DRIVER.exists() and not {"CUDA", "Tensorrt"} & set(providers):
        return warn("ONNX Runtime", found, "for exported models on the GPU: onnxruntime-gpu")
    return ok("ONNX Runtime", found)


def _load() -> Check:
    waiting, cores = os.getloadavg()[0], _cores()
    found = f"{waiting:.1f} programs want {cores} cores (load of the last minute)"
    if waiting > BUSY * cores:
        return warn("load", found, "end what else computes: images come late and are dropped")
    return ok("load", found)


def _memory() -> Check:
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        available, total = (
            int(lines[name].split()[0]) / 2**20 for name in ("MemAvailable", "MemTotal")
        )
    except (OSError, KeyError, ValueError):
        return skipped("memory", f"{MEMORY} cannot be read")
    found = f"{available:.1f} of {total:.1f} GiB available"
    if available < TOO_LITTLE_MEMORY:
        return error("memory", found, "end other programs; the model will not find room")
    if available < LITTLE_MEMORY:
        return warn("memory", found, "end other programs, or lower max_side")
    return ok("memory", found)


def _model(model: str, torch: ModuleType | None) -> Check:
    if torch is None:
        return skipped("model", "unknown without PyTorch")
    from uaafusion_ros.inference.models import find_model
    from uaafusion_ros.inference.opening import check_model
    from uaafusion_ros.network.checkpoint import CheckpointError

    try:
        path, info = find_model(model), check_model(model)
    except CheckpointError as problem:
        return error("model", str(problem), "give --model FILE or NAME, or copy the file again")
    size = path.stat().st_size / 2**20
    classes = len(info.config.classes)
    return ok("model", f"{info.name} {info.version}, {classes} classes, {size:.1f} MiB ({path})")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _module(name: str) -> ModuleType | None:
    """A module, or None where importing it fails in any way."""
    try:
        return importlib.import_module(name)
    except Exception:  # broken installations raise OSError, AttributeError and others
        return None
