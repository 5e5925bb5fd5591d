"""Colours: a segmentation that reads them, wherever a frame goes, and goes on reading grey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_modes import TINY, build, let_speak, save

import uaafusion_ros.inference.compiled as compiled_module
from uaafusion_ros.inference.backends import NetworkArrays, TorchBackend
from uaafusion_ros.inference.opening import open_model
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.products import Product
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.scenes.street import StreetScene
from uaafusion_ros.training.augmentation import Patch, PeoplePaster
from uaafusion_ros.training.datasets import Sample
from uaafusion_ros.training.phase_settings import SegmentationSettings
from uaafusion_ros.training.segmentation_phase import SegmentationPhase
from uaafusion_ros.training.session import open_datasets, starting_model
from uaafusion_ros.training.settings import DatasetSettings, TrainingSettings

COLOURED = replace(TINY, segmentation_colour=True, classes=("unlabelled", "road", "person"))
SIZE = (64, 96)
WANTED = Output.ALL & ~Output.SCORES


def coloured_model() -> UAAFusion:
    torch.manual_seed(4)
    model = build(COLOURED)
    let_speak(model.student)
    with torch.no_grad():
        model.segmentation.encoder.stem.conv.weight[:, 1:] *= 8  # colours decide
    return model


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return save(coloured_model(), tmp_path_factory.mktemp("coloured") / "coloured.safetensors")


def street(time: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    frame = StreetScene(*SIZE, "day", seed=3).frame(time)
    return frame.infrared, frame.visible


def planes(time: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Infrared and luminance float32 in 0..1, and chroma uint8."""
    infrared, visible = street(time)
    converted = cv2.cvtColor(visible, cv2.COLOR_BGR2YCrCb)
    return np.float32(infrared) / 255, np.float32(converted[..., 0]) / 255, converted[..., 1:]


def test_colours_move_the_mask_and_nothing_else(file: Path) -> None:
    pipeline = FusionPipeline.from_file(file, device="cpu")
    infrared, visible = street()
    luminance = cv2.cvtColor(visible, cv2.COLOR_BGR2YCrCb)[..., 0]
    grey = np.dstack([luminance] * 3)
    found, of_grey, of_luminance = (
        pipeline(infrared, image, Product.ALL | Product.ARRAYS)
        for image in (visible, grey, luminance)
    )
    for name in ("fused", "attention", "infrared_weight", "regions"):
        np.testing.assert_array_equal(getattr(found.arrays, name), getattr(of_grey.arrays, name))
    assert np.mean(found.mask != of_grey.mask) > 0.05
    # Grey in three channels is what a grey camera sends.
    assert np.mean(of_grey.mask != of_luminance.mask) < 0.01
    uncoloured = pipeline(infrared, visible, colour=False)
    np.testing.assert_array_equal(uncoloured.mask, found.mask)
    np.testing.assert_array_equal(uncoloured.fused, of_grey.fused)


def assert_the_same(expected: NetworkArrays, found: NetworkArrays) -> None:
    np.testing.assert_allclose(found.fused, expected.fused, atol=1e-3)
    assert np.mean(found.mask == expected.mask) > 0.99


def test_an_exported_graph_reads_colours_as_pytorch_does(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from uaafusion_ros.export.run import ExportJob, export_model

    exported = tmp_path / "coloured.onnx"
    export_model(ExportJob(str(file), exported, SIZE))
    backends = [open_model(str(path), device="cpu")[0] for path in (file, exported)]
    for time in (0.0, 0.02):  # judged, and with what was kept
        infrared, luminance, chroma = planes(time)
        masks = []
        for colours in (chroma, None):
            for backend in backends:
                backend.use("realtime", FastSettings(every=9))
            expected, found = (
                backend.run(infrared, luminance, WANTED, colours) for backend in backends
            )
            assert_the_same(expected, found)
            masks.append(found.mask)
        assert np.mean(masks[0] != masks[1]) > 0.05


def test_what_is_compiled_reads_colours_and_grey_as_what_is_not(monkeypatch) -> None:
    monkeypatch.setattr(compiled_module, "_COMPILER", "aot_eager")
    compiled, plain = (
        TorchBackend(coloured_model(), "cpu", compile_size=size) for size in (SIZE, None)
    )
    assert compiled.notice == ""
    for time, coloured in ((0.0, True), (0.02, True), (0.04, False), (0.06, True)):
        infrared, luminance, chroma = planes(time)
        expected, found = (
            one.run(infrared, luminance, WANTED, chroma if coloured else None)
            for one in (plain, compiled)
        )
        assert_the_same(expected, found)
        assert compiled.misfit == ""


def test_a_model_that_never_saw_colours_starts_to_read_them_and_reads_grey_as_before(
    tmp_path: Path,
) -> None:
    path = save(build(replace(TINY, student_channels=0)), tmp_path / "grey.safetensors")
    street_settings = DatasetSettings(kind="street", frames=1)
    wanted = {"segmentation_colour": True}
    model = starting_model(
        TrainingSettings(start=str(path), model=wanted, data={"street": street_settings})
    )
    before, _ = open_model(str(path), device="cpu")[:2]
    infrared, luminance, _ = planes()
    expected = before.run(infrared, luminance, Output.MASK).mask
    after = TorchBackend(model, "cpu").run(infrared, luminance, Output.MASK).mask
    np.testing.assert_array_equal(after, expected)


def phase_with(**settings: float) -> SegmentationPhase:
    return SegmentationPhase(
        "adaptation",
        coloured_model().segmentation,
        SegmentationSettings(patch_height=32, patch_width=32, **settings),
        classes=COLOURED.classes,
        counts=np.ones(len(COLOURED.classes)),
        paster=PeoplePaster(COLOURED.classes),
        pasted=frozenset(),
    )


@pytest.mark.parametrize(
    ("infrared_share", "grey_share", "coloured"), [(0, 0, 1), (1, 0, 0), (0, 1, 0)]
)
def test_colours_are_shown_with_what_shows_the_visible_image(
    infrared_share, grey_share, coloured
) -> None:
    phase = phase_with(infrared_share=infrared_share, visible_share=0, grey_share=grey_share)
    settings = {"street": DatasetSettings(kind="street", frames=1, height=64, width=96)}
    (streets,) = open_datasets(settings, COLOURED.classes, cache=0, colour=True)
    sample, rng = streets.load(0), np.random.default_rng(0)
    shown = [phase.augment(streets, sample, rng)["chroma"] for _ in range(10)]
    assert {chroma.shape for chroma in shown} == {(2, 32, 32)}
    assert np.mean([bool(chroma.any()) for chroma in shown]) == coloured


def test_pasted_people_bring_their_colours() -> None:
    people = PeoplePaster(COLOURED.classes)
    person = COLOURED.classes.index("person")
    labels = np.zeros((64, 64), np.uint8)
    labels[8:56, 24:40] = person
    red = np.full((64, 64, 2), (228, 128), np.uint8)
    people.collect(Sample(np.full((64, 64), 120, np.uint8), labels=labels, chroma=red))
    patch = Patch(
        visible=np.full((96, 96), 0.5, np.float32),
        infrared=np.full((96, 96), 0.3, np.float32),
        labels=np.ones((96, 96), np.uint8),
        chroma=np.zeros((96, 96, 2), np.float32),
    )
    pasted = people.paste(patch, np.random.default_rng(0))
    inside = pasted.labels == person
    assert inside.any()
    assert pasted.chroma[inside][:, 0].mean() > 0.05
    assert abs(pasted.chroma[inside][:, 1]).max() < 0.01
    assert not patch.chroma.any(), "the patch itself stays"
