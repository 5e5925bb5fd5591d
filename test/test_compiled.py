"""Realtime mode compiled for one size: the same answers, or a reason and the same answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_modes import HEADLESS, TINY, build, let_speak

import uaafusion_ros.inference.compiled as compiled_module
from uaafusion_ros.inference.backends import TorchBackend
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.unfolding import Output
from uaafusion_ros.scenes.street import StreetScene

SIZE = (64, 96)
WANTED = Output.ALL & ~Output.SCORES
FAST = FastSettings(every=4, change=0.5)
NAMES = ("fused", "mask", "infrared_weight", "attention", "regions", "contribution_visible")


def backend(seed: int = 0, size: tuple[int, int] | None = SIZE, config=TINY) -> TorchBackend:
    torch.manual_seed(seed)
    model = build(config)
    if model.student is not None:
        let_speak(model.student)
    found = TorchBackend(model, "cpu", compile_size=size)
    found.use("auto", FAST)
    return found


def pair(number: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    frame = StreetScene(height, width, ("night", "fog")[number % 2], seed=number // 3).frame(0.0)
    visible = cv2.cvtColor(frame.visible, cv2.COLOR_BGR2GRAY)
    return frame.infrared.astype(np.float32) / 255, visible.astype(np.float32) / 255


@pytest.fixture(autouse=True)
def _traced_alone(monkeypatch) -> None:
    """Traced whole, guarded and functionalised as always, but not made into C++.

    That takes a minute; `uaafusion bench --node --compile` does it.
    """
    monkeypatch.setattr(compiled_module, "_COMPILER", "aot_eager")


@pytest.fixture
def compiled(_traced_alone) -> TorchBackend:
    return backend()


def test_what_is_compiled_answers_as_what_is_not(compiled, monkeypatch) -> None:
    """Judged frames, kept shares, a class that enters, and in the middle another size."""
    plain = backend(size=None)
    assert compiled.notice == ""
    taken = []
    call = type(compiled._compiled).__call__
    monkeypatch.setattr(
        type(compiled._compiled),
        "__call__",
        lambda *arguments: taken.append(call(*arguments)) or taken[-1],
    )
    for number in range(9):
        images = pair(number, *(SIZE if number != 5 else (72, 80)))
        found, expected = (each.run(*images, WANTED) for each in (compiled, plain))
        for name in NAMES:
            np.testing.assert_allclose(
                getattr(found, name), getattr(expected, name), atol=1e-5, err_msg=f"{number} {name}"
            )
        assert ("frames are 72x80" in compiled.misfit) == (number == 5)
        assert compiled.state()["age"] == plain.state()["age"]
    assert {result is None for result in taken} == {True, False}, "both ways were taken"


def test_a_successor_is_compiled_however_many_there_were(compiled) -> None:
    """PyTorch compiles one piece of code for a few models and then, silently, no more."""
    assert compiled.notice == ""
    with torch._dynamo.config.patch(error_on_recompile=True):
        successor = backend(seed=2)
        assert successor.notice == ""
        for _ in range(2):
            successor.run(*pair(0, *SIZE), WANTED)


def test_without_a_compiler_it_says_so_and_fuses_all_the_same(monkeypatch, tmp_path: Path) -> None:
    inductor = pytest.importorskip("torch._inductor.config")
    monkeypatch.setattr(compiled_module, "_COMPILER", "inductor")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with inductor.patch({"cpp.cxx": (None, str(tmp_path / "absent")), "fx_graph_cache": False}):
        found = backend(seed=3)
    assert found.notice.startswith("realtime mode runs without being compiled: ")
    images = pair(0, *SIZE)
    expected = backend(seed=3, size=None).run(*images, WANTED).fused
    np.testing.assert_array_equal(found.run(*images, WANTED).fused, expected)


def test_a_model_without_realtime_has_nothing_to_compile() -> None:
    found = backend(config=replace(HEADLESS, stages=1))
    assert "no realtime mode to compile" in found.notice
