"""Realtime mode for frames of one size, compiled once and then run without Python in between.

Most frames of a stream need no judgement of the sources; those that do take the way of all others.
On CPUs torch.compile makes one function of the network (a C++ compiler is needed when it starts);
on CUDA its kernels are captured as a graph, which is launched as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from uaafusion_ros.network.attribution import Contributions, RegionShares
from uaafusion_ros.network.encoder import CHROMA_CHANNELS
from uaafusion_ros.network.student import Realtime, RealtimeWithShares
from uaafusion_ros.network.unfolding import FusionOutput, Output, UAAFusion

#: What the function computes, whatever is wanted of a frame.
OUTPUTS = Output.ALL & ~Output.SCORES
#: Of torch.compile: what makes code of the traced function.
_COMPILER = "inductor"
#: Runs before a capture, in which libraries choose their algorithms.
_REHEARSALS = 3

_Function = Callable[..., tuple[Tensor, ...]]


class CompiledRealtime:
    """Fuses a frame by what earlier frames told of the sources, where they told enough.

    size: (height, width) of the frames that it can take.

    Args:
        model: prepared for inference, with a student head, on its device.
        type_: of the arithmetic; other than float32 is mixed.

    Raises:
        RuntimeError: it cannot be compiled here, for whatever reason.
    """

    def __init__(self, model: UAAFusion, size: tuple[int, int], type_: torch.dtype) -> None:
        self.size = size
        parameter = next(model.parameters())
        images = torch.zeros(2, 1, 1, *size, device=parameter.device)
        shares = torch.full((3, 1, model.segmentation.classes), 0.5, device=parameter.device)
        #: What a model that reads colours is given of grey images.
        self._grey: Tensor | None = None
        if model.config.segmentation_colour:
            self._grey = torch.zeros(1, CHROMA_CHANNELS, *size, device=parameter.device)
        example = (*images.unbind(), *self._colours(None), *shares.unbind())
        try:
            with torch.no_grad():
                self._function = _prepared(_realtime(model, type_), example)
        except Exception as error:  # compilers and drivers have no common base but this
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise RuntimeError(reason[0]) from error

    def misfit(self, image: Tensor) -> str:
        """Why an image [1,1,H,W] cannot be taken; empty if it can."""
        height, width = image.shape[-2:]
        if (height, width) == self.size:
            return ""
        return (
            f"realtime mode is compiled for {self.size[0]}x{self.size[1]} (height x width), but "
            f"frames are {height}x{width} and run without; set compile_size to their size"
        )

    def _colours(self, chroma: Tensor | None) -> tuple[Tensor, ...]:
        if self._grey is None:
            return ()
        return (self._grey if chroma is None else chroma,)

    def __call__(
        self, mode: Realtime, infrared: Tensor, visible: Tensor, chroma: Tensor | None = None
    ) -> FusionOutput | None:
        """Return `OUTPUTS` for the next frame [1,1,H,W], which is no `misfit`.

        Args:
            chroma: of the visible image, [1,2,H,W]; None is grey.

        Returns:
            None where the sources must be judged.
        """
        kept = mode.kept(infrared, visible)
        if kept is None:
            return None
        fused, weight, attention, labels, mask = self._function(
            infrared, visible, *self._colours(chroma), kept.infrared, kept.visible, kept.share
        )
        if not mode.knows(labels):
            return None
        mode.skip()
        return FusionOutput(
            fused_B1HW=fused,
            contributions=Contributions(kept.infrared, kept.visible, weight),
            attention_B1HW=attention,
            labels_BHW=labels,
            mask_BHW=mask,
        )


def _realtime(model: UAAFusion, type_: torch.dtype) -> _Function:
    """Realtime mode as a function of tensors alone.

    They are two images, of a model that reads colours the chroma, and three numbers a class.
    """
    colours = int(model.config.segmentation_colour)

    def fuse(infrared: Tensor, visible: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        mode = RealtimeWithShares(model, RegionShares(*others[colours:]))
        chroma = others[0] if colours else None
        found = model(infrared, visible, OUTPUTS, mode=mode, chroma_B2HW=chroma)
        weight = found.contributions.infrared_weight_B1HW
        return found.fused_B1HW, weight, found.attention_B1HW, found.labels_BHW, found.mask_BHW

    def fuse_mixed(*tensors: Tensor) -> tuple[Tensor, ...]:
        # Weights that autocast keeps would be those of the capture.
        with torch.autocast(tensors[0].device.type, type_, cache_enabled=False):
            return fuse(*tensors)

    return fuse if type_ == torch.float32 else fuse_mixed


def _prepared(function: _Function, example: tuple[Tensor, ...]) -> _Function:
    if example[0].device.type == "cuda":
        return _CapturedGraph(function, example)
    # Its compilers would otherwise be processes of their own, which outlive a node that is killed.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    compiled: Any = torch.compile(
        _of_its_own(function), backend=_COMPILER, fullgraph=True, dynamic=False
    )
    compiled(*example)
    return compiled


def _of_its_own(function: Any) -> Any:
    """The same function with code of its own.

    What is compiled is kept with the code, for some models at most; a node that is given better
    ones for months would come to the end of that.
    """
    code = function.__code__.replace()
    name, defaults = function.__name__, function.__defaults__
    return FunctionType(code, function.__globals__, name, defaults, function.__closure__)


class _CapturedGraph:
    """A function's kernels on CUDA, launched as one; of inputs and outputs that stay in place."""

    def __init__(self, function: _Function, example: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(tensor.clone() for tensor in example)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_REHEARSALS):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = function(*self._inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._outputs
