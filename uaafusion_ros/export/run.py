"""From a model file to an .onnx file that has been compared with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from uaafusion_ros.export.errors import ExportError
from uaafusion_ros.export.graph import FusingGraph, JudgingGraph, trace
from uaafusion_ros.export.joining import join
from uaafusion_ros.export.parity import Parity, compare
from uaafusion_ros.export.rewriting import describe, halve, import_onnx, shorten
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.models import read_model
from uaafusion_ros.inference.onnx_file import (
    SUFFIX,
    ExportInfo,
    OnnxFile,
    import_onnxruntime,
    is_onnx,
)
from uaafusion_ros.inference.settings import parse_size
from uaafusion_ros.network.modes import ModeError, resolve_mode

DYNAMIC = "dynamic"


@dataclass(frozen=True)
class ExportJob:
    """What to export, and how.

    size: (height, width) that the graph will take; None is any. half: compute in float16.
    mask_sizes: at which it will read masks; () is as the model says.
    """

    model: str
    out: Path
    size: tuple[int, int] | None = None
    half: bool = False
    mask_sizes: tuple[float, ...] = ()


def parse_export_size(text: str) -> tuple[int, int] | None:
    """Read `HEIGHTxWIDTH` or `dynamic`, which is None.

    Raises:
        ExportError: anything else, or sides that are too short.
    """
    if text == DYNAMIC:
        return None
    try:
        return parse_size(text, "--size")
    except SettingsError as error:
        raise ExportError(f"{error}, or {DYNAMIC} for any size") from error


def export_model(job: ExportJob) -> Parity:
    """Write the graph, and return how far it is from PyTorch.

    Raises:
        CheckpointError: the model cannot be read, or onnxruntime is missing.
        ExportError: onnx is missing, the model has no student head, or the graph differs from the
            model; then `out` stays as it was.
        OSError: the file cannot be written.
    """
    import_onnx()
    import_onnxruntime()
    if not is_onnx(job.out):
        raise ExportError(f"{job.out}: expected a name that ends in {SUFFIX}")
    model, info, file = read_model(job.model, job.mask_sizes)
    try:
        resolve_mode("realtime", info.config)
    except ModeError as error:
        raise ExportError(f"{file.path}: what is exported is realtime mode: {error}") from error
    model.prepare_for_inference()
    parts = [shorten(trace(part, job.size)) for part in (FusingGraph(model), JudgingGraph(model))]
    content = join(*(halve(part) if job.half else part for part in parts))
    export = ExportInfo(job.size, job.half, file.sha256)
    parity = compare(model, OnnxFile(job.out, content, info, export))
    parity.check(half=job.half)
    export = replace(export, differences=parity.figures())
    _write(job.out, describe(content, info, export))
    return parity


def _write(path: Path, content: bytes) -> None:
    """Write by a temporary file, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
