"""One infrared and one visible frame to one fusion result; the only path a frame takes."""

from __future__ import annotations

import enum
import os
import time
from dataclasses import dataclass, field

import numpy as np

from uaafusion_ros.inference.backends import Backend, NetworkArrays, TorchBackend
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.models import ModelFile, read_model
from uaafusion_ros.inference.registration import register, resize, resize_labels, working_size
from uaafusion_ros.inference.render import Stretch, join_colour, split_colour
from uaafusion_ros.inference.settings import MINIMUM_SIDE, PipelineSettings
from uaafusion_ros.inference.thermal import GainControl, check_finite
from uaafusion_ros.network.checkpoint import CheckpointInfo
from uaafusion_ros.network.unfolding import Output

__all__ = [
    "FrameError",
    "FusionPipeline",
    "FusionResult",
    "PipelineSettings",
    "Product",
    "SettingsError",
]


class Product(enum.Flag):
    """What somebody asks for; nothing else is computed. ARRAYS are the network's raw arrays."""

    FUSED = enum.auto()
    MASK = enum.auto()
    WEIGHT = enum.auto()
    ATTENTION = enum.auto()
    ARRAYS = enum.auto()
    ALL = FUSED | MASK | WEIGHT | ATTENTION


_OUTPUTS = {
    Product.FUSED: Output.FUSED,
    Product.MASK: Output.SCORES,
    Product.WEIGHT: Output.CONTRIBUTIONS,
    Product.ATTENTION: Output.ATTENTION,
    Product.ARRAYS: Output.ALL,
}


@dataclass(frozen=True)
class FusionResult:
    """What was asked for, at the visible image's size; the rest is None.

    fused: BGR uint8 [H,W,3]. mask: class ids uint8 [H,W], the segmentation of the fused image.
    infrared_weight: float32 [H,W] in 0..1, 1 where a region comes from infrared alone.
    attention: float32 [H,W] in 0..1, one half where attribution says nothing.
    arrays: the network's arrays at its working size, before the stretch.
    timings: seconds of `prepare`, `network` and `finish`.
    """

    fused: np.ndarray | None = None
    mask: np.ndarray | None = None
    infrared_weight: np.ndarray | None = None
    attention: np.ndarray | None = None
    arrays: NetworkArrays | None = None
    timings: dict[str, float] = field(default_factory=dict)


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
        self.with_settings(settings or PipelineSettings())
        self._gain, self._stretch = GainControl(), Stretch()
        self._size: tuple[int, int] | None = None
        self.classes = info.config.classes
        self.palette = info.config.palette
        self.device = backend.device
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
    ) -> FusionPipeline:
        """Load a model by path or shipped name ("" is the default).

        Raises:
            CheckpointError: the file is missing, damaged or of another kind.
            SettingsError: a device or precision that this machine does not have, or a mode that
                the model does not have.
        """
        model, info, file = read_model(os.fspath(path))
        return cls(TorchBackend(model, device, precision), info, settings, file)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Rows and columns of the last visible image; None before the first."""
        return self._size

    def __call__(
        self, infrared: np.ndarray, visible: np.ndarray, products: Product = Product.ALL
    ) -> FusionResult:
        """Fuse one pair.

        Args:
            infrared: [H,W] uint8, uint16 counts, or float (luminance 0..1, or temperatures).
            visible: [H,W,3] BGR uint8, or [H,W] uint8 or float luminance; may differ in size.

        Raises:
            FrameError: an image that is empty, too small, of another type or shape, or not finite.
        """
        started = time.perf_counter()
        _check_frames(infrared, visible)
        self._forget_on_change(visible.shape[:2])
        luminance, chroma = split_colour(visible)
        thermal = register(
            self._gain(infrared, self._settings), luminance, self._settings.homography
        )
        height, width = luminance.shape
        size = working_size(width, height, self._settings.max_side)
        inputs = resize(thermal, *size), resize(luminance, *size)
        prepared = time.perf_counter()
        arrays = self._backend.run(*inputs, _needed(products))
        computed = time.perf_counter()
        result = self._finish(arrays, chroma, (width, height), products)
        result.timings.update(
            prepare=prepared - started,
            network=computed - prepared,
            finish=time.perf_counter() - computed,
        )
        return result

    def with_settings(self, settings: PipelineSettings) -> None:
        """Use other settings from the next frame on.

        Raises:
            SettingsError: a mode that the model does not have; the earlier settings stay.
        """
        self._backend.use(settings.mode, settings.fast)
        self._settings = settings

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

    def warm_up(self, height: int, width: int) -> None:
        """Run once on empty images of the expected size, so that the first frame is not slow."""
        blank = np.zeros((height, width), np.uint8)
        self(blank, blank)
        self.reset()

    def close(self) -> None:
        """Release the model and its memory."""
        self._backend.close()

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


def _check_frames(infrared: np.ndarray, visible: np.ndarray) -> None:
    for name, image in (("infrared", infrared), ("visible", visible)):
        colour = name == "visible" and image.ndim == 3 and image.shape[2] == 3
        if image.ndim != 2 and not colour:
            expected = "[H,W]" if name == "infrared" else "[H,W] or [H,W,3]"
            raise FrameError(f"{name} image is {list(image.shape)}, expected {expected}")
        if min(image.shape[:2]) < MINIMUM_SIDE:
            raise FrameError(
                f"{name} image is {image.shape[1]}x{image.shape[0]}, expected sides of at least "
                f"{MINIMUM_SIDE} pixels"
            )
    if visible.dtype == np.uint8:
        return
    if visible.ndim == 2 and visible.dtype in (np.float32, np.float64):
        check_finite("visible", visible)
        if visible.min() >= 0 and visible.max() <= 1:
            return
        raise FrameError(
            f"visible float image spans {visible.min():.3g}..{visible.max():.3g}, expected 0..1"
        )
    raise FrameError(f"visible image is {visible.dtype}, expected uint8, or float grey in 0..1")
