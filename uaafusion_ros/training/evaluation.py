"""Measures models on a folder of pairs: fusion, segmentation, attribution and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.output_files import require_writable
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.render import split_colour
from uaafusion_ros.inference.settings import MINIMUM_SIDE
from uaafusion_ros.network.modes import AUTO
from uaafusion_ros.training.class_mapping import ClassMapping
from uaafusion_ros.training.evaluated_model import EvaluatedModel
from uaafusion_ros.training.evaluation_data import ComparedFolder, EvaluationFolder, Pair
from uaafusion_ros.training.evaluation_report import require_plots, write_report
from uaafusion_ros.training.evaluation_result import Column, EvaluationResult, ModelResult
from uaafusion_ros.training.fusion_metrics import fusion_metrics
from uaafusion_ros.training.segmentation_metrics import Confusion

#: What every method has to beat.
BASELINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "average": lambda infrared, visible: ((infrared.astype(np.uint16) + visible) // 2).astype(
        np.uint8
    ),
    "maximum": np.maximum,
}

#: The fused image again, with the attention switched off: what the attention is good for.
WITHOUT_ATTENTION = "fused, attention off"


@dataclass(frozen=True)
class EvaluationJob:
    """What to measure, on what, and where to put the report.

    limit: evaluate so many pairs, evenly spread; 0 is all.
    max_side: longer side that the networks see; 0 is the full size. Metrics are of the full size.
    faithfulness: images that deletion and insertion are measured on; 0 is none.
    modes: that every model runs in, each a column; beside others than `exact` stands that as well,
        as their yardstick. Empty: the one that the model has, without one.
    marked: COCO JSON of regions of known class in some of the pairs, which alone are evaluated.
    mask_sizes: at which masks are read; () is as each model says.
    """

    models: tuple[str, ...]
    data: Path
    out: Path
    compare: tuple[Path, ...] = ()
    limit: int = 0
    max_side: int = 0
    faithfulness: int = 0
    device: str = "auto"
    modes: tuple[str, ...] = ()
    marked: Path | None = None
    mask_sizes: tuple[float, ...] = ()

    def columns(self) -> list[tuple[str, str]]:
        """Return the model and mode of every column; `exact` comes first of a model's."""
        modes = list(dict.fromkeys(("exact", *self.modes) if self.modes else (AUTO,)))
        return [(model, mode) for model in self.models for mode in modes]


@dataclass
class _Measured:
    """A model, and what was measured of it so far."""

    model: EvaluatedModel
    mapping: ClassMapping
    result: ModelResult
    #: The column of `exact` that it is compared with.
    exact: str | None = None
    confusions: dict[str, Confusion] = field(default_factory=dict)


def evaluate_models(job: EvaluationJob, console: Console) -> EvaluationResult:
    """Measure, and write metrics.json, per_image.csv, report.md and its pictures to `job.out`.

    An unusable image is told, left out and counted in `problems`.

    Raises:
        CheckpointError: a model cannot be used.
        DatasetError: the marks cannot be read.
        SettingsError: a folder without pairs, no usable pair, nothing to plot with, or `job.out`
            cannot be written.
    """
    problems: list[str] = []

    def problem(text: str) -> None:
        problems.append(text)
        console.print(f"[yellow]skipped:[/yellow] {escape(text)}", soft_wrap=True)

    require_plots()
    require_writable(job.out)
    for name in ("limit", "faithfulness"):
        if getattr(job, name) < 0:
            raise SettingsError(f"{name} is {getattr(job, name)}, expected 0 or more")
    folder = EvaluationFolder(job.data, job.limit, problem, marked=job.marked)
    compared = [ComparedFolder(path, folder.stems, problem) for path in job.compare]
    models = [
        EvaluatedModel.from_file(
            path,
            device=job.device,
            max_side=job.max_side,
            mode=mode,
            mask_sizes=job.mask_sizes,
        )
        for path, mode in job.columns()
    ]
    evaluation = _Evaluation(job, folder, models, compared, problem)
    for pair in track(
        folder.pairs(), "evaluating", total=len(folder.stems), console=console, transient=True
    ):
        if pair is None:
            continue
        try:
            evaluation.add(pair)
        except FrameError as error:
            problem(f"{pair.stem}: {error}")
    result = evaluation.finish(problems)
    for note in result.notes:
        console.print(escape(note), soft_wrap=True)
    write_report(job.out, result, folder, evaluation.models_by_column())
    for model in models:
        model.close()
    return result


class _Evaluation:
    """Adds up what is measured pair by pair."""

    def __init__(
        self,
        job: EvaluationJob,
        folder: EvaluationFolder,
        models: list[EvaluatedModel],
        compared: list[ComparedFolder],
        problem: Callable[[str], None],
    ) -> None:
        self._job, self._folder, self._problem = job, folder, problem
        # The baselines come first here, so that it is never they that are renamed.
        names = _unique(
            [*BASELINES, *map(self._column_name, models), *(each.name for each in compared)]
        )[len(BASELINES) :]
        modes = max(1, len(models) // len(job.models))
        self._measured = {
            name: _Measured(
                model,
                folder.mapping(model.classes),
                ModelResult(model.file, model.device, model.classes, model.mode),
                names[index - index % modes] if index % modes else None,
            )
            for index, (name, model) in enumerate(zip(names, models, strict=False))
        }
        self._compared = dict(zip(names[len(models) :], compared, strict=True))
        self._columns = {
            **{name: Column("model") for name in self._measured},
            **{name: Column("comparison") for name in self._compared},
            **{name: Column("baseline") for name in BASELINES},
        }
        chosen = min(job.faithfulness, len(folder.stems))
        self._faithful = {
            folder.stems[round(index)] for index in np.linspace(0, len(folder.stems) - 1, chosen)
        }

    def _column_name(self, model: EvaluatedModel) -> str:
        return f"{model.name} {model.mode}" if len(self._job.modes) else model.name

    def models_by_column(self) -> dict[str, EvaluatedModel]:
        """The models, by the name of their column."""
        return {name: measured.model for name, measured in self._measured.items()}

    def add(self, pair: Pair) -> None:
        """Measure one pair with every model and method.

        Raises:
            FrameError: an image that no model can use; nothing of the pair was counted.
        """
        shape = pair.infrared_luminance.shape
        if min(shape) < MINIMUM_SIDE:
            raise FrameError(
                f"images are {shape[1]}x{shape[0]}, expected sides of at least {MINIMUM_SIDE}"
            )
        sources = pair.infrared_luminance, pair.visible_luminance
        images = {name: combine(*sources) for name, combine in BASELINES.items()}
        baselines, arrays = dict(images), {}
        for name, measured in self._measured.items():
            images[name], arrays[name] = self._run_model(measured, pair, baselines)
            if measured.exact is not None:
                measured.result.fidelity.add(arrays[measured.exact], arrays[name])
        for name, compared in self._compared.items():
            image = compared.read(pair.stem, shape)
            if image is not None:
                images[name] = image
        for name, image in images.items():
            self._columns[name].rows[pair.stem] = fusion_metrics(image, *sources)

    def finish(self, problems: list[str]) -> EvaluationResult:
        """Return all results; every column's figures are of the pairs that all columns have.

        Raises:
            SettingsError: there is no such pair.
        """
        done = [stem for stem in self._folder.stems if stem in self._columns["average"].rows]
        if not done:
            raise SettingsError(
                f"none of the {len(self._folder.stems)} pairs in {self._job.data} could be "
                "evaluated; see above"
            )
        common = [
            stem for stem in done if all(stem in each.rows for each in self._columns.values())
        ]
        if not common:
            raise SettingsError(
                "no pair is usable in every --compare folder; give folders that overlap"
            )
        for measured in self._measured.values():
            measured.result.add_segmentation(measured.confusions)
        return EvaluationResult(
            data=str(self._job.data),
            max_side=self._job.max_side,
            found=self._folder.found,
            evaluated=done,
            common=common,
            columns=self._columns,
            models={name: measured.result for name, measured in self._measured.items()},
            problems=problems,
            notes=self._notes(),
        )

    def _run_model(
        self, measured: _Measured, pair: Pair, baselines: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, NetworkArrays]:
        """Measure what concerns one model alone.

        Returns:
            Its fused luminance uint8 [H,W], and what its network computed.
        """
        wanted = Product.ALL | Product.ARRAYS
        fusion = measured.model.fuse(pair.infrared, pair.visible, wanted)
        assert fusion.fused is not None and fusion.mask is not None and fusion.arrays is not None
        measured.result.seconds[pair.stem] = sum(fusion.timings.values())
        if pair.label_ids is not None:
            images = {"visible": pair.visible_luminance, **baselines}
            self._compare_masks(measured, pair, images, fusion.mask)
        if pair.stem in self._faithful:
            measured.result.add_curves(
                measured.model.faithfulness(
                    pair.infrared_luminance,
                    pair.visible_luminance,
                    seed=self._folder.stems.index(pair.stem),
                )
            )
        return np.ascontiguousarray(fusion.fused[..., 0]), fusion.arrays

    def _compare_masks(
        self,
        measured: _Measured,
        pair: Pair,
        images: dict[str, np.ndarray],
        fused_mask: np.ndarray,
    ) -> None:
        """Compare the masks of the infrared image and of `images`, that show the visible one."""
        assert pair.label_ids is not None
        strangers = measured.mapping.strangers(pair.label_ids)
        if strangers:
            self._problem(
                f"{pair.stem}: label left out: it holds class ids {strangers}, expected ids below "
                f"{measured.mapping.known} (of {measured.model.name}'s classes or the data's "
                "classes.json)"
            )
            return
        truth = measured.mapping.apply(pair.label_ids)
        measured.result.labelled += 1
        _, chroma = split_colour(pair.visible)
        masks = {"infrared": measured.model.segment(pair.infrared_luminance)}
        masks |= {name: measured.model.segment(image, chroma) for name, image in images.items()}
        masks["fused"] = fused_mask
        if measured.model.has_attention:
            masks[WITHOUT_ATTENTION] = measured.model.mask_without_attention(
                pair.infrared, pair.visible
            )
        for name, mask in masks.items():
            confusion = measured.confusions.setdefault(name, Confusion(len(measured.model.classes)))
            confusion.add(truth, mask)

    def _notes(self) -> list[str]:
        notes = []
        if self._folder.guessed_by:
            notes.append(
                f"the labels are guesses of {self._folder.guessed_by}: IoU is agreement with it, "
                "which it and models trained on its guesses reach the sooner"
            )
        for name, measured in self._measured.items():
            if self._folder.has_labels and measured.mapping.unmapped:
                notes.append(
                    f"{name} has no class of the name {', '.join(measured.mapping.unmapped)}; "
                    "their pixels are ignored"
                )
            if self._folder.has_labels and measured.model.reads_colour:
                notes.append(
                    f"{name} reads colours: visible, average, maximum and fused images had those "
                    "of the visible image"
                )
            if self._job.faithfulness and not measured.result.curves:
                notes.append(f"{name} has its attention switched off, so there is none to measure")
        return notes


def _unique(names: list[str]) -> list[str]:
    """Append -2, -3, … to names that came before."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in unique:
            candidate, number = f"{name}-{number}", number + 1
        unique.append(candidate)
    return unique
