"""One infrared and one visible frame to one fusion result; the only path a frame takes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np

from uaafusion_ros.inference.backends import Backend, NetworkArrays
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.frames import FusionResult, PreparedFrame, check_pair
from uaafusion_ros.inference.memory import MemoryGuard, Shrinkage, no_memory, out_of_memory
from uaafusion_ros.inference.models import ModelFile
from uaafusion_ros.inference.opening import open_model
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.providers import ProviderSettings
from uaafusion_ros.inference.registration import (
    Cameras,
    Registration,
    graph_size,
    resize,
    resize_labels,
    working_size,
)
from uaafusion_ros.inference.render import Stretch, join_colour, split_colour
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import GainControl
from uaafusion_ros.network.checkpoint import CheckpointInfo
from uaafusion_ros.network.unfolding import Output

__all__ = [
    "FrameError",
    "FusionPipeline",
    "PipelineSettings",
    "SettingsError",
]


_OUTPUTS = {
    Product.FUSED: Output.FUSED,
    Product.MASK: Output.MASK,
    Product.WEIGHT: Output.CONTRIBUTIONS,
    Product.ATTENTION: Output.ATTENTION,
    Product.ARRAYS: Output.ALL,
}


class FusionPipeline:
    """Fuses frames with one model. Holds what is smoothed over time; not for use by two threads."""

    def __init__(
        self,
        backend: Backend,
        info: CheckpointInfo,
        settings: PipelineSettings | None = None,
        file: ModelFile | None = None,
    ) -> None:
        self._backend = backend
        self._memory = MemoryGuard()
        self.with_settings(settings or PipelineSettings())
        self._gain, self._stretch = GainControl(), Stretch()
        self._registration = Registration()
        self._cameras: Cameras | None = None
        self._size: tuple[int, int] | None = None
        self.classes = info.config.classes
        self.palette = info.config.palette
        self.device = backend.device
        #: Why the model does not run where it was wanted; empty when it does.
        self.notice = backend.notice
        self.model_name = info.name
        self.model_version = info.version
        self.model_file = file

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str] = "",
        *,
        device: str = "auto",
        precision: str = "float32",
        settings: PipelineSettings | None = None,
        providers: ProviderSettings | None = None,
        compile_size: tuple[int, int] | None = None,
    ) -> FusionPipeline:
        """Load a model by path or shipped name ("" is the default).

        Args:
            providers: where onnxruntime runs an exported .onnx file.
            compile_size: (height, width) at work for which PyTorch compiles realtime mode.

        Raises:
            CheckpointError: the file is missing, damaged or of another kind.
            SettingsError: a device or precision that this machine does not have, or a mode that
                the model does not have.
            DeviceMemoryError: the device has no memory for the model.
        """
        try:
            backend, info, file = open_model(
                os.fspath(path),
                device=device,
                precision=precision,
                providers=providers,
                compile_size=compile_size,
                mask_sizes=settings.mask_sizes if settings else (),
            )
        except Exception as error:
            if not (reason := out_of_memory(error)):
                raise
            raise no_memory(device, f"the model {os.fspath(path)}".rstrip(), reason) from None
        return cls(backend, info, settings, file)

    @property
    def mode(self) -> str:
        """The mode of attribution; of `auto`, what it means for this model."""
        return self._backend.resolve_mode(self._settings.mode)

    def resolve_mode(self, mode: str) -> str:
        """Return the mode that `mode` means for this model.

        Raises:
            SettingsError: a mode that the model does not have, with what to do.
        """
        return self._backend.resolve_mode(mode)

    @property
    def misfit(self) -> str:
        """Why the last frame did not run as it was compiled for; empty where it did."""
        return self._backend.misfit

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Rows and columns of the last visible image; None before the first."""
        return self._size

    @property
    def shrinkage(self) -> Shrinkage | None:
        """The smaller size that frames are fused at because the device ran out of memory."""
        return self._memory.shrinkage

    def __call__(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        products: Product = Product.ALL,
        *,
        colour: bool = True,
    ) -> FusionResult:
        """Fuse one pair.

        Args:
            infrared: [H,W] uint8, uint16 counts, or float (luminance 0..1, or temperatures).
            visible: [H,W,3] BGR uint8, or [H,W] uint8 or float luminance; may differ in size.
            colour: whether the fused image takes the visible one's colours. Masks are read with
                them either way, by a model that reads colours.

        Raises:
            FrameError: an image that is empty, too small, of another type or shape, or not finite.
            DeviceMemoryError: the device has no memory for the frame, nor for a smaller one.
        """
        started = time.perf_counter()
        frame = self.prepare(infrared, visible)
        prepared = time.perf_counter()
        arrays = self.compute(frame, products)
        computed = time.perf_counter()
        shown = frame if colour else replace(frame, chroma=None)
        result = self.finish(shown, arrays, products)
        result.timings.update(
            prepare=prepared - started,
            network=computed - prepared,
            finish=time.perf_counter() - computed,
        )
        return result

    def prepare(self, infrared: np.ndarray, visible: np.ndarray) -> PreparedFrame:
        """Take the first of three steps: gain control and registration.

        In a recording, `compute` of several frames may run at a time where `remembers` is false,
        each with a pipeline of its own; `prepare` and `finish` follow the order of the frames.

        Raises:
            FrameError: see `__call__`.
        """
        check_pair(infrared, visible)
        self._forget_on_change(visible.shape[:2])
        luminance, chroma = split_colour(visible)
        thermal = self._registration(
            self._gain(infrared, self._settings), luminance, self._settings, self._cameras
        )
        return PreparedFrame(thermal, luminance, chroma)

    def compute(self, frame: PreparedFrame, products: Product = Product.ALL) -> NetworkArrays:
        """Take the second step: the network; where memory runs out, once more at half the size.

        Raises:
            DeviceMemoryError: see `__call__`.
        """
        height, width = frame.luminance.shape
        wanted, reason = _needed(products), ""
        for _ in range(2):
            size = self._working_size(width, height)
            inputs = resize(frame.thermal, *size), resize(frame.luminance, *size)
            reads_colour = self._backend.reads_colour and Output.MASK in wanted
            chroma = frame.chroma if reads_colour else None
            colours = None if chroma is None else resize(chroma, *size)
            try:
                return self._backend.run(*inputs, wanted, colours)
            except Exception as error:
                if not (reason := out_of_memory(error)):
                    raise
            # Only here, where the error and with it the tensors of the failed run are gone.
            self._backend.reset()
            self._backend.free()
            if self._backend.size is None:  # a graph of one size has no smaller one
                self._memory.shrink(max(size), reason)
        raise no_memory(self.device, f"a frame of {size[0]}x{size[1]} pixels", reason)

    def finish(
        self, frame: PreparedFrame, arrays: NetworkArrays, products: Product = Product.ALL
    ) -> FusionResult:
        """Take the last step: stretch, colour, and the visible image's size."""
        height, width = frame.luminance.shape
        return self._finish(arrays, frame.chroma, (width, height), products)

    @property
    def remembers(self) -> bool:
        """Whether the network remembers frames, so that they must come in order."""
        return self._backend.remembers

    def state(self) -> dict[str, Any]:
        """What is kept of the frames so far, of plain values and tensors alone."""
        return {
            "size": self._size,
            "gain": self._gain.state(),
            "stretch": self._stretch.range,
            "network": self._backend.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a pipeline of the same model and settings was when it told its `state`."""
        self._size = state["size"]
        self._gain.restore(state["gain"])
        self._stretch.range = state["stretch"]
        self._backend.restore(state["network"])

    def with_settings(self, settings: PipelineSettings) -> None:
        """Use other settings from the next frame on.

        Raises:
            SettingsError: a mode that the model does not have; the earlier settings stay.
        """
        self._backend.use(settings.mode, settings.fast)
        self._settings = settings
        self._memory.forget()

    def look_through(self, cameras: Cameras | None) -> None:
        """Take the cameras of the next frames, for `registration` by camera_info."""
        self._cameras = cameras

    def reset(self) -> None:
        """Forget what is smoothed over time: the sequence has ended or jumped."""
        self._backend.reset()
        self._gain.reset()
        self._stretch.reset()

    def continue_from(self, other: FusionPipeline) -> None:
        """Go on where `other` stopped, which is not to be used any more.

        Takes over what it smoothed over time, so that the picture does not jump where one model
        replaces another; not its settings.
        """
        self._size = other._size
        self._gain, self._stretch = other._gain, other._stretch
        self._registration, self._cameras = other._registration, other._cameras

    def warm_up(self, height: int, width: int) -> None:
        """Run on empty images of the expected size, so that the first frames are not slow.

        Twice, because the second frame takes another way where a mode keeps what the first said.
        """
        blank = np.zeros(self._backend.size or (height, width), np.uint8)
        settings, self._settings = self._settings, replace(self._settings, registration="none")
        try:
            for _ in range(2 if self._backend.remembers else 1):
                self(blank, blank)
        finally:
            self._settings = settings
        self.reset()

    def close(self) -> None:
        """Release the model and its memory."""
        self._backend.close()

    def _working_size(self, width: int, height: int) -> tuple[int, int]:
        if self._backend.size is None:
            return working_size(width, height, self._memory.max_side(self._settings.max_side))
        return graph_size(self._backend.size, width, height)

    def _forget_on_change(self, size: tuple[int, int]) -> None:
        if self._size not in (None, size):
            self.reset()
        self._size = size

    def _finish(
        self,
        arrays: NetworkArrays,
        chroma: np.ndarray | None,
        size: tuple[int, int],
        products: Product,
    ) -> FusionResult:
        def scaled(image: np.ndarray | None, product: Product) -> np.ndarray | None:
            return None if image is None or product not in products else resize(image, *size)

        fused = scaled(arrays.fused, Product.FUSED)
        if fused is not None:
            if self._settings.stretch == "minmax":
                fused = self._stretch(fused, self._settings.stretch_smoothing)
            fused = join_colour(fused, chroma)
        mask = None
        if arrays.mask is not None and Product.MASK in products:
            mask = resize_labels(arrays.mask, *size)
        return FusionResult(
            fused=fused,
            mask=mask,
            infrared_weight=scaled(arrays.infrared_weight, Product.WEIGHT),
            attention=scaled(arrays.attention, Product.ATTENTION),
            arrays=arrays if Product.ARRAYS in products else None,
        )


def _needed(products: Product) -> Output:
    needed = Output(0)
    for product, output in _OUTPUTS.items():
        if product in products:
            needed |= output
    return needed
