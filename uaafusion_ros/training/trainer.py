"""The loop that every phase runs through: draw, divide, add up, step, save."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.training.distributed import Processes
from uaafusion_ros.training.errors import TrainingError
from uaafusion_ros.training.layers import set_sample_seeds
from uaafusion_ros.training.mixture import Batch, Mixture, Unreadable
from uaafusion_ros.training.optimisation import WeightAverage, one_cycle
from uaafusion_ros.training.phase import Phase
from uaafusion_ros.training.settings import TrainingSettings

_HALF_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class StepReport:
    """What one step came to: mean losses over all processes, and the decoder's learning rate."""

    step: int
    losses: dict[str, float]
    learning_rate: float


@dataclass
class PhaseProgress:
    """How far a phase has come; `restored` holds what an interrupted run had saved."""

    step: int = 0
    restored: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Runs one phase on this process's part of every batch."""

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        processes: Processes,
        unreadable: Unreadable,
    ) -> None:
        self._model, self._settings = model, settings
        self._processes, self._unreadable = processes, unreadable

    def run(
        self,
        phase: Phase,
        mixture: Mixture,
        progress: PhaseProgress,
        report: Callable[[StepReport], None],
        save: Callable[[int, dict[str, Any]], None],
    ) -> None:
        """Train `phase` in place from `progress` to its last step.

        Nothing random is left over from one step to the next: samples, augmentation and dropout
        depend on the phase's seed, the step and the sample's number. So a saved state needs no
        generators, and the order is the same in one process or many.

        Args:
            report: called after every step.
            save: called with the number of finished steps and what `progress.restored` needs.

        Raises:
            TrainingError: a loss or gradient is not finite (names the files), weights are not, or
                too many samples are unreadable.
            SettingsError: a batch that cannot be divided among the processes.
        """
        settings = phase.settings
        parts = parts_of(settings.batch, self._processes, self._settings.accumulation)
        phase.train()
        self._model.zero_grad(set_to_none=True)
        work = _Work(
            phase,
            self._processes.wrap(phase.module),
            torch.amp.GradScaler(
                self._processes.device.type,
                enabled=self._settings.precision == "float16"
                and self._processes.device.type == "cuda",
            ),
            WeightAverage(self._model, self._settings.average) if self._settings.average else None,
            [group["lr"] for group in phase.optimiser.param_groups],
        )
        work.restore(progress.restored)
        steps = range(progress.step, settings.steps)
        batches = mixture.batches(steps, parts, self._settings.workers)
        for step in steps:
            losses = self._step(work, step, [next(batches) for _ in parts])
            if work.average is not None:
                work.average.update(self._model)
            rate = phase.optimiser.param_groups[0]["lr"]
            report(StepReport(step + 1, losses, rate))
            progress.step = step + 1
            last = progress.step == settings.steps
            if last or progress.step % self._settings.save_every == 0:
                self._require_finite_weights(phase, progress.step)
                if not last:
                    save(progress.step, work.state())
        phase.optimiser.zero_grad(set_to_none=True)
        if work.average is not None:
            work.average.copy_to(self._model)

    def _step(self, work: _Work, step: int, batches: list[Batch]) -> dict[str, float]:
        phase, settings = work.phase, work.phase.settings
        for batch in batches:
            for key, reason in batch.unreadable:
                self._unreadable.note(key, reason)
        rate, beta = one_cycle(step, settings.steps, settings.rise)
        for group, peak in zip(phase.optimiser.param_groups, work.peaks, strict=True):
            group["lr"], group["betas"] = peak * rate, (beta, group["betas"][1])
        losses, finite = self._accumulate(work, batches)
        if not finite:
            self._stop("loss", phase, step, batches)
        work.scaler.unscale_(phase.optimiser)
        norm = nn.utils.clip_grad_norm_(
            [p for group in phase.optimiser.param_groups for p in group["params"]],
            settings.clip or float("inf"),
        )
        if not work.scaler.is_enabled() and not torch.isfinite(norm):
            self._stop("gradient", phase, step, batches)
        work.scaler.step(phase.optimiser)
        work.scaler.update()
        phase.optimiser.zero_grad(set_to_none=True)
        return losses

    def _accumulate(self, work: _Work, batches: list[Batch]) -> tuple[dict[str, float], bool]:
        """Add up the gradients of all parts; return the mean losses and whether ours are finite."""
        device = self._processes.device
        tensors = [
            {name: value.to(device, non_blocking=True) for name, value in batch.tensors.items()}
            for batch in batches
        ]
        totals = torch.stack([work.phase.label_total(part) for part in tensors])
        # DistributedDataParallel takes the mean over processes, so the divisor is their mean.
        total = self._processes.mean(totals.sum())
        sums: dict[str, Tensor] = {}
        half = _HALF_PRECISIONS.get(self._settings.precision)
        for index, (part, batch) in enumerate(zip(tensors, batches, strict=True)):
            set_sample_seeds(work.phase.module, batch.keys)
            last = index == len(batches) - 1
            with work.synchronised(last):
                with torch.autocast(device.type, dtype=half, enabled=half is not None):
                    losses = work.wrapped(**part, total=total, share=1 / len(batches))
                if not losses:
                    raise SettingsError(f"{work.phase.name}: every loss is switched off")
                work.scaler.scale(torch.stack(list(losses.values())).sum()).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
        ours = torch.stack(list(sums.values()))
        means = self._processes.mean(ours)
        finite = bool(torch.isfinite(means).all())
        return dict(zip(sums, means.tolist(), strict=True)), finite

    def _require_finite_weights(self, phase: Phase, step: int) -> None:
        """A rate far too high spoils weights a step before it shows in the loss."""
        if all(bool(torch.isfinite(value).all()) for value in self._model.parameters()):
            return
        raise TrainingError(
            f"the weights are not finite after step {step} of {phase.name}; the state saved before "
            f"it is kept. Lower {phase.name}.learning_rate, then --resume"
        )

    def _stop(self, what: str, phase: Phase, step: int, batches: list[Batch]) -> None:
        """Every process arrives here in the same step, since all saw the same means."""
        names = [name for batch in batches for name in batch.names]
        everywhere = [name for part in self._processes.gather(names) for name in part]
        raise TrainingError(
            f"the {what} is not finite at step {step + 1} of {phase.name}; the batch was "
            f"{', '.join(everywhere)}. The state saved before it is kept"
        )


@dataclass
class _Work:
    """What belongs to one run of one phase."""

    phase: Phase
    wrapped: nn.Module
    scaler: torch.amp.GradScaler
    average: WeightAverage | None
    peaks: list[float]

    def synchronised(self, last: bool) -> Any:
        """Exchange gradients only with the last part of a step."""
        if last or not isinstance(self.wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self.wrapped.no_sync()

    def state(self) -> dict[str, Any]:
        return {
            "optimiser": self.phase.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state() if self.average is not None else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        if not state:
            return
        self.phase.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None and state["average"] is not None:
            self.average.restore(state["average"])


def parts_of(batch: int, processes: Processes, accumulation: int) -> list[range]:
    """Return this process's ranges of sample indices, one for every part of a step.

    Raises:
        SettingsError: a batch that cannot be divided among the processes.
    """
    divisor = processes.world * accumulation
    if batch % divisor:
        raise SettingsError(
            f"batch is {batch}, which {processes.world} processes with {accumulation} parts each "
            f"cannot share; expected a multiple of {divisor}"
        )
    size = batch // divisor
    return [
        range(start, start + size)
        for start in (
            (part * processes.world + processes.rank) * size for part in range(accumulation)
        )
    ]
