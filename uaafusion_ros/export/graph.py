"""Realtime mode as two functions, and each as an ONNX graph; joining.py makes one file of them.

What only the export needs stands here; the network does not know of it.
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from uaafusion_ros.inference.onnx_file import CHROMA, INPUTS, KEPT, OUTPUTS, SHARES, UNKNOWN
from uaafusion_ros.network.attribution import RegionShares, paint_regions, region_areas
from uaafusion_ros.network.exact import Frame
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.student import Realtime, RealtimeWithShares
from uaafusion_ros.network.unfolding import Output, UAAFusion

#: The newest that TensorRT 8.6 takes whole, and that torch 2.1 writes.
OPSET = 17
#: What joining takes of the fusing graph beside its outputs: whether a class in the picture is yet
#: to be judged, bool, and the kept shares for the whole batch.
IS_UNKNOWN, KEPT_OF_BATCH = "is_unknown", "kept_of_batch"
#: Sides of which no power of two divides any scale of the network: a padding that a size needs only
#: sometimes is then part of a graph for all sizes.
_UNEVEN = (73, 105)
_IMAGES = (*INPUTS, CHROMA, "fused", "infrared_weight", "attention")
_LABELS = ("mask", "regions")


class FusingGraph(nn.Module):
    """Realtime mode but for judging the sources: S of f_0 and of f_K, head, all stages.

    Args:
        model: prepared for inference, with a student head.
    """

    outputs = (*OUTPUTS, IS_UNKNOWN, KEPT_OF_BATCH)

    def __init__(self, model: UAAFusion) -> None:
        super().__init__()
        self.model = model
        colours = (CHROMA,) if model.config.segmentation_colour else ()
        self.inputs = (*INPUTS, *colours, KEPT, SHARES)

    def example(self, images: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Return inputs to trace it with, for two images [1,1,H,W]."""
        shares = torch.rand(2, 1, 3, self.model.segmentation.classes)
        if CHROMA in self.inputs:
            return *images, torch.cat(images, dim=1) - 0.5, shares[0], shares[1]
        return *images, shares[0], shares[1]

    def forward(
        self, infrared_B1HW: Tensor, visible_B1HW: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        """Return `outputs`; class ids as int32, which TensorRT has.

        Args:
            others: of a model that reads colours `CHROMA`; `KEPT`; and, likewise but known for
                every class in the picture, `SHARES`.
        """
        *colours, kept_B3C, shares_B3C = others
        mode = RealtimeWithShares(self.model, RegionShares(*shares_B3C.unbind(dim=1)))
        found = self.model(
            infrared_B1HW,
            visible_B1HW,
            Output.ALL & ~Output.SCORES,
            mode=mode,
            chroma_B2HW=colours[0] if colours else None,
        )
        contributions, labels = found.contributions, found.labels_BHW
        kept = kept_B3C.expand(labels.shape[0], -1, -1)
        return (
            found.fused_B1HW,
            found.mask_BHW.to(torch.int32),
            contributions.infrared_weight_B1HW,
            found.attention_B1HW,
            labels.to(torch.int32),
            contributions.infrared_BC,
            contributions.visible_BC,
            paint_regions(kept[:, 2], labels).amin() < 0,
            kept,
        )


class JudgingGraph(nn.Module):
    """Which source helps which region: S of both sources, and their sums over the regions."""

    inputs = (*INPUTS, "regions")
    outputs = (SHARES,)

    def __init__(self, model: UAAFusion) -> None:
        super().__init__()
        self.model = model

    def example(self, images: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """See `FusingGraph.example`."""
        classes, size = self.model.segmentation.classes, (1, *images[0].shape[2:])
        return *images, torch.randint(classes, size, dtype=torch.int32)

    def forward(
        self, infrared_B1HW: Tensor, visible_B1HW: Tensor, regions_BHW: Tensor
    ) -> tuple[Tensor]:
        """Return shares [B,3,C] as `KEPT` has them, unknown where a class has no region."""
        regions = regions_BHW.long()
        frame = Frame(self.model.segmentation, infrared_B1HW, visible_B1HW, regions)
        found = Realtime(self.model, FastSettings())(frame).shares()
        present = region_areas(regions, self.model.segmentation.classes) > 0
        share = torch.where(present, found.share, torch.full_like(found.share, UNKNOWN))
        return (torch.stack((found.infrared, found.visible, share), dim=1),)


def trace(graph: FusingGraph | JudgingGraph, size: tuple[int, int] | None) -> bytes:
    """Return the graph as ONNX.

    Args:
        size: (height, width) that it will take; None is any size and any batch.
    """
    images = torch.rand(2, 1, 1, *(size or _UNEVEN))
    settings: dict[str, Any] = {
        "opset_version": OPSET,
        "input_names": list(graph.inputs),
        "output_names": list(graph.outputs),
        "dynamic_axes": _axes(graph) if size is None else None,
    }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        # The exporter that all of torch 2.1 and newer have; the newer one needs another package.
        settings["dynamo"] = False
    with (
        tempfile.TemporaryDirectory(prefix="uaafusion-") as folder,
        warnings.catch_warnings(),
        torch.no_grad(),
    ):
        # Sizes that become constants are what a graph for one size is made of; for all sizes the
        # check against PyTorch at several of them tells more than these warnings.
        warnings.simplefilter("ignore")
        file = Path(folder) / "graph.onnx"
        torch.onnx.export(graph.eval(), graph.example(tuple(images)), str(file), **settings)
        return file.read_bytes()


def _axes(graph: FusingGraph | JudgingGraph) -> dict[str, dict[int, str]]:
    return {name: _axes_of(name) for name in (*graph.inputs, *graph.outputs) if name != IS_UNKNOWN}


def _axes_of(name: str) -> dict[int, str]:
    if name == KEPT:
        return {0: "kept"}  # one for the whole batch, or each its own
    if name in _IMAGES:
        return {0: "batch", 2: "height", 3: "width"}
    return {0: "batch"} | ({1: "height", 2: "width"} if name in _LABELS else {})
