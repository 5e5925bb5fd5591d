"""Runs a model on a device: numpy luminance in, numpy maps out."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from uaafusion_ros.inference.compiled import CompiledRealtime
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.render import signed_chroma
from uaafusion_ros.network.exact import Mode
from uaafusion_ros.network.fast import Fast
from uaafusion_ros.network.modes import AUTO, FastSettings, ModeError, resolve_mode
from uaafusion_ros.network.student import Realtime
from uaafusion_ros.network.unfolding import FusionOutput, Output, UAAFusion

#: Modes whose answer for a frame depends on the frames before it.
_REMEMBERING = (Fast, Realtime)

PRECISIONS = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class NetworkArrays:
    """What the network computed for one frame; what was not asked for is None.

    fused, infrared_weight, attention: float32 [H,W] in 0..1. mask, regions: class ids uint8 [H,W].
    contribution_infrared, contribution_visible: float32 [C].
    """

    fused: np.ndarray | None = None
    mask: np.ndarray | None = None
    infrared_weight: np.ndarray | None = None
    attention: np.ndarray | None = None
    regions: np.ndarray | None = None
    contribution_infrared: np.ndarray | None = None
    contribution_visible: np.ndarray | None = None


class Backend(Protocol):
    """One model, ready to run.

    device: where it runs. notice: why not where it was wanted; empty if it does.
    reads_colour: whether its masks are read with the visible image's colours.
    """

    device: str
    notice: str
    reads_colour: bool
    misfit: str
    """Why the last frame did not run as it was compiled for; empty where it did."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the images it takes; None takes any from 32x32 up."""

    def run(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        outputs: Output,
        chroma: np.ndarray | None = None,
    ) -> NetworkArrays:
        """Fuse two luminance images float32 [H,W] in 0..1 of equal size.

        Args:
            chroma: Cr and Cb of the visible image, uint8 [H,W,2]; None is grey.
        """

    def resolve_mode(self, mode: str) -> str:
        """Return the mode that `mode` means for this model: itself, or what `auto` stands for.

        Raises:
            SettingsError: a mode that this model does not have.
        """

    def use(self, mode: str, fast: FastSettings) -> None:
        """Attribute in `mode` from the next frame on.

        Raises:
            SettingsError: a mode that this model does not have.
        """

    @property
    def remembers(self) -> bool:
        """Whether a result depends on earlier frames."""

    def reset(self) -> None:
        """Forget earlier frames: the sequence has ended or jumped."""

    def state(self) -> dict[str, Any]:
        """What is remembered of earlier frames, of plain values and tensors alone."""

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` told."""

    def free(self) -> None:
        """Give memory that is kept for later back to the device."""

    def close(self) -> None:
        """Release the model and its memory."""


def resolve_device(device: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device.

    Raises:
        SettingsError: an unknown name, or CUDA where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingsError(f"device is {device!r}, expected auto, cpu, cuda or cuda:N") from error
    if chosen.type not in ("cpu", "cuda"):
        raise SettingsError(f"device is {device!r}, expected auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            raise SettingsError(
                f"device is {device!r}, but torch sees {count} CUDA devices; use cpu or auto, or "
                "install a torch build that fits this machine's driver"
            )
    return chosen


class TorchBackend:
    """PyTorch on CPU or CUDA, in float32 or mixed precision.

    Args:
        compile_size: (height, width) for which realtime mode is compiled, as far as the model has
            it; frames of other sizes, and other modes, run as they do without.

    Raises:
        SettingsError: a device or precision that this machine does not have.
    """

    size = None

    def __init__(
        self,
        model: UAAFusion,
        device: str = "auto",
        precision: str = "float32",
        compile_size: tuple[int, int] | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise SettingsError(f"precision is {precision!r}, expected one of {list(PRECISIONS)}")
        self._device = resolve_device(device)
        if self._device.type == "cpu" and precision == "float16":
            raise SettingsError("precision float16 needs CUDA; on the CPU use float32 or bfloat16")
        self._type = PRECISIONS[precision]
        self._config = model.config
        self.reads_colour = model.config.segmentation_colour
        # On a CPU channels last is 1.3 times as fast for the segmentation, 1.2 for the stages.
        prepared = model.prepare_for_inference(channels_last=self._device.type == "cpu")
        self._model: UAAFusion | None = prepared.to(self._device)
        self.device = str(self._device)
        self._using = AUTO, FastSettings()
        self._mode: Mode | None = self._model.mode(*self._using)
        self._uploads = _Uploads(self._device)
        self.misfit = ""
        self._compiled, self.notice = self._compile(compile_size)

    def _compile(self, size: tuple[int, int] | None) -> tuple[CompiledRealtime | None, str]:
        if size is None:
            return None, ""
        assert self._model is not None
        if self._model.student is None:
            return None, "compile_size is set, but the model has no realtime mode to compile"
        try:
            return CompiledRealtime(self._model, size, self._type), ""
        except RuntimeError as error:
            return None, f"realtime mode runs without being compiled: {error}"

    def resolve_mode(self, mode: str) -> str:
        """See `Backend.resolve_mode`."""
        try:
            return resolve_mode(mode, self._config)
        except ModeError as error:
            raise SettingsError(str(error)) from error

    def use(self, mode: str, fast: FastSettings) -> None:
        """See `Backend.use`."""
        if self._model is None or (mode, fast) == self._using:
            return
        self._mode = self._model.mode(self.resolve_mode(mode), fast)
        self._using = mode, fast

    def reset(self) -> None:
        """See `Backend.reset`."""
        if self._mode is not None:
            self._mode.reset()

    @property
    def remembers(self) -> bool:
        """See `Backend.remembers`."""
        return isinstance(self._mode, _REMEMBERING)

    def state(self) -> dict[str, Any]:
        """See `Backend.state`."""
        return self._mode.state() if isinstance(self._mode, _REMEMBERING) else {}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Backend.restore`."""
        if isinstance(self._mode, _REMEMBERING):
            self._mode.restore(state)

    def run(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        outputs: Output,
        chroma: np.ndarray | None = None,
    ) -> NetworkArrays:
        """See `Backend.run`."""
        if self._model is None:
            raise RuntimeError("this backend was closed")
        mixed = self._type != torch.float32
        planes = () if chroma is None else signed_chroma(chroma)
        with torch.no_grad(), torch.autocast(self._device.type, self._type, enabled=mixed):
            thermal, luminance, *rest = self._uploads(infrared, visible, *planes)
            colours = torch.cat(rest, dim=1) if rest else None
            result = self._run_compiled(thermal, luminance, colours)
            if result is None:
                result = self._model(
                    thermal, luminance, outputs, mode=self._mode, chroma_B2HW=colours
                )
            return _to_arrays(result)

    def _run_compiled(
        self, infrared: Tensor, visible: Tensor, chroma: Tensor | None
    ) -> FusionOutput | None:
        self.misfit = ""
        if self._compiled is None or not isinstance(self._mode, Realtime):
            return None
        self.misfit = self._compiled.misfit(infrared)
        return None if self.misfit else self._compiled(self._mode, infrared, visible, chroma)

    def close(self) -> None:
        """Release the model; on CUDA give its memory back to the driver."""
        self._model, self._mode, self._compiled = None, None, None
        self.free()

    def free(self) -> None:
        """See `Backend.free`."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class _Uploads:
    """Two images onto the device; to CUDA through memory that stays pinned."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pinned: Tensor | None = None

    def __call__(self, *images: np.ndarray) -> list[Tensor]:
        if self._device.type != "cuda":
            return [torch.from_numpy(np.ascontiguousarray(image))[None, None] for image in images]
        # Reading a frame's results has waited for its upload, so the memory is free again.
        shape = (len(images), 1, 1, *images[0].shape)
        if self._pinned is None or self._pinned.shape != shape:
            self._pinned = torch.empty(shape, pin_memory=True)
        for pinned, image in zip(self._pinned, images, strict=True):
            pinned[0, 0].numpy()[...] = image
        return list(self._pinned.to(self._device, non_blocking=True))


def _to_arrays(result: FusionOutput) -> NetworkArrays:
    contributions = result.contributions
    return NetworkArrays(
        fused=_numpy(result.fused_B1HW),
        mask=None if result.mask_BHW is None else _ids(result.mask_BHW),
        infrared_weight=_numpy(contributions.infrared_weight_B1HW) if contributions else None,
        attention=_numpy(result.attention_B1HW),
        regions=None if result.labels_BHW is None else _ids(result.labels_BHW),
        contribution_infrared=_numpy(contributions.infrared_BC) if contributions else None,
        contribution_visible=_numpy(contributions.visible_BC) if contributions else None,
    )


def _numpy(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.float().cpu().numpy()[0].squeeze()


def _ids(labels_BHW: Tensor) -> np.ndarray:
    return labels_BHW[0].to(torch.uint8).cpu().numpy()
