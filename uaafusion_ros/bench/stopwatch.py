"""Times the parts of a frame while it is computed, without changing what is computed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from uaafusion_ros.inference.backends import TorchBackend
from uaafusion_ros.network.attribution import Contributions
from uaafusion_ros.network.exact import Attribution, Frame, Mode
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.unfolding import UAAFusion

SEGMENTATION, ATTRIBUTION, STAGES = "segmentation", "attribution", "stages"


class Stopwatch:
    """Seconds spent in named sections; of nested sections only the innermost runs.

    Args:
        settle: called before the clock is read, for devices that compute on their own.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._settle = settle
        self._running: list[str] = []
        self._since = 0.0

    @property
    def running(self) -> bool:
        """Whether any section has begun and not ended."""
        return bool(self._running)

    def begin(self, name: str) -> None:
        """Start a section; the one around it pauses."""
        self._charge()
        self._running.append(name)

    def end(self) -> None:
        """End the innermost section."""
        self._charge()
        self._running.pop()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def take(self) -> dict[str, float]:
        """Return the seconds since the last call, and start anew."""
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken

    def _charge(self) -> None:
        self._settle()
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


class TimedBackend(TorchBackend):
    """A `TorchBackend` that says where its time goes.

    segmentation: S of the average f_0 and of the fused image. attribution: everything done to
    answer which source and where, S's passes on sources and its gradients included. stages: the
    networks of the unfolding.
    """

    def __init__(self, model: UAAFusion, device: str = "cpu", precision: str = "float32") -> None:
        super().__init__(model, device, precision)
        cuda = self._device.type == "cuda"
        self.stopwatch = Stopwatch(torch.cuda.synchronize if cuda else lambda: None)
        for part in (model.infrared_entry, model.visible_entry, *model.stages):
            self._time(part, STAGES)
        for name in ("logits", "scores", "class_ids"):
            self._time_method(model.segmentation, name, SEGMENTATION)
        assert self._mode is not None
        self._mode = _TimedMode(self._mode, self.stopwatch)

    def use(self, mode: str, fast: FastSettings) -> None:
        """See `Backend.use`."""
        if (mode, fast) == self._using:
            return
        super().use(mode, fast)
        if self._mode is not None:
            self._mode = _TimedMode(self._mode, self.stopwatch)

    def _time(self, part: torch.nn.Module, name: str) -> None:
        watch, begun = self.stopwatch, [False]

        def before(*_: Any) -> None:
            # Inside the attribution it is part of the attribution.
            begun[0] = not watch.running
            if begun[0]:
                watch.begin(name)

        def after(*_: Any) -> None:
            if begun[0]:
                watch.end()

        part.register_forward_pre_hook(before)
        part.register_forward_hook(after)

    def _time_method(self, part: torch.nn.Module, method: str, name: str) -> None:
        watch, untimed = self.stopwatch, getattr(part, method)

        def timed(*arguments: Any) -> Any:
            if watch.running:
                return untimed(*arguments)
            with watch.section(name):
                return untimed(*arguments)

        setattr(part, method, timed)


class _TimedMode:
    def __init__(self, mode: Mode, stopwatch: Stopwatch) -> None:
        self._mode, self._stopwatch = mode, stopwatch

    def __call__(self, frame: Frame) -> Attribution:
        with self._stopwatch.section(SEGMENTATION):
            # Whoever asks first would pay for it otherwise.
            _ = frame.labels
        with self._stopwatch.section(ATTRIBUTION):
            return _TimedAttribution(self._mode(frame), self._stopwatch)

    def reset(self) -> None:
        self._mode.reset()


class _TimedAttribution:
    def __init__(self, attribution: Attribution, stopwatch: Stopwatch) -> None:
        self._attribution, self._stopwatch = attribution, stopwatch

    def contributions(self) -> Contributions:
        with self._stopwatch.section(ATTRIBUTION):
            return self._attribution.contributions()

    def gate(self, fused_B1HW: Tensor) -> Tensor | None:
        with self._stopwatch.section(ATTRIBUTION):
            return self._attribution.gate(fused_B1HW)
