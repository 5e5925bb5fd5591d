"""Counts multiply-adds, of gradients too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from uaafusion_ros.network import exact


class _Counter(TorchDispatchMode):
    """torch's own counter follows modules as well, which torch.autograd.grad does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.total += _of_convolution(result, args[1])
        elif func is torch.ops.aten.convolution_backward.default:
            gradients = sum(wanted for wanted in args[10][:2])
            self.total += gradients * _of_convolution(args[0], args[2])
        return result


def count_multiply_adds(run: Callable[[], object]) -> int:
    """Return the multiply-adds of all convolutions in `run`; nothing else weighs beside them."""

    def in_this_thread(
        function: Callable[[Tensor], Tensor], sources: Sequence[Tensor]
    ) -> list[Tensor]:
        return [function(source) for source in sources]

    # What other threads compute is not seen.
    with mock.patch.object(exact, "single_threaded", in_this_thread), _Counter() as counter:
        run()
    return counter.total


def _of_convolution(output: Tensor, weight: Tensor) -> int:
    return output.numel() * weight[0].numel()
