"""The segmentation network S: luminance in, where it is known with chroma, class scores out.

Two decoders stand on the encoders: the release's DeepLabV3+ decoder and a feature pyramid.

Shape legend: B batch, C classes, H and W pixels of the image.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from uaafusion_ros.network.config import ModelConfig
from uaafusion_ros.network.encoder import ENCODER_TABLES, ConvNorm, Encoder
from uaafusion_ros.network.resampling import enlarge, resize, scale


class DeepLabDecoder(nn.Module):
    """The release's decoder: the deepest features beside the finest, two wide convolutions."""

    LOW_LEVEL_CHANNELS = 48

    def __init__(
        self, scale_channels: Iterable[int], channels: int, *, align_corners: bool
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        _, low, *_, high = scale_channels
        self.shortcut = ConvNorm(low, self.LOW_LEVEL_CHANNELS, 1, bias=True, activation=nn.ReLU())
        self.merge = ConvNorm(
            high + self.LOW_LEVEL_CHANNELS, channels, 3, bias=True, activation=nn.ReLU()
        )
        self.refine = ConvNorm(channels, channels, 3, bias=True, activation=nn.ReLU())
        self.dropout_merge, self.dropout_refine = nn.Dropout(0.5), nn.Dropout(0.1)

    def forward(self, scales: list[Tensor]) -> Tensor:
        low = self.shortcut(scales[1])
        high = enlarge(scales[-1], low, self.align_corners)
        merged = self.dropout_merge(self.merge(torch.cat((high, low), dim=1)))
        return self.dropout_refine(self.refine(merged))


class PyramidDecoder(nn.Module):
    """Sums the scales from coarse to fine (Lin et al. 2017), with the image's mean as context.

    Down to 1/4 all have `channels`; `detail_channels` above 0 adds a thin level at 1/2, for what is
    a few pixels wide: poles, signs, people far away.
    """

    def __init__(
        self,
        scale_channels: Iterable[int],
        channels: int,
        detail_channels: int = 0,
        *,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        finest, *widths = scale_channels
        self.lateral = nn.ModuleList(ConvNorm(width, channels, 1, bias=False) for width in widths)
        self.context = nn.Sequential(nn.Conv2d(widths[-1], channels, 1), nn.ReLU())
        self.smooth = nn.ModuleList(
            ConvNorm(channels, channels, 3, activation=nn.ReLU()) for _ in widths
        )
        self.detail: _Detail | None = None
        if detail_channels:
            self.detail = _Detail(finest, channels, detail_channels, align_corners=align_corners)
        self.dropout = nn.Dropout(0.1)

    def forward(self, scales: list[Tensor]) -> Tensor:
        finest, *scales = scales
        # adaptive_avg_pool2d has no second place in ONNX's fixed-shape runtimes; mean has.
        features = self.lateral[-1](scales[-1]) + self.context(
            scales[-1].mean(dim=(2, 3), keepdim=True)
        )
        features = self.smooth[-1](features)
        for index in range(len(scales) - 2, -1, -1):
            fine = self.lateral[index](scales[index])
            coarse = enlarge(features, fine, self.align_corners)
            features = self.smooth[index](fine + coarse)
        if self.detail is not None:
            features = self.detail(features, finest)
        return self.dropout(features)


class _Detail(nn.Module):
    """The pyramid's thin finest level."""

    def __init__(
        self, finest: int, channels: int, detail_channels: int, *, align_corners: bool
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.lateral = ConvNorm(finest, detail_channels, 1)
        self.shrink = ConvNorm(channels, detail_channels, 1)
        self.smooth = ConvNorm(detail_channels, detail_channels, 3, activation=nn.ReLU())

    def forward(self, features: Tensor, finest: Tensor) -> Tensor:
        fine = self.lateral(finest)
        return self.smooth(fine + enlarge(self.shrink(features), fine, self.align_corners))


class SegmentationNetwork(nn.Module):
    """S: luminance [B,1,H,W] in 0..1 to class scores [B,C,H,W] in 0..1 (paper, section III-C).

    Any size from 32x32 up, odd sizes included. A network of `segmentation_colour` may be given
    chroma [B,2,H,W] (Cr and Cb in -0.5..0.5) as well; others pass over it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(
            ENCODER_TABLES[config.encoder], config.output_stride, colour=config.segmentation_colour
        )
        widths, channels = self.encoder.scale_channels, config.decoder_channels
        self.align_corners = config.align_corners
        self.decoder: nn.Module
        if config.decoder == "deeplab":
            self.decoder = DeepLabDecoder(widths, channels, align_corners=self.align_corners)
        else:
            self.decoder = PyramidDecoder(
                widths, channels, config.detail_channels, align_corners=self.align_corners
            )
        self.classes = len(config.classes)
        #: Channels of `features` and the pixels between two of them.
        self.feature_channels = config.detail_channels or channels
        self.feature_stride = 2 if config.detail_channels else 4
        self.classifier = nn.Conv2d(self.feature_channels, self.classes, 1)
        self.softmax = config.scores == "softmax"
        self.mask_sizes = config.mask_sizes

    def features(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> Tensor:
        """Return what the classifier reads, [B,N,h,w]."""
        return self.decoder(self.encoder(luminance_B1HW, chroma_B2HW))

    def classify(self, features_BNhw: Tensor, like: Tensor) -> Tensor:
        """Return class logits [B,C,H,W] of features, at the size of `like`."""
        return enlarge(self.classifier(features_BNhw), like, self.align_corners)

    def logits(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> Tensor:
        """Return class logits [B,C,H,W]."""
        return self.classify(self.features(luminance_B1HW, chroma_B2HW), luminance_B1HW)

    def forward(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> Tensor:
        """Return class scores [B,C,H,W] in 0..1."""
        return self.scores(self.logits(luminance_B1HW, chroma_B2HW))

    def scores(self, logits_BCHW: Tensor) -> Tensor:
        """Turn logits into scores, each class alone (sigmoid) or against the others (softmax)."""
        return logits_BCHW.softmax(dim=1) if self.softmax else logits_BCHW.sigmoid()

    def class_ids(self, logits_BCHW: Tensor) -> Tensor:
        """Return the class of the highest score at every pixel, int64 [B,H,W].

        A softmax keeps the order of its logits and is spared; sigmoids round the highest ones to 1,
        of which the first counts.
        """
        return class_ids(logits_BCHW if self.softmax else logits_BCHW.sigmoid())

    def mask_scores(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> Tensor:
        """Return class scores [B,C,H,W] in 0..1, the mean over the readings at `mask_sizes`.

        What is far away is larger in a larger image, and what fills a small one is seen whole.
        """
        readings = [
            self.scores(self._logits_at(size, luminance_B1HW, chroma_B2HW))
            for size in self.mask_sizes
        ]
        return torch.stack(readings).mean(dim=0) if len(readings) > 1 else readings[0]

    def mask(self, luminance_B1HW: Tensor, chroma_B2HW: Tensor | None = None) -> Tensor:
        """Return the class of the highest of `mask_scores` at every pixel, int64 [B,H,W]."""
        if len(self.mask_sizes) > 1:
            return class_ids(self.mask_scores(luminance_B1HW, chroma_B2HW))
        return self.class_ids(self._logits_at(self.mask_sizes[0], luminance_B1HW, chroma_B2HW))

    def _logits_at(self, size: float, luminance: Tensor, chroma: Tensor | None) -> Tensor:
        """Class logits at the size of `luminance`, of the images read at `size` times that."""
        scaled = scale(luminance, size, self.align_corners)
        colours = None if chroma is None else scale(chroma, size, self.align_corners)
        return resize(self.logits(scaled, colours), luminance, self.align_corners)

    def fold(self) -> None:
        """Merge every batch norm into its convolution; for inference only."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()


def class_ids(scores_BCHW: Tensor) -> Tensor:
    """Return the class of the highest score at every pixel, int64 [B,H,W]; the first of equals."""
    tracing = torch.jit.is_tracing() or getattr(torch.compiler, "is_compiling", bool)()
    if scores_BCHW.device.type != "cpu" or tracing:
        return scores_BCHW.argmax(dim=1)
    # On a CPU torch's argmax across planes takes 12 times as long as this.
    count = scores_BCHW.shape[1]
    highest = scores_BCHW.amax(dim=1, keepdim=True)
    ranks = torch.arange(count, 0, -1, dtype=torch.uint8)[:, None, None]
    first = ((scores_BCHW == highest) * ranks).amax(dim=1)
    # Where a score is not a number nothing is the highest.
    return (count - first).clamp_(max=count - 1).long()
