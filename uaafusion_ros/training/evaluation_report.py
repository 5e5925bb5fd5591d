"""Writes what an evaluation found: metrics.json, per_image.csv, report.md and its pictures."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.output_files import write_image, write_json
from uaafusion_ros.markdown import markdown_table
from uaafusion_ros.training.evaluated_model import (
    FAITHFULNESS_SIDE,
    MAPS,
    REFERENCES,
    EvaluatedModel,
)
from uaafusion_ros.training.evaluation_data import EvaluationFolder
from uaafusion_ros.training.evaluation_pictures import (
    contact_sheet,
    plot_curves,
    plot_fusion,
    plot_segmentation,
)
from uaafusion_ros.training.evaluation_result import TABLE_COLUMNS, EvaluationResult
from uaafusion_ros.training.faithfulness import CELL_SIDE, STEPS
from uaafusion_ros.training.fusion_metrics import NAMES

#: Rows of the sheets of the best and of the worst pairs.
SHOWN = 3


def require_plots() -> None:
    """Check, before hours of measuring, that the report can be drawn.

    Raises:
        SettingsError: matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError("the report's plots need matplotlib; install it with pip")


def write_report(
    out: Path,
    result: EvaluationResult,
    folder: EvaluationFolder,
    models: Mapping[str, EvaluatedModel],
) -> None:
    """Write everything to `out`; `models` fuse the pairs that are shown once more.

    Raises:
        OSError: a file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures = result.as_dict()
    write_json(out / "metrics.json", figures)
    with (out / "per_image.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TABLE_COLUMNS)
        writer.writerows(result.table())
    lines = [
        *_head(figures),
        *_fusion(out, figures),
        *_modes(figures),
        *_segmentation(out, figures),
        *_faithfulness(out, figures),
        *_pictures(out, result, folder, models),
        *_problems(figures),
    ]
    (out / "report.md").write_text("\n".join(lines) + "\n")


def _head(figures: dict[str, Any]) -> Iterator[str]:
    pairs = figures["pairs"]
    side = f"at most {figures['max_side']} pixels" if figures["max_side"] else "full size"
    yield from ("# Evaluation", "")
    yield (
        f"{pairs['evaluated']} of the {pairs['found']} pairs in `{figures['data']}`; the networks "
        f"worked at {side}. {len(figures['problems'])} files or labels were left out."
    )
    if pairs["common"] < pairs["evaluated"]:
        yield f"The figures below are of the {pairs['common']} pairs that every column has."
    for note in figures["notes"]:
        yield f"\n{note}."
    yield ""


def _fusion(out: Path, figures: dict[str, Any]) -> Iterator[str]:
    columns = figures["columns"]
    plot_fusion(out / "fusion.png", columns)
    yield from ("## Fusion", "")
    yield (
        "Means over the pairs, on luminance at native size, every fused image of a model min-max "
        "stretched as `fuse` does; more is better, the best is bold. MI, SCD, VIF and SSIM are "
        "sums over both sources; SSIM has the dynamic range 2 of published tables, SSIM255 is not "
        "ranked. Mean rank is over the other nine figures, 1 is best."
    )
    yield ""
    best = {name: max(each["metrics"][name] for each in columns.values()) for name in NAMES}
    lowest = min(each["mean_rank"] for each in columns.values())
    rows = []
    for name, column in columns.items():
        cells = [_bold(value, best[figure]) for figure, value in column["metrics"].items()]
        seconds = figures["models"][name]["seconds"] if name in figures["models"] else None
        time = f"{seconds['median']:.3f} / {seconds['p95']:.3f}" if seconds else ""
        rows.append([name, column["kind"], *cells, _bold(column["mean_rank"], lowest), time])
    yield from markdown_table(
        ("method", "kind", *NAMES, "mean rank", "s a frame, median / p95"), rows
    )
    devices = {model["device"] for model in figures["models"].values()}
    yield (
        f"\nSeconds a frame ({', '.join(sorted(devices))}) are for all products: fused image, "
        "mask, weight and attention.\n\n![Fusion figures of every method](fusion.png)\n"
    )


def _modes(figures: dict[str, Any]) -> Iterator[str]:
    models = figures["models"]
    if not any(model["fidelity"] for model in models.values()):
        return
    yield from ("## Modes", "")
    yield (
        "Every mode against `exact` of the same model, in the network's own arrays: PSNR of the "
        "fused luminance before the stretch, share of pixels with the same class in the mask, "
        "Pearson's correlation of the infrared weight and of the attention over all pixels. mIoU "
        "is of the mask on the fused image. `fast` is timed over one round of a still scene."
    )
    yield ""
    rows = []
    for name, model in models.items():
        fidelity, mean = model["fidelity"], model["segmentation"].get("fused", {}).get("mIoU")
        cells = [""] * 4
        if fidelity:
            cells = [
                f"{fidelity['psnr']['mean']:.1f} / {fidelity['psnr']['lowest']:.1f}",
                f"{fidelity['mask_agreement']:.2%}",
                *(
                    "" if fidelity[key] is None else f"{fidelity[key]:.3f}"
                    for key in ("weight_correlation", "attention_correlation")
                ),
            ]
        seconds = model["seconds"]
        rows.append(
            [
                name,
                *cells,
                "" if mean is None else f"{mean:.3f}",
                f"{seconds['median']:.3f} / {seconds['p95']:.3f}",
            ]
        )
    yield from markdown_table(
        (
            "model and mode",
            "PSNR, mean / lowest (dB)",
            "same mask",
            "r of weight",
            "r of attention",
            "mIoU",
            "s a frame, median / p95",
        ),
        rows,
    )
    yield ""


def _segmentation(out: Path, figures: dict[str, Any]) -> Iterator[str]:
    labelled = {
        name: model["segmentation"]
        for name, model in figures["models"].items()
        if model["segmentation"]["images"]
    }
    if not labelled:
        return
    yield from ("## Segmentation", "")
    yield (
        "Intersection over union of each model's segmentation, run on either source, on the fused "
        "image, on what the same weights fuse with the attention switched off, and on the "
        "baselines; unlabelled pixels do not count. The mean is over the classes that the labels "
        "hold. Right is the share of all labelled pixels, or of marked ones, whose class was found."
    )
    for name, segmentation in labelled.items():
        inputs = [key for key in segmentation if key != "images"]
        classes = list(segmentation["fused"]["classes"])
        rows = [
            [label, *(f"{segmentation[each]['classes'][label]:.3f}" for each in inputs)]
            for label in classes
        ]
        means = [segmentation[each]["mIoU"] for each in inputs]
        rows.append(["**mean**", *("" if mean is None else f"**{mean:.3f}**" for mean in means)])
        right = [segmentation[each]["right"] for each in inputs]
        rows.append(["**right**", *("" if one is None else f"**{one:.3f}**" for one in right)])
        yield f"\n### {name}, {segmentation['images']} labelled pairs\n"
        yield from markdown_table(("class", *inputs), rows)
        picture = f"segmentation_{_file_name(name)}.png"
        plot_segmentation(out / picture, segmentation)
        yield f"\n![IoU of {name} by class and input]({picture})\n"


def _faithfulness(out: Path, figures: dict[str, Any]) -> Iterator[str]:
    measured = {
        name: model["faithfulness"]
        for name, model in figures["models"].items()
        if model["faithfulness"]
    }
    if not measured:
        return
    yield from ("## Faithfulness of the attribution", "")
    yield (
        f"Cells of {CELL_SIDE}x{CELL_SIDE} pixels of the fused image (pairs shrunk to at most "
        f"{FAITHFULNESS_SIDE} pixels) are ranked by the mean of a map and replaced in {STEPS} "
        "equal steps, the highest first (deletion), or put into the replacement in the same order "
        "(insertion). The score is the mean, over all pixels, of the segmentation's score of the "
        "class that it predicts on the whole fused image. A faithful map has a small area (AUC) "
        "under the deletion curve and a large one under the insertion curve. Maps: the model's "
        "pathway attention; the magnitude of the score's gradient at the fused image; random "
        "numbers. An attention whose path begins at the average of the sources is meant for that "
        "replacement, one that begins at the blurred image for this one, which asks what the "
        "whole fused image rests on. The last columns count the pairs on which the attention is "
        "the more faithful map."
    )
    for name, references in measured.items():
        images = references[next(iter(references))][MAPS[0]]["images"]
        yield f"\n### {name}, {images} pairs\n"
        rows = [
            [
                REFERENCES[reference],
                key,
                f"{curves['deletion_auc']:.4f}",
                f"{curves['insertion_auc']:.4f}",
                *(
                    ("", "")
                    if key == "attention"
                    else (
                        f"{curves['attention_better_deletion']:.0%}",
                        f"{curves['attention_better_insertion']:.0%}",
                    )
                ),
            ]
            for reference, by_map in references.items()
            for key, curves in by_map.items()
        ]
        header = ("replaced by", "map", "deletion AUC ↓", "insertion AUC ↑")
        yield from markdown_table(
            (*header, "attention wins, deletion", "attention wins, insertion"), rows
        )
        picture = f"faithfulness_{_file_name(name)}.png"
        plot_curves(out / picture, references)
        yield f"\n![Deletion and insertion curves of {name}]({picture})\n"


def _pictures(
    out: Path,
    result: EvaluationResult,
    folder: EvaluationFolder,
    models: Mapping[str, EvaluatedModel],
) -> Iterator[str]:
    yield from ("## Best and worst pairs", "")
    yield "By the model's mean rank among the methods on each pair; equal ranks by SCD.\n"
    for name, model in models.items():
        order = result.from_best_to_worst(name)
        for title, stems in (("best", order[:SHOWN]), ("worst", order[::-1][:SHOWN])):
            picture = f"{title}_{_file_name(name)}.png"
            ranks = {stem: result.image_ranks(stem)[name] for stem in stems}
            write_image(out / picture, contact_sheet(model, folder, ranks))
            yield f"![The {title} pairs of {name}]({picture})\n"


def _problems(figures: dict[str, Any]) -> Iterator[str]:
    if figures["problems"]:
        yield from ("## Left out", "")
        yield from (f"- {text}" for text in figures["problems"])


def _bold(value: float, best: float) -> str:
    return f"**{value:.3f}**" if value == best else f"{value:.3f}"


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
