"""Convolutional building blocks and the long/short-term memory of a stage (paper, section III-D).

Shape legend: B batch, N channels, h and w pixels of the resolution that the stages run at.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Unit(nn.Sequential):
    """conv3x3, PReLU with one slope, conv3x3; both pad by reflection. [B,n,h,w] -> [B,m,h,w]."""

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        super().__init__(
            reflecting_convolution(in_channels, hidden_channels),
            nn.PReLU(),
            reflecting_convolution(hidden_channels, out_channels),
        )

    def silence(self) -> None:
        """Let the unit return zero until it is trained."""
        last = self[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def reflecting_convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size and pads by reflection."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")


class ConvLSTM(nn.Module):
    """One step of a convolutional LSTM (Shi et al. 2015) in the release's form.

    The gates stand in the order forget, input, output, candidate. All are sigmoids but the
    candidate, a tanh. Without a state (the first stage) c = i*j and h = o*c, with no tanh on c.
    """

    def __init__(self, channels: int, *, has_state: bool) -> None:
        super().__init__()
        self.has_state = has_state
        # Input and hidden convolutions are one convolution over both, side by side. The first
        # step has no hidden state, and so neither its convolution nor a forget gate.
        self.gates = reflecting_convolution(
            channels * (2 if has_state else 1), channels * (4 if has_state else 3)
        )

    def forward(
        self, features: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Return the next (h, c), each [B,N,h,w]."""
        if not self.has_state or state is None:
            if self.has_state:
                raise ValueError("this step of the memory continues a state, but none was given")
            entry, output, candidate = self.gates(features).chunk(3, dim=1)
            cell = entry.sigmoid() * candidate.tanh()
            return output.sigmoid() * cell, cell
        hidden, cell = state
        gates = self.gates(torch.cat((features, hidden), dim=1))
        forget, entry, output, candidate = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + entry.sigmoid() * candidate.tanh()
        return output.sigmoid() * cell.tanh(), cell


class Memory(nn.Module):
    """Writes what a stage saw into the long memory that the next stage reads."""

    def __init__(self, channels: int, *, has_state: bool) -> None:
        super().__init__()
        self.entry = Unit(3 * channels, channels, channels)
        self.lstm = ConvLSTM(channels, has_state=has_state)
        self.exit = Unit(channels, channels, channels)

    def forward(
        self,
        features: Tensor,
        long: Tensor,
        short: Tensor,
        state: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the long memory [B,N,h,w] and the LSTM's state for the next stage."""
        state = self.lstm(self.entry(torch.cat((features, long, short), dim=1)), state)
        return self.exit(state[0]), state
