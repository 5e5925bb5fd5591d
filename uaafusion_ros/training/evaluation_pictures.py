"""Plots and contact sheets of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.render import attribution_overlay, mask_overlay
from uaafusion_ros.training.evaluated_model import EvaluatedModel
from uaafusion_ros.training.evaluation_data import EvaluationFolder
from uaafusion_ros.training.fusion_metrics import RANKED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"model": "#1f6f8b", "comparison": "#9a9a9a", "baseline": "#d8d3c4"}
MAP_COLOURS = {"attention": "#1f6f8b", "gradient": "#d1793a", "random": "#8a8a8a"}
_DOTS = 110
_TILE_WIDTH = 320
_TITLE_HEIGHT = 22
_GAP = 4
_PAPER = 255


def plot_fusion(path: Path, columns: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw one small bar chart for each ranked figure, one bar a method."""
    figure = _figure(11, 2.6 + 0.9 * len(columns))
    names = list(columns)
    colours = [COLOURS[column["kind"]] for column in columns.values()]
    for axes, metric in zip(figure.subplots(3, 3).flat, RANKED, strict=True):
        values = [column["metrics"][metric] for column in columns.values()]
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
        axes.set_title(metric, fontsize=10)
        axes.invert_yaxis()
        axes.margins(x=0.18)
        axes.set_xticks([])
        axes.tick_params(labelsize=8, length=0)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.savefig(path)


def plot_segmentation(path: Path, segmentation: Mapping[str, Any]) -> None:
    """Draw the IoU of every class, one bar an input."""
    inputs = [key for key in segmentation if key != "images"]
    classes = list(segmentation["fused"]["classes"])
    figure = _figure(max(6.0, 1.0 + 0.9 * (len(classes) + 1)), 3.6)
    axes = figure.subplots()
    width = 0.8 / len(inputs)
    places = np.arange(len(classes) + 1)
    for index, name in enumerate(inputs):
        values = [segmentation[name]["classes"][label] for label in classes]
        values.append(segmentation[name]["mIoU"] or 0.0)
        axes.bar(places + (index - (len(inputs) - 1) / 2) * width, values, width, label=name)
    axes.set_xticks(places, [*classes, "mean"], rotation=30, ha="right", fontsize=8)
    axes.set_ylabel("IoU")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=8, ncols=len(inputs), loc="upper center", bbox_to_anchor=(0.5, 1.15))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def plot_curves(path: Path, references: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw deletion and insertion, a row for each reference, a curve for each map."""
    figure = _figure(9, 3.2 * len(references))
    grid = figure.subplots(len(references), 2, squeeze=False)
    for row, (reference, by_map) in zip(grid, references.items(), strict=True):
        for axes, kind in zip(row, ("deletion", "insertion"), strict=True):
            for name, curves in by_map.items():
                values = curves[kind]
                label = f"{name} ({curves[f'{kind}_auc']:.3f})"
                shares = np.linspace(0, 1, len(values))
                axes.plot(shares, values, "o-", ms=3, color=MAP_COLOURS[name], label=label)
            better = "lower is better" if kind == "deletion" else "higher is better"
            axes.set_title(f"{kind}, {reference} ({better})", fontsize=10)
            axes.set_xlabel("share of the image replaced" if kind == "deletion" else "put back")
            axes.set_ylabel("score of the predicted classes")
            axes.legend(fontsize=8)
            axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def contact_sheet(
    model: EvaluatedModel, folder: EvaluationFolder, ranks: Mapping[str, float]
) -> np.ndarray:
    """Return BGR uint8: a row for each pair, with sources, fused image, mask and attribution.

    Args:
        ranks: mean rank by stem, for the titles.
    """
    return np.vstack([_contact_row(model, folder, stem, rank) for stem, rank in ranks.items()])


def _contact_row(
    model: EvaluatedModel, folder: EvaluationFolder, stem: str, rank: float
) -> np.ndarray:
    pair = folder.read(stem, with_labels=False)
    result = model.fuse(pair.infrared, pair.visible, Product.ALL, colour=True)
    assert result.fused is not None and result.mask is not None
    assert result.infrared_weight is not None and result.attention is not None
    tiles = {
        f"{stem}: infrared": cv2.cvtColor(pair.infrared_luminance, cv2.COLOR_GRAY2BGR),
        "visible": pair.visible,
        f"fused (mean rank {rank:.2f})": result.fused,
        "mask": mask_overlay(result.fused, result.mask, model.palette),
        "attribution": attribution_overlay(result.fused, result.infrared_weight, result.attention),
    }
    return np.hstack([_tile(title, picture) for title, picture in tiles.items()])


def _tile(title: str, picture: np.ndarray) -> np.ndarray:
    height = max(1, round(picture.shape[0] * _TILE_WIDTH / picture.shape[1]))
    small = cv2.resize(picture, (_TILE_WIDTH, height), interpolation=cv2.INTER_AREA)
    page = np.full((height + _TITLE_HEIGHT + _GAP, _TILE_WIDTH + _GAP, 3), _PAPER, np.uint8)
    page[_TITLE_HEIGHT : _TITLE_HEIGHT + height, :_TILE_WIDTH] = small
    cv2.putText(page, title, (2, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return page


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
