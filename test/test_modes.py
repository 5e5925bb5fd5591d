"""The modes: what each may change, what it must not, and what it needs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings, SettingsError
from uaafusion_ros.network.attribution import PathwayAttention
from uaafusion_ros.network.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.exact import Frame
from uaafusion_ros.network.modes import FastSettings, ModeError
from uaafusion_ros.network.student import Realtime, StudentHead
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.scenes.street import StreetScene
from uaafusion_ros.training.augmentation import PeoplePaster
from uaafusion_ros.training.distillation_phase import DistillationPhase
from uaafusion_ros.training.phase_settings import DistillationSettings
from uaafusion_ros.training.run import train
from uaafusion_ros.training.settings_file import read_settings

TINY = ModelConfig(
    classes=("unlabelled", "warm", "cold"),
    palette=((0, 0, 0),) * 3,
    decoder="pyramid",
    decoder_channels=8,
    output_stride=32,
    scores="softmax",
    stages=3,
    channels=4,
    unshuffle=2,
    attention="normalised",
    attention_gain="magnitude",
    attention_smoothing=17,
    contributions="completeness",
    weight_temperature=0.15,
    student_channels=8,
)
LOOKING_FROM_THE_FIRST = replace(TINY, attention_start="blurred")
BOTH_STARTS = pytest.mark.parametrize(
    "config", [TINY, LOOKING_FROM_THE_FIRST], ids=["average", "blurred"]
)
HEADLESS = replace(TINY, student_channels=0)
SAME_AS_EXACT = FastSettings(every=1, change=0.0, scale=1, gradients=TINY.stages + 1)


def build(config: ModelConfig) -> UAAFusion:
    """A random model whose segmentation tells regions apart and whose data step can be seen."""
    torch.manual_seed(0)
    model = UAAFusion(config)
    for module in model.segmentation.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    torch.manual_seed(1)  # a head took some of the random numbers
    with torch.no_grad():
        model.segmentation.train()(torch.rand(4, 1, 64, 64))
        model.segmentation.classifier.weight.mul_(20)
        model.step_sizes.fill_(0.3)
    return model.eval().requires_grad_(False)


def street(time: float = 0.0, seed: int = 1, size: tuple[int, int] = (64, 96)) -> list[Tensor]:
    frame = StreetScene(*size, "night", seed=seed).frame(time)
    visible = frame.visible.astype(np.float32).mean(-1)
    return [torch.from_numpy(np.float32(image) / 255)[None, None] for image in (
        frame.infrared, visible,
    )]  # fmt: skip


def assert_equal(first, second) -> None:
    for name in ("fused_B1HW", "attention_B1HW", "labels_BHW", "scores_BCHW"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    weights = (one.contributions.infrared_weight_B1HW for one in (first, second))
    assert torch.equal(*weights)


@pytest.mark.parametrize("temperature", [0.0, 0.15])
@BOTH_STARTS
def test_fast_that_saves_nothing_is_exact(config: ModelConfig, temperature: float) -> None:
    model = build(replace(config, weight_temperature=temperature))
    fast = model.mode("fast", SAME_AS_EXACT)
    for time in (0.0, 0.5):
        assert_equal(model(*street(time), mode=fast), model(*street(time)))


class Count:
    """How many images S judges as sources, and how many gradients are taken, frame by frame."""

    def __init__(self, model: UAAFusion, monkeypatch) -> None:
        self.sources = self.gradients = 0
        gradient = PathwayAttention._gradient

        def counted(pathway: PathwayAttention, fused: Tensor) -> Tensor:
            self.gradients += 1
            return gradient(pathway, fused)

        monkeypatch.setattr(PathwayAttention, "_gradient", counted)
        model.segmentation.encoder.register_forward_hook(self._on_images)

    def _on_images(self, _module, inputs, _result) -> None:
        self.sources += len(inputs[0]) == 2

    def take(self) -> tuple[int, int]:
        taken = self.sources, self.gradients
        self.sources = self.gradients = 0
        return taken


@BOTH_STARTS
def test_fast_renews_by_turns_and_at_once_when_the_scene_changes(config, monkeypatch) -> None:
    model = build(config)
    fast = model.mode("fast", FastSettings(every=4, change=0.05, scale=1, gradients=1))
    count = Count(model, monkeypatch)
    spent = []

    def show(pair) -> None:
        model(*pair, Output.FUSED, mode=fast)
        spent.append(count.take())

    for _ in range(6):
        show(street())
    assert spent == [(1, 1), (0, 0), (0, 1), (0, 0), (1, 0), (0, 0)]
    spent.clear()
    dark, size = [image * 0.3 for image in street()], street(size=(64, 64))
    for pair in (dark, dark, size, street(), dark):
        show(pair)
    assert spent == [(1, 1), (0, 0), (1, 1), (1, 1), (1, 1)]
    fast.reset()
    show(dark)
    assert spent[-1] == (1, 1)


def test_a_class_that_enters_the_picture_is_judged_at_once(monkeypatch) -> None:
    model = build(TINY)
    infrared, visible = street()
    fast = model.mode("fast", FastSettings(every=100, change=1.0, scale=1, gradients=1))
    count = Count(model, monkeypatch)
    before, entered = torch.ones(2, 1, 64, 96, dtype=torch.long)
    entered[:, 20:40, 30:50] = 2
    spent, weights = [], []
    for regions in (before, entered, before, entered):
        frame = Frame(model.segmentation, infrared, visible, regions)
        weights.append(fast(frame).contributions().infrared_weight_B1HW)
        spent.append(count.take()[0])
    assert spent == [1, 1, 0, 0]
    assert torch.equal(weights[1], weights[3]), "a class that comes back keeps what it was given"
    assert weights[1][0, 0, 30, 40] != weights[1][0, 0, 0, 0]


def test_fast_weighs_by_completeness_where_exact_takes_gradients() -> None:
    config = replace(HEADLESS, contributions="per_class", weight_temperature=0.0)
    per_class, completeness = build(config), build(replace(config, contributions="completeness"))
    fast = per_class.mode("fast", SAME_AS_EXACT)
    assert_equal(per_class(*street(), mode=fast), completeness(*street()))


@torch.no_grad()
def let_speak(head: StudentHead) -> None:
    """An untrained head says nothing; this one does."""
    head.exit.weight.normal_()


@BOTH_STARTS
def test_realtime_looks_without_any_gradient_and_weighs_as_exact_does(config, monkeypatch) -> None:
    model = build(config)
    let_speak(model.student)
    count = Count(model, monkeypatch)
    infrared, visible = street(size=(67, 91))
    found = model(infrared, visible, mode=model.mode("realtime", FastSettings()))
    assert count.take() == (1, 0), "both sources once, and no gradient"
    assert found.attention_B1HW.shape == infrared.shape
    assert 0 <= found.attention_B1HW.min() < found.attention_B1HW.max() <= 1
    exact = model(infrared, visible).contributions
    assert len(exact.infrared_weight_B1HW.unique()) > 1
    assert torch.equal(found.contributions.infrared_weight_B1HW, exact.infrared_weight_B1HW)


def test_realtime_judges_the_sources_by_turns(monkeypatch) -> None:
    model = build(TINY)
    realtime = model.mode("realtime", FastSettings(every=3, change=0.05))
    count = Count(model, monkeypatch)
    spent = []
    for pair in (*[street()] * 4, [image * 0.3 for image in street()]):
        model(*pair, Output.FUSED, mode=realtime)
        spent.append(count.take())
    assert spent == [(1, 0), (0, 0), (0, 0), (1, 0), (1, 0)]


def save(model: UAAFusion, path: Path) -> Path:
    save_checkpoint(path, model, CheckpointInfo(config=model.config, name=path.stem))
    return path


def test_the_mode_is_a_setting_of_the_pipeline_and_auto_is_what_the_model_has(tmp_path) -> None:
    student, plain = build(TINY), build(HEADLESS)
    let_speak(student.student)
    frame = StreetScene(64, 96, "night", seed=1).frame(0.0)
    single = PipelineSettings(gain_smoothing=0.0, stretch_smoothing=0.0)

    def looked(pipeline: FusionPipeline, mode: str) -> np.ndarray:
        pipeline.with_settings(replace(single, mode=mode))
        return pipeline(frame.infrared, frame.visible).attention

    with_head = FusionPipeline.from_file(save(student, tmp_path / "s.safetensors"), device="cpu")
    without = FusionPipeline.from_file(save(plain, tmp_path / "p.safetensors"), device="cpu")
    by_mode = {mode: looked(with_head, mode) for mode in ("auto", "exact", "fast", "realtime")}
    np.testing.assert_array_equal(by_mode["auto"], by_mode["realtime"])
    for one, other in (("realtime", "exact"), ("fast", "exact"), ("realtime", "fast")):
        assert np.abs(by_mode[one] - by_mode[other]).max() > 0.01
    np.testing.assert_array_equal(looked(without, "auto"), by_mode["exact"])

    with pytest.raises(SettingsError, match=r"no student head.*distill: true"):
        without.with_settings(replace(single, mode="realtime"))
    np.testing.assert_array_equal(looked(without, "exact"), by_mode["exact"])
    raw = build(replace(TINY, attention="raw"))
    with pytest.raises(ModeError, match="attention is raw"):
        raw.mode("realtime", FastSettings())
    with pytest.raises(SettingsError, match="mode is 'quick', expected one of"):
        PipelineSettings(mode="quick")
    with pytest.raises(ModeError, match=r"fast\.every is 0"):
        FastSettings(every=0)


def test_a_file_of_a_model_without_a_head_has_none_of_its_weights(tmp_path: Path) -> None:
    model, info = load_checkpoint(save(build(HEADLESS), tmp_path / "p.safetensors"))
    assert model.student is None and info.config.student_channels == 0
    assert not any(name.startswith("student") for name in model.state_dict())
    head = {name for name in build(TINY).state_dict() if name.startswith("student.")}
    assert build(TINY).state_dict().keys() - head == model.state_dict().keys()


@BOTH_STARTS
def test_distillation_brings_realtime_to_exact_and_leaves_exact_as_it_was(config) -> None:
    model = build(config)
    pair = street()
    before = model(*pair)
    settings = DistillationSettings(learning_rate=5e-3)
    phase = DistillationPhase(
        "distillation", model, settings, paster=PeoplePaster(config.classes), pasted=frozenset()
    )

    def losses() -> dict[str, Tensor]:
        return phase.module(*pair, total=torch.ones(()), share=1.0)

    phase.train()
    at_first = {name: value.item() for name, value in losses().items()}
    for _ in range(100):
        phase.optimiser.zero_grad()
        torch.stack(list(losses().values())).sum().backward()
        phase.optimiser.step()
    at_last = {name: value.item() for name, value in losses().items()}
    assert set(at_last) == {"attention", "fused"}
    for name, value in at_last.items():
        assert value < 0.5 * at_first[name], name
    assert_equal(model(*pair), before)
    learned = model(*pair, mode=Realtime(model, FastSettings())).attention_B1HW.flatten()
    assert torch.corrcoef(torch.stack((learned, before.attention_B1HW.flatten())))[0, 1] > 0.7


@pytest.fixture()
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("infrared", "visible"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        for index in range(2):
            image = rng.integers(0, 256, (64, 80), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "pairs" / kind / f"{index}.png"), image)
    return tmp_path / "pairs"


def test_a_finished_model_is_distilled_alone_and_keeps_every_other_weight(
    recording: Path, tmp_path: Path
) -> None:
    signed = replace(HEADLESS, attention_gain="signed")
    finished = save(build(signed), tmp_path / "finished.safetensors")
    file = tmp_path / "train.yaml"
    file.write_text(
        f"start: {finished}\nout: {tmp_path / 'out'}\ndata: {{drive: {{path: {recording}}}}}\n"
        "distillation: {steps: 2, batch: 2, patch_height: 32, patch_width: 48, channels: 4}\n"
    )
    console = Console(file=io.StringIO())

    def run(*overrides: str, resume: bool = False) -> UAAFusion:
        path = train(read_settings(file, overrides), resume=resume, console=console)
        return load_checkpoint(path)[0]

    with pytest.raises(SettingsError, match="no phase has steps"):
        run()
    with pytest.raises(SettingsError, match=r"'signed', expected 0, or 'magnitude'"):
        run("distill=true")
    taught = run("distill=true", "average=0.9", "model.attention_gain=magnitude")
    assert taught.config == replace(HEADLESS, student_channels=4)
    before, after = load_checkpoint(finished)[0].state_dict(), taught.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert taught.student.exit.weight.abs().max() > 0

    file.write_text(
        file.read_text().replace(str(finished), str(tmp_path / "out/uaafusion.safetensors"))
    )
    others = [f"out={tmp_path / 'out2'}", "fusion.steps=1"]
    with pytest.raises(SettingsError, match=r"would leave behind.*distill: true"):
        run(*others)
    with pytest.raises(SettingsError, match="student_channels is 0"):
        run(*others, "distill=true", "model.student_channels=0")
    small = [f"fusion.{value}" for value in ("batch=1", "patch_height=32", "patch_width=48")]
    assert run(*others, *small, "model.student_channels=0").student is None
