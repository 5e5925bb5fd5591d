"""Runs an exported graph by onnxruntime: realtime mode, without PyTorch at run time."""

from __future__ import annotations

from typing import Any

import numpy as np

from uaafusion_ros.inference.backends import PRECISIONS, NetworkArrays
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.kept_shares import KeptShares
from uaafusion_ros.inference.onnx_file import (
    CHROMA,
    KEPT,
    SHARES,
    OnnxFile,
    import_onnxruntime,
)
from uaafusion_ros.inference.providers import (
    ProviderSettings,
    choose,
    lost,
    shown,
    with_options,
)
from uaafusion_ros.inference.render import signed_chroma
from uaafusion_ros.network.checkpoint import CheckpointError
from uaafusion_ros.network.encoder import CHROMA_CHANNELS
from uaafusion_ros.network.modes import AUTO, FastSettings
from uaafusion_ros.network.unfolding import Output

_NEEDS = {
    Output.FUSED: ("fused",),
    Output.MASK: ("mask",),
    Output.CONTRIBUTIONS: ("infrared_weight",),
    Output.ATTENTION: ("attention",),
    Output.LABELS: ("regions",),
}
#: The graph's own are one frame's: without those of classes that earlier frames had.
_CONTRIBUTIONS = ("contribution_infrared", "contribution_visible")
_IDS = ("mask", "regions")


class OnnxBackend:
    """An exported graph on TensorRT, CUDA or CPU.

    device: the provider and the runtime, for people. size: (height, width) of a graph that takes
    one size alone. notice: why the wanted provider does not run; empty when it does.

    Raises:
        CheckpointError: onnxruntime is missing or cannot prepare the graph.
        SettingsError: a device, provider or precision that this file cannot have.
    """

    misfit = ""

    def __init__(
        self,
        file: OnnxFile,
        device: str = "auto",
        precision: str = "float32",
        providers: ProviderSettings | None = None,
        *,
        threads: int = 0,
    ) -> None:
        runtime = import_onnxruntime()
        settings = providers or ProviderSettings()
        available = runtime.get_available_providers()
        choice = choose(settings, device, available)
        _check_precision(file, precision, choice.names[0], settings)
        half = precision == "float16" or file.export.half
        listed = with_options(choice, settings, device, sha256=file.sha256, half=half)
        try:
            self._session: Any = runtime.InferenceSession(
                file.content, _session_options(runtime, threads), providers=listed
            )
        except Exception as error:  # its exceptions have no common base but this
            raise CheckpointError(f"{file.path}: onnxruntime cannot run it: {error}") from error
        using = self._session.get_providers()
        self._path, self._size = file.path, file.export.size
        self._classes = len(file.info.config.classes)
        self.reads_colour = file.info.config.segmentation_colour
        self._using = AUTO, FastSettings()
        self._kept = KeptShares(self._classes, self._using[1])
        self.device = f"{shown(using[0])} (onnxruntime {runtime.__version__})"
        self.notice = lost(choice, using)

    @property
    def size(self) -> tuple[int, int] | None:
        """See the class."""
        return self._size

    def use(self, mode: str, fast: FastSettings) -> None:
        """See `Backend.use`."""
        self.resolve_mode(mode)
        if (mode, fast) != self._using:
            self._kept = KeptShares(self._classes, fast)
            self._using = mode, fast

    def resolve_mode(self, mode: str) -> str:
        """See `Backend.resolve_mode`."""
        if mode not in (AUTO, "realtime"):
            raise SettingsError(
                f"mode is {mode!r}, but {self._path} was exported and has realtime alone; set mode "
                "to realtime or auto, or take the .safetensors file it was exported from"
            )
        return "realtime"

    @property
    def remembers(self) -> bool:
        """See `Backend.remembers`."""
        return True

    def state(self) -> dict[str, Any]:
        """See `Backend.state`."""
        return self._kept.state()

    def restore(self, state: dict[str, Any]) -> None:
        """See `Backend.restore`."""
        self._kept.restore(state)

    def reset(self) -> None:
        """See `Backend.reset`."""
        self._kept.reset()

    def run(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        outputs: Output,
        chroma: np.ndarray | None = None,
    ) -> NetworkArrays:
        """See `Backend.run`."""
        if self._session is None:
            raise RuntimeError("this backend was closed")
        names = [name for flag, needed in _NEEDS.items() if flag in outputs for name in needed]
        feed = {
            name: np.ascontiguousarray(image, np.float32)[None, None]
            for name, image in (("infrared", infrared), ("visible", visible))
        }
        if self.reads_colour:
            grey = np.zeros((CHROMA_CHANNELS, *visible.shape), np.float32)
            feed[CHROMA] = (grey if chroma is None else signed_chroma(chroma))[None]
        feed[KEPT] = self._kept.for_frame(infrared, visible)
        # The whole graph is computed, whatever is fetched of it.
        *values, shares = self._session.run([*names, SHARES], feed)
        arrays = {name: _array(name, value) for name, value in zip(names, values, strict=True)}
        known = dict(zip(_CONTRIBUTIONS, self._kept.take(shares), strict=False))
        return NetworkArrays(**arrays, **(known if Output.CONTRIBUTIONS in outputs else {}))

    def free(self) -> None:
        """See `Backend.free`; onnxruntime has no way to give back what it keeps for later."""

    def close(self) -> None:
        """Release the graph and its memory."""
        self._session = None


def _array(name: str, value: np.ndarray) -> np.ndarray:
    first = value[0].squeeze()
    return first.astype(np.uint8) if name in _IDS else first


def _session_options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take the cores from decoding, rendering and DDS.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _check_precision(
    file: OnnxFile, precision: str, provider: str, settings: ProviderSettings
) -> None:
    if precision not in PRECISIONS:
        raise SettingsError(f"precision is {precision!r}, expected one of {list(PRECISIONS)}")
    if precision == "float32" or (precision == "float16" and file.export.half):
        return
    # Whoever asks for TensorRT in half precision may be given another provider, with a warning.
    if precision == "float16" and "tensorrt" in (provider, settings.name):
        return
    computes = "float16" if file.export.half else "float32"
    raise SettingsError(
        f"precision is {precision!r}, but {file.path} computes in {computes}; leave precision at "
        "float32 (which takes a file as it is), export with --half, or use providers tensorrt"
    )
