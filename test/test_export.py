"""Exported graphs: the model's own answers wherever a model file goes, or a refusal."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from test_cli import run
from test_modes import HEADLESS, TINY, build, let_speak, save

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime

import uaafusion_ros.export.run as export_run
from uaafusion_ros.export.errors import ExportError
from uaafusion_ros.export.run import ExportJob, export_model, parse_export_size
from uaafusion_ros.inference.backends import NetworkArrays
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.kept_shares import KeptShares
from uaafusion_ros.inference.opening import check_model, open_model
from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.providers import ProviderSettings, choose, with_options
from uaafusion_ros.network.checkpoint import CheckpointError
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.unfolding import Output
from uaafusion_ros.scenes.street import StreetScene

ALL = Product.ALL | Product.ARRAYS
STILL = PipelineSettings(mode="realtime", gain_smoothing=0.0, stretch_smoothing=0.0)


def save_student(path: Path, config: ModelConfig = TINY) -> Path:
    """A random model with a head that says something."""
    model = build(config)
    let_speak(model.student)
    with torch.no_grad():
        if config.scores == "sigmoid":
            # As decided as those of a softmax, sigmoids of a random model are all 1.
            model.segmentation.classifier.weight.div_(20)
    return save(model, path)


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return save_student(tmp_path_factory.mktemp("student") / "student.safetensors")


@pytest.fixture(scope="module")
def exported(student: Path) -> Path:
    """The student for any size."""
    out = student.with_suffix(".onnx")
    export_model(ExportJob(str(student), out))
    return out


def street(height: int, width: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    frame = StreetScene(height, width, "night", seed=seed).frame(0.0)
    return frame.infrared, frame.visible


def both(student: Path, exported: Path, fast: FastSettings) -> list[FusionPipeline]:
    settings = replace(STILL, fast=fast)
    return [
        FusionPipeline.from_file(path, device="cpu", settings=settings)
        for path in (student, exported)
    ]


def assert_the_same(expected: NetworkArrays, found: NetworkArrays) -> None:
    """But for pixels that stand between two classes, which may fall to the other."""
    assert (expected.regions == found.regions).mean() > 0.999
    for name in ("fused", "infrared_weight"):
        difference = np.abs(getattr(expected, name) - getattr(found, name))
        assert np.quantile(difference, 0.999) < 1e-4, name
    for name in ("contribution_infrared", "contribution_visible"):
        one, other = getattr(expected, name), getattr(found, name)
        np.testing.assert_allclose(one, other, atol=1e-3, err_msg=name)


def test_a_stream_is_judged_when_the_models_own_is(student: Path, exported: Path) -> None:
    scene, other = (StreetScene(75, 133, "night", seed=seed) for seed in (3, 5))
    frames = [scene.frame(time) for time in (0.0, 0.02, 0.04, 0.06, 0.08)]
    frames += [other.frame(0.0), other.frame(0.02), scene.frame(0.1)]
    torch_one, onnx_one = both(student, exported, FastSettings(every=3))
    weights, single = [], both(student, exported, FastSettings(every=1))[1]
    for frame in frames:
        pair = frame.infrared, frame.visible
        expected, found = (one(*pair, ALL).arrays for one in (torch_one, onnx_one))
        assert_the_same(expected, found)
        alone = single(*pair, ALL).arrays.infrared_weight
        weights.append(np.abs(alone - found.infrared_weight).max() < 1e-5)
    # Those that were judged are what a single frame is.
    assert weights == [True, False, False, True, False, True, False, True]


def test_a_class_that_enters_is_judged_at_once_and_one_that_left_keeps_its_share(
    tmp_path: Path,
) -> None:
    infrared, visible = street(64, 96)
    cold, warm = (np.float32((x, visible.mean(axis=-1))) / 255 for x in (infrared * 0, infrared))
    model = build(TINY)
    averages = [torch.from_numpy(pair.mean(axis=0))[None, None] for pair in (cold, warm)]
    logits = [model.segmentation.logits(average)[0] for average in averages]
    leads = [float((one[1] - torch.maximum(one[0], one[2])).max()) for one in logits]
    model.segmentation.classifier.bias[1] -= sum(leads) / 2  # now only the warm pair has class 1
    let_speak(model.student)
    student, exported = save(model, tmp_path / "one.safetensors"), tmp_path / "one.onnx"
    export_model(ExportJob(str(student), exported))
    backends = [open_model(str(path), device="cpu")[0] for path in (student, exported)]
    regions, weights = [], []
    for pair in (cold, warm, cold, warm):
        for backend in backends:
            backend.use("realtime", FastSettings(every=100, change=1.0))
        expected, found = (backend.run(*pair, Output.ALL) for backend in backends)
        assert_the_same(expected, found)
        regions.append(set(np.unique(found.regions)))
        weights.append(found.infrared_weight)
    assert regions == [{0, 2}, {0, 1, 2}] * 2
    assert np.abs(weights[2] - weights[0]).max() > 1e-3, "judged with the class that entered"
    np.testing.assert_array_equal(weights[3], weights[1])


def test_what_a_stream_remembers_can_be_stored_and_forgotten(exported: Path, student: Path) -> None:
    scene = StreetScene(64, 96, "night", seed=3)
    first, second = ((frame.infrared, frame.visible) for frame in map(scene.frame, (0.0, 0.3)))
    _, whole = both(student, exported, FastSettings(every=9, change=1.0))
    _, resumed = both(student, exported, FastSettings(every=9, change=1.0))
    whole(*first)
    with io.BytesIO() as file:  # as a run that was interrupted stores it
        torch.save(whole.state(), file)
        file.seek(0)
        resumed.restore(torch.load(file, weights_only=True))
    weights = [one(*second, ALL).infrared_weight for one in (whole, resumed)]
    np.testing.assert_array_equal(*weights)
    whole.reset()
    assert whole.remembers and np.abs(whole(*second, ALL).infrared_weight - weights[0]).max() > 1e-4


def test_a_scene_has_changed_when_its_thumbnails_have_in_pytorch() -> None:
    one, other = np.random.default_rng(0).random((2, 2, 75, 133), np.float32)
    thumbnails = [
        functional.adaptive_avg_pool2d(torch.from_numpy(x), (12, 16)) for x in (one, other)
    ]
    change = float((thumbnails[0] - thumbnails[1]).abs().mean())
    for part, is_judged in ((0.999, True), (1.001, False)):
        kept = KeptShares(3, FastSettings(every=9, change=change * part))
        kept.for_frame(*one)
        kept.take(np.full((1, 3, 3), 0.5, np.float32))
        assert (kept.for_frame(*other)[0, 2] < 0).all() == is_judged


def test_the_sources_are_judged_only_for_classes_that_are_unknown(exported: Path) -> None:
    """As anybody who has the file alone may run it, in a batch too."""
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    pairs = [street(64, 96, seed) for seed in (3, 4)]
    images = {
        "infrared": np.float32([[pair[0] / 255] for pair in pairs]),
        "visible": np.float32([[pair[1].mean(axis=-1) / 255] for pair in pairs]),
    }
    names = ["infrared_weight", "regions", "shares"]
    weight, regions, shares = session.run(names, images)
    assert shares.shape == (2, 3, 3) and len(np.unique(weight)) > 2
    given = np.float32([[[0.1] * 3, [0.2] * 3, [0.7, 0.8, 0.9]]])
    kept_weight, _, kept_shares = session.run(names, {**images, "kept_shares": given})
    np.testing.assert_array_equal(kept_weight[:, 0], given[0, 2][regions])
    np.testing.assert_array_equal(kept_shares, given.repeat(2, axis=0))
    given[0, 2, regions[1, 0, 0]] = -1
    again = session.run(names, {**images, "kept_shares": given})
    np.testing.assert_array_equal(again[0], weight)
    np.testing.assert_array_equal(again[2], shares)


def test_the_file_holds_the_segmentation_once(student: Path, exported: Path) -> None:
    assert exported.stat().st_size < 1.15 * student.stat().st_size


@pytest.mark.parametrize("size", [(64, 96), (75, 133)])
def test_every_product_is_the_models_own_at_any_size(student, exported, size) -> None:
    expected, found = (
        FusionPipeline.from_file(path, device="cpu", settings=STILL)(*street(*size), ALL)
        for path in (student, exported)
    )
    for name in ("fused", "infrared_weight", "attention"):
        one, other = getattr(expected.arrays, name), getattr(found.arrays, name)
        assert np.quantile(np.abs(one - other), 0.999) < 1e-4, name
    # A pixel that stands between two classes may fall to the other by one rounding.
    assert (expected.arrays.regions == found.arrays.regions).mean() > 0.999
    assert (expected.mask == found.mask).mean() > 0.999
    assert found.mask.dtype == np.uint8 and found.arrays.regions.dtype == np.uint8
    for name in ("contribution_infrared", "contribution_visible"):
        one, other = getattr(expected.arrays, name), getattr(found.arrays, name)
        np.testing.assert_allclose(one, other, atol=1e-3, err_msg=name)
    assert np.abs(expected.fused.astype(int) - found.fused).max() <= 1
    assert len(np.unique(found.arrays.regions)) > 1 and found.attention.std() > 1e-3


def test_a_sigmoid_deeplab_model_of_whole_pixels_is_exported_too(tmp_path: Path) -> None:
    other = replace(TINY, decoder="deeplab", scores="sigmoid", unshuffle=1, residual=True)
    model = save_student(tmp_path / "other.safetensors", other)
    parity = export_model(ExportJob(str(model), tmp_path / "other.onnx", (64, 96)))
    assert parity.fused < 1e-4 and parity.attention < 1e-4 and parity.regions > 0.99


def test_the_file_says_what_the_checkpoint_said_and_how_it_was_exported(student, exported) -> None:
    assert check_model(str(exported)) == check_model(str(student))
    shown = json.loads(run("info", exported).stdout)
    assert shown["name"] == "student" and shown["config"]["classes"] == list(TINY.classes)
    assert shown["export"]["size"] is None and not shown["export"]["half"]
    assert shown["export"]["differences"]["fused"] < 1e-3
    assert len(shown["export"]["source_sha256"]) == 64


def test_a_graph_for_one_size_in_half_precision_takes_nearly_that_shape(
    student: Path, tmp_path: Path
) -> None:
    out = tmp_path / "half.onnx"
    parity = export_model(ExportJob(str(student), out, (64, 96), half=True))
    assert parity.fused > 1e-6 and parity.fused_mean_square < 1e-5
    assert out.stat().st_size < 0.7 * student.stat().st_size
    settings = replace(STILL, max_side=48)  # the graph's own size counts
    pipeline = FusionPipeline.from_file(out, device="cpu", settings=settings)
    pipeline.warm_up(256, 320)
    wider = pipeline(*street(128, 200), ALL)
    assert wider.fused.shape == (128, 200, 3) and wider.mask.shape == (128, 200)
    assert wider.arrays.fused.shape == (64, 96) and wider.arrays.fused.dtype == np.float32
    with pytest.raises(FrameError, match=r"exported for 96x64 .*--size 128x128"):
        pipeline(*street(128, 128))


def spoil(content: bytes) -> bytes:
    """Another model: the last weights of the stages have other values."""
    model = onnx.load_from_string(content)
    (last, *_) = [t for t in model.graph.initializer if "image_exit" in t.name][::-1]
    values = onnx.numpy_helper.to_array(last)
    last.CopyFrom(onnx.numpy_helper.from_array(values + np.float32(0.05), last.name))
    return model.SerializeToString()


def test_a_graph_that_differs_is_refused_and_leaves_the_file_as_it_was(
    student: Path, tmp_path: Path, monkeypatch
) -> None:
    join = export_run.join
    monkeypatch.setattr(export_run, "join", lambda *parts: spoil(join(*parts)))
    out = tmp_path / "spoilt.onnx"
    with pytest.raises(ExportError, match=r"not the model, nothing was written: .*fused \d"):
        export_model(ExportJob(str(student), out, (64, 80)))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_told(student: Path, tmp_path: Path) -> None:
    plain = save(build(HEADLESS), tmp_path / "plain.safetensors")
    with pytest.raises(ExportError, match=r"no student head.*distill: true"):
        export_model(ExportJob(str(plain), tmp_path / "plain.onnx"))
    with pytest.raises(ExportError, match=r"ends in \.onnx"):
        export_model(ExportJob(str(student), tmp_path / "plain.pb"))
    with pytest.raises(CheckpointError, match=r"exported \.onnx only fuses"):
        (tmp_path / "again.onnx").write_bytes(b"")
        export_model(ExportJob(str(tmp_path / "again.onnx"), tmp_path / "twice.onnx"))
    assert parse_export_size("480x640") == (480, 640) and parse_export_size("dynamic") is None
    for text, said in (("480", "HEIGHTxWIDTH"), ("16x640", "at least 32")):
        with pytest.raises(ExportError, match=said):
            parse_export_size(text)


def test_files_that_are_no_models_of_ours_are_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(exported.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a whole ONNX file"):
        check_model(str(path))
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="without the metadata"):
        open_model(str(path))
    path.write_bytes(exported.read_bytes().replace(b"uaafusion-onnx-2", b"uaafusion-onnx-1"))
    with pytest.raises(CheckpointError, match="export it anew"):
        open_model(str(path))


def test_what_a_graph_does_not_have_is_told_with_the_way_out(exported: Path, monkeypatch) -> None:
    pipeline = FusionPipeline.from_file(exported, device="cpu")
    with pytest.raises(SettingsError, match=r"'exact', but .* realtime alone; .*safetensors"):
        pipeline.with_settings(PipelineSettings(mode="exact"))
    for precision in ("float16", "bfloat16"):
        with pytest.raises(SettingsError, match="computes in float32"):
            open_model(str(exported), precision=precision)
    with pytest.raises(SettingsError, match="contradict each other"):
        open_model(str(exported), device="cuda", providers=ProviderSettings("cpu"))
    with pytest.raises(SettingsError, match="expected one of"):
        ProviderSettings("gpu")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CheckpointError, match=r"pip install 'uaafusion_ros\[onnx\]'"):
        open_model(str(exported))


def test_providers_are_tried_in_order_and_an_absent_one_is_told(tmp_path: Path) -> None:
    jetson = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    pc = ["AzureExecutionProvider", "CPUExecutionProvider"]
    assert choose(ProviderSettings(), "auto", jetson).names == ("tensorrt", "cuda", "cpu")
    assert choose(ProviderSettings(), "cpu", jetson).names == ("cpu",)
    assert choose(ProviderSettings("cuda"), "cuda:1", jetson).names == ("cuda", "cpu")
    assert choose(ProviderSettings(), "auto", pc) == choose(ProviderSettings("cpu"), "auto", pc)
    for asked in ((ProviderSettings("tensorrt"), "auto"), (ProviderSettings(), "cuda")):
        choice = choose(*asked, pc)
        assert choice.names == ("cpu",) and "is not in this onnxruntime (it has CPU)" in (
            choice.fallback
        )

    def engines(sha256: str) -> str:
        settings = ProviderSettings("tensorrt", str(tmp_path))
        choice = choose(settings, "cuda:1", jetson)
        (_, options), *_ = with_options(choice, settings, "cuda:1", sha256=sha256, half=True)
        assert options["device_id"] == 1 and options["trt_fp16_enable"]
        return options["trt_engine_cache_path"]

    # An engine belongs to the weights, which its names do not tell.
    assert engines("a" * 64) != engines("b" * 64)
    assert Path(engines("a" * 64)).is_dir()


def test_fuse_takes_the_file_and_warns_of_a_provider_that_is_not_there(
    exported: Path, tmp_path: Path
) -> None:
    for name, image in zip(("infrared", "visible"), street(64, 96), strict=True):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    done = run(
        *("fuse", "--infrared", tmp_path / "infrared.png"),
        *("--visible", tmp_path / "visible.png"),
        *("--out", tmp_path / "out", "--model", exported, "--providers", "tensorrt"),
    )
    assert done.returncode == 0, done.stderr
    assert "provider TensorRT is not in this onnxruntime" in done.stderr.replace("\n", " ")
    assert (tmp_path / "out" / "mask" / "visible.png").is_file()
