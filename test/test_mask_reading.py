"""How masks are read: alike in images of any size, at several sizes where a model says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_modes import TINY, build, let_speak, save, street

import uaafusion_ros.inference.compiled as compiled_module
from uaafusion_ros.inference.backends import TorchBackend
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.opening import open_model
from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.settings import PipelineSettings, parse_mask_sizes
from uaafusion_ros.network.checkpoint import load_checkpoint
from uaafusion_ros.network.config import ConfigError, ModelConfig
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.resampling import enlarge
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.training.evaluated_model import EvaluatedModel
from uaafusion_ros.training.session import starting_model
from uaafusion_ros.training.settings import DatasetSettings, TrainingSettings

SIZES = (0.8, 1.6)
TWICE = replace(TINY, align_corners=False, detail_channels=4, mask_sizes=SIZES)
WANTED = Output.ALL & ~Output.SCORES


def speaking(config: ModelConfig) -> UAAFusion:
    model = build(config)
    let_speak(model.student)
    return model


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return save(speaking(TWICE), tmp_path_factory.mktemp("twice") / "twice.safetensors")


def at(model: UAAFusion, *sizes: float) -> UAAFusion:
    model.read_masks_at(sizes)
    return model


def test_a_mask_is_of_the_mean_of_the_readings() -> None:
    model, images = speaking(TWICE), street()
    both = model(*images)
    each = [at(model, size)(*images).scores_BCHW for size in SIZES]
    torch.testing.assert_close(both.scores_BCHW, (each[0] + each[1]) / 2)
    assert torch.equal(both.mask_BHW, both.scores_BCHW.argmax(dim=1))
    # Alone, a mask comes by another way.
    assert torch.equal(at(model, *SIZES)(*images, Output.MASK).mask_BHW, both.mask_BHW)
    assert (each[0] - each[1]).abs().max() > 0.05


def test_readings_of_other_sizes_lie_where_the_image_does(monkeypatch) -> None:
    model = speaking(TWICE)
    # S that sees light, in an image whose sides no stride divides.
    sees_light = lambda image, _: torch.cat((0.5 - image, image - 0.5), dim=1)  # noqa: E731
    monkeypatch.setattr(model.segmentation, "logits", sees_light)
    image = torch.zeros(1, 1, 101, 157)
    image[..., 31:90, 70:150] = 1
    for size in (0.8, 1.0, 1.6, 2.0):
        mask = at(model, size).segmentation.mask(image)[0]
        rows, columns = mask.nonzero().unbind(dim=1)
        found = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
        np.testing.assert_allclose(found, (31, 90, 70, 150), atol=1)


@pytest.mark.parametrize("align_corners", [False, True])
def test_without_aligned_corners_features_lie_alike_in_images_of_all_sizes(align_corners) -> None:
    features = torch.rand(1, 3, 8, 8)  # of strides of 32, of any image with sides of 225 to 256
    images = [torch.empty(1, 1, height, width) for height, width in ((256, 225), (231, 256))]
    first, second = (enlarge(features, image, align_corners) for image in images)
    assert first.shape[2:] == (256, 225) and second.shape[2:] == (231, 256)
    same = torch.allclose(first[..., :225, :225], second[..., :225, :225])
    assert same is not align_corners


def test_a_single_image_is_read_as_the_fused_one_is(file: Path) -> None:
    infrared = np.uint8(street()[0][0, 0].numpy() * 255)
    model = EvaluatedModel.from_file(file, device="cpu")
    expected = speaking(TWICE).segmentation.mask(
        torch.from_numpy(np.float32(infrared) / 255)[None, None]
    )
    assert np.mean(model.segment(infrared) == expected[0].numpy()) > 0.999


def test_exported_and_compiled_models_read_at_the_same_sizes(
    file: Path, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from uaafusion_ros.export.run import ExportJob, export_model

    monkeypatch.setattr(compiled_module, "_COMPILER", "aot_eager")
    infrared, visible = (image[0, 0].numpy() for image in street(size=(83, 118)))
    exports = [tmp_path / "any.onnx", tmp_path / "one.onnx"]
    for path, size in zip(exports, (None, infrared.shape), strict=True):
        export_model(ExportJob(str(file), path, size))
    backends = [open_model(str(path), device="cpu")[0] for path in (file, *exports)]
    backends.append(TorchBackend(speaking(TWICE), "cpu", compile_size=infrared.shape))
    assert backends[-1].notice == ""
    masks = []
    for backend in backends:
        backend.use("realtime", FastSettings(every=9))
        for _ in range(2):  # judged, and with what was kept
            mask = backend.run(infrared, visible, WANTED).mask
        masks.append(mask)
    for mask in masks[1:]:
        assert np.mean(mask == masks[0]) > 0.99


def test_a_user_may_have_masks_read_at_other_sizes(file: Path, tmp_path: Path) -> None:
    infrared, visible = (np.uint8(image[0, 0].numpy() * 255) for image in street())
    masks = [
        FusionPipeline.from_file(path, device="cpu", settings=PipelineSettings(mask_sizes=sizes))(
            infrared, visible, Product.MASK
        ).mask
        for path, sizes in (
            (file, ()),
            (file, (1.0,)),
            (save(speaking(replace(TWICE, mask_sizes=(1.0,))), tmp_path / "once.safetensors"), ()),
        )
    ]
    assert np.array_equal(masks[1], masks[2])
    assert np.mean(masks[0] != masks[1]) > 0.01


@pytest.mark.parametrize("sizes", [(), (1.0,) * 5, (0.2,), (float("nan"),)])
def test_impossible_sizes_are_refused(sizes: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"mask_sizes is .*expected 1 to 4 factors"):
        ModelConfig(mask_sizes=sizes)


def test_sizes_are_read_from_text_or_refused_with_an_example() -> None:
    assert parse_mask_sizes("0.8,1.6") == parse_mask_sizes(" 0.8 1.6 ") == SIZES
    assert parse_mask_sizes("") == ()
    for text in ("large", "9", "1,,0"):
        with pytest.raises(SettingsError, match=r"mask_sizes is '.*as 0\.8,1\.6"):
            parse_mask_sizes(text)


def test_an_exported_model_says_that_its_sizes_are_its_own(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from uaafusion_ros.export.run import ExportJob, export_model

    path = tmp_path / "once.onnx"
    export_model(ExportJob(str(file), path, (64, 96), mask_sizes=(1.0,)))
    assert open_model(str(path), device="cpu", mask_sizes=(1.0,))[1].config.mask_sizes == (1.0,)
    with pytest.raises(SettingsError, match=r"mask_sizes is .*0\.8.*--mask-sizes"):
        open_model(str(path), device="cpu", mask_sizes=SIZES)


def training(file: Path, **settings: object) -> TrainingSettings:
    data = {"street": DatasetSettings(kind="street")}
    return TrainingSettings(start=str(file), data=data, **settings)


def test_training_goes_on_with_other_sizes(file: Path) -> None:
    wanted = {"mask_sizes": [1.0, 1.5], "align_corners": True}
    model = starting_model(training(file, model=wanted, distill=True))
    assert model.segmentation.mask_sizes == (1.0, 1.5)
    assert model.segmentation.align_corners
    for name, value in load_checkpoint(file)[0].state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_segmentation_that_learned_otherwise_is_not_taken_over(file: Path) -> None:
    wanted = {"align_corners": True, "student_channels": 0}
    with pytest.raises(SettingsError, match="learned with align_corners: false; set it"):
        starting_model(training(file, model=wanted, start_segmentation=str(file)))
