"""What an exported .onnx file says of itself: the same as a checkpoint, and how it was exported."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from uaafusion_ros.network.checkpoint import CheckpointError, CheckpointInfo, parse_description

SUFFIX = ".onnx"
#: Key of the export's own metadata, beside the checkpoint's.
EXPORT_KEY = "uaafusion_export"
FORMAT = "uaafusion-onnx-2"
INPUTS = ("infrared", "visible")
#: A third one, of a model that reads colours: Cr and Cb of the visible image in -0.5..0.5, float32
#: [B,2,H,W]; zeros are grey.
CHROMA = "chroma"
#: An input that may be left out: what earlier frames told of the classes, float32 [1,3,C] or
#: [B,3,C], the two contributions and the share w_i. A frame is judged anew if it has a class whose
#: share is `UNKNOWN`, as every share is that is not fed.
KEPT = "kept_shares"
UNKNOWN = -1.0
#: An output of the same form: what was kept, or of a frame that was judged, its own, where a class
#: without a region is unknown.
SHARES = "shares"
#: Named as the fields of `NetworkArrays`. Images are float32 [B,1,H,W], class ids int32 [B,H,W].
OUTPUTS = (
    "fused",
    "mask",
    "infrared_weight",
    "attention",
    "regions",
    "contribution_infrared",
    "contribution_visible",
)


@dataclass(frozen=True)
class ExportInfo:
    """How a graph was exported.

    size: (height, width) that it takes; None takes any from 32x32 up. half: computes in float16.
    source_sha256: of the checkpoint. differences: to PyTorch, as measured when it was exported.
    """

    size: tuple[int, int] | None = None
    half: bool = False
    source_sha256: str = ""
    differences: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text that the file holds."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)


@dataclass(frozen=True)
class OnnxFile:
    """A whole exported file: its bytes and what it says of itself."""

    path: Path
    content: bytes
    info: CheckpointInfo
    export: ExportInfo

    @property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def is_onnx(path: str | os.PathLike[str]) -> bool:
    """Whether a file is to be read as an exported graph."""
    return Path(path).suffix.lower() == SUFFIX


def import_onnxruntime() -> Any:
    """Return the module onnxruntime.

    Raises:
        CheckpointError: it is not installed, with what to do.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise CheckpointError(
            f"a model in an {SUFFIX} file needs onnxruntime, which cannot be imported ({error}): "
            "pip install 'uaafusion_ros[onnx]', or on a Jetson the wheel that docs/jetson.md names"
        ) from error
    return onnxruntime


def read_onnx(path: Path) -> OnnxFile:
    """Read a file and check that it is a graph of ours; does not prepare it for a device.

    Raises:
        CheckpointError: it is missing, damaged, or was not written by `uaafusion export`.
    """
    runtime = import_onnxruntime()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from error
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this
        raise CheckpointError(
            f"{path}: not a whole ONNX file ({error}). Copy it again, or export it anew by "
            "`uaafusion export`"
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map
    names = tuple(node.name for node in session.get_inputs())  # without those that have a default
    if EXPORT_KEY not in metadata or names not in (INPUTS, (*INPUTS, CHROMA)):
        raise CheckpointError(
            f"{path}: an ONNX file with inputs {list(names)}, but without the metadata that "
            "describe the model; expected one written by `uaafusion export`"
        )
    export = _parse_export(path, metadata[EXPORT_KEY])
    held = (*session.get_outputs(), *session.get_overridable_initializers())
    if missing := sorted({*OUTPUTS, SHARES, KEPT} - {node.name for node in held}):
        raise CheckpointError(f"{path}: lacks {missing}; export it anew")
    info = parse_description(path, metadata)
    if (CHROMA in names) != info.config.segmentation_colour:
        raise CheckpointError(f"{path}: its inputs are not those of its model; export it anew")
    return OnnxFile(path, content, info, export)


def _parse_export(path: Path, text: str) -> ExportInfo:
    try:
        values = json.loads(text)
        if values.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: export format {values.get('format')!r}, expected {FORMAT!r}; it was "
                "written by another version of this package, export it anew"
            )
        size = values["size"]
        return ExportInfo(
            size=None if size is None else (int(size[0]), int(size[1])),
            half=bool(values["half"]),
            source_sha256=str(values["source_sha256"]),
            differences=dict(values["differences"]),
        )
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: the export's description is malformed: {error}") from error
