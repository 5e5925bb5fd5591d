"""Encoders of the MobileNetV2 family: an image in, features at five scales out.

MobileNetV2 (Sandler et al. 2018) and EfficientNet-Lite (Liu 2020) are built from one table.

Shape legend: B batch, H and W pixels of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True)
class BlockRow:
    """One row of an encoder table: `repeats` inverted residual blocks, the first with `stride`."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int = 3


@dataclass(frozen=True)
class EncoderTable:
    """The shape of an encoder; rows 0, 1, 2, 4, 6 end the scales 1/2, 1/4, 1/8, 1/16, 1/32."""

    stem_channels: int
    rows: tuple[BlockRow, ...]
    norm_epsilon: float


ENCODER_TABLES = {
    "mobilenet_v2": EncoderTable(
        stem_channels=32,
        rows=(
            BlockRow(1, 16, 1, 1),
            BlockRow(6, 24, 2, 2),
            BlockRow(6, 32, 3, 2),
            BlockRow(6, 64, 4, 2),
            BlockRow(6, 96, 3, 1),
            BlockRow(6, 160, 3, 2),
            BlockRow(6, 320, 1, 1),
        ),
        norm_epsilon=1e-5,
    ),
    "efficientnet_lite0": EncoderTable(
        stem_channels=32,
        rows=(
            BlockRow(1, 16, 1, 1),
            BlockRow(6, 24, 2, 2),
            BlockRow(6, 40, 2, 2, kernel=5),
            BlockRow(6, 80, 3, 2),
            BlockRow(6, 112, 3, 1, kernel=5),
            BlockRow(6, 192, 4, 2, kernel=5),
            BlockRow(6, 320, 1, 1),
        ),
        norm_epsilon=1e-3,
    ),
}
SCALE_ROWS = (0, 1, 2, 4, 6)
#: Cr and Cb of YCrCb (BT.601), each -0.5..0.5, 0 where there is no colour.
CHROMA_CHANNELS = 2


class ConvNorm(nn.Module):
    """Convolution, batch norm and activation; `fold` merges the first two for inference."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        bias: bool = False,
        epsilon: float = 1e-5,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.norm: nn.Module = nn.BatchNorm2d(out_channels, eps=epsilon)
        self.activation = activation if activation is not None else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(features)))

    def fold(self) -> None:
        """Merge the batch norm's running statistics into the convolution; no training after it."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()
        if isinstance(self.activation, nn.ReLU6 | nn.ReLU):
            self.activation.inplace = True  # its input is the convolution's, which nobody else has


class Stem(ConvNorm):
    """The first layer of an encoder: luminance, and chroma where it is given and learned.

    Grey is chroma 0, for which its weights are not even multiplied. Chroma keeps its mean of 0 up
    to the border, where the convolution pads with 0.
    """

    def __init__(self, table: EncoderTable, *, colour: bool) -> None:
        super().__init__(
            1 + CHROMA_CHANNELS * colour,
            table.stem_channels,
            3,
            stride=2,
            epsilon=table.norm_epsilon,
            activation=nn.ReLU6(),
        )

    def forward(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> Tensor:
        if self.conv.in_channels == 1:
            return super().forward(luminance_B1HW)
        if chroma_B2HW is not None:
            return super().forward(torch.cat((luminance_B1HW, chroma_B2HW), dim=1))
        weight, bias = self.conv.weight[:, :1], self.conv.bias
        features = F.conv2d(luminance_B1HW, weight, bias, self.conv.stride, self.conv.padding)
        return self.activation(self.norm(features))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (Sandler et al. 2018, figure 3)."""

    def __init__(
        self, in_channels: int, row: BlockRow, stride: int, dilation: int, epsilon: float
    ) -> None:
        super().__init__()
        hidden = in_channels * row.expansion
        layers: list[nn.Module] = []
        if row.expansion > 1:
            layers.append(ConvNorm(in_channels, hidden, 1, epsilon=epsilon, activation=nn.ReLU6()))
        layers.append(
            ConvNorm(
                hidden,
                hidden,
                row.kernel,
                stride=stride,
                groups=hidden,
                dilation=dilation,
                epsilon=epsilon,
                activation=nn.ReLU6(),
            )
        )
        layers.append(ConvNorm(hidden, row.channels, 1, epsilon=epsilon))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == row.channels

    def forward(self, features: Tensor) -> Tensor:
        result = self.layers(features)
        return features + result if self.residual else result


class Encoder(nn.Module):
    """Returns the features at 1/2, 1/4, 1/8, 1/16 and the deepest scale."""

    def __init__(self, table: EncoderTable, output_stride: int, *, colour: bool = False) -> None:
        super().__init__()
        self.stem = Stem(table, colour=colour)
        rows: list[nn.Module] = []
        channels, scale, dilation = table.stem_channels, 2, 1
        for row in table.rows:
            blocks: list[nn.Module] = []
            for index in range(row.repeats):
                stride = row.stride if index == 0 else 1
                block_dilation = dilation
                if stride == 2 and scale == output_stride:
                    # The block that gives up its stride keeps dilation 1; those after it take 2,
                    # so that each still sees what it saw when it was trained with the stride.
                    stride, dilation = 1, 2
                scale *= stride
                blocks.append(
                    InvertedResidual(channels, row, stride, block_dilation, table.norm_epsilon)
                )
                channels = row.channels
            rows.append(nn.Sequential(*blocks))
        self.rows = nn.ModuleList(rows)
        self.scale_channels = tuple(table.rows[index].channels for index in SCALE_ROWS)

    def forward(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> list[Tensor]:
        features = self.stem(luminance_B1HW, chroma_B2HW)
        scales = []
        for index, row in enumerate(self.rows):
            features = row(features)
            if index in SCALE_ROWS:
                scales.append(features)
        return scales
