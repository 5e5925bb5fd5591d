"""One description of a model: its shape, its way of attribution and its classes.

It is stored inside the checkpoint, so that a file is all that is needed to rebuild the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ENCODERS = ("mobilenet_v2", "efficientnet_lite0")
DECODERS = ("deeplab", "pyramid")
SCORES = ("sigmoid", "softmax")
ATTENTIONS = ("normalised", "raw", "off")
ATTENTION_GAINS = ("signed", "magnitude")
ATTENTION_STARTS = ("average", "blurred")
CONTRIBUTIONS = ("completeness", "per_class")

#: Class names and colours (RGB) of the FMB data set, which the released checkpoint was trained on.
FMB_CLASSES: dict[str, tuple[int, int, int]] = {
    "unlabelled": (0, 0, 0),
    "road": (112, 96, 128),
    "sidewalk": (228, 130, 196),
    "building": (120, 110, 100),
    "traffic light": (255, 176, 0),
    "traffic sign": (255, 240, 70),
    "vegetation": (88, 150, 60),
    "sky": (110, 180, 235),
    "person": (235, 50, 60),
    "car": (50, 90, 230),
    "truck": (20, 140, 160),
    "bus": (0, 200, 160),
    "motorcycle": (160, 60, 220),
    "bicycle": (200, 120, 255),
    "pole": (190, 190, 190),
}


#: A description comes from a file: it must not make a reader build something monstrous.
LIMITS = {
    "stages": (1, 100),
    "channels": (1, 4096),
    "decoder_channels": (1, 4096),
    "detail_channels": (0, 4096),
    "student_channels": (0, 4096),
    "attribution_steps": (1, 1000),
}


#: How often a mask may be read, and at what factors of the image's size.
MASK_READINGS, MASK_SIZES = 4, (0.5, 3.0)


class ConfigError(ValueError):
    """A model description that names something unknown or impossible."""


@dataclass(frozen=True)
class ModelConfig:
    """Describes a UAAFusion model; the defaults are the authors' release (arXiv 2502.01467).

    Raises:
        ConfigError: an unknown choice or an impossible number, with what is allowed.
    """

    classes: tuple[str, ...] = tuple(FMB_CLASSES)
    #: One RGB colour in 0..255 a class.
    palette: tuple[tuple[int, int, int], ...] = tuple(FMB_CLASSES.values())

    encoder: str = "mobilenet_v2"
    #: ``deeplab`` is the release's; ``pyramid`` sums features of four scales and is far cheaper.
    decoder: str = "deeplab"
    decoder_channels: int = 256
    #: Channels of the pyramid's level at half resolution; 0 ends it at a quarter.
    detail_channels: int = 0
    #: Resolution of the deepest features, as a fraction 1/16 or 1/32 of the image.
    output_stride: int = 16
    #: Whether S enlarges its coarse features as the release does, whose place then depends on the
    #: image's size (resampling.py); False is for `pyramid` networks that were trained so.
    align_corners: bool = True
    scores: str = "sigmoid"
    #: S reads the visible image's chroma beside the fused luminance, as people do; without chroma
    #: (infrared images, grey cameras, attribution) it reads luminance alone.
    segmentation_colour: bool = False
    #: The mask is the class of the highest mean score of S, which reads the fused image at these
    #: factors of its size; the paper's is read once, as it is.
    mask_sizes: tuple[float, ...] = (1.0,)

    stages: int = 5
    channels: int = 32
    #: 2 runs the proximal steps at half resolution on 2x2 pixels folded into channels.
    unshuffle: int = 1
    #: A proximal step corrects its input (before the sigmoid) instead of drawing the image anew.
    residual: bool = False

    attention: str = "raw"
    #: What A_k adds up of gradient times change: the paper's ``signed`` product, or its
    #: ``magnitude``, which neither cancels out over an object nor needs a gradient to be guessed.
    attention_gain: str = "signed"
    #: Where the path of A_k begins: at f_0, the paper's ``average`` of the sources, so that A_0 = 0
    #: and A_k tells what the stages changed; or at f_k ``blurred``, so that it tells of all that
    #: f_k shows, from the first stage on.
    attention_start: str = "average"
    #: Width in pixels (odd) of the box that the gain of A_k is averaged over, twice; 1 is none.
    attention_smoothing: int = 1
    contributions: str = "per_class"
    #: N, the number of points on the straight path of ``per_class``.
    attribution_steps: int = 5
    #: tau of w_i = sigmoid((F_c(i) - F_c(v)) / tau); 0 takes the ratio of the contributions.
    weight_temperature: float = 0.0

    #: Width of the head that predicts the attribution (``realtime``); 0 is none.
    student_channels: int = 0

    @property
    def attends_from_blurred(self) -> bool:
        """Whether A_k tells of all that f_k shows, so that A_0 has a gain, too."""
        return self.attention_start == "blurred"

    def __post_init__(self) -> None:
        _check_choice("encoder", self.encoder, ENCODERS)
        _check_choice("decoder", self.decoder, DECODERS)
        _check_choice("scores", self.scores, SCORES)
        _check_choice("attention", self.attention, ATTENTIONS)
        _check_choice("attention_gain", self.attention_gain, ATTENTION_GAINS)
        _check_choice("attention_start", self.attention_start, ATTENTION_STARTS)
        _check_choice("contributions", self.contributions, CONTRIBUTIONS)
        _check_choice("output_stride", self.output_stride, (16, 32))
        _check_choice("unshuffle", self.unshuffle, (1, 2, 4))
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {least} to {most}")
        if self.channels % 2:
            raise ConfigError(f"channels is {self.channels}, expected an even number")
        if self.attention_smoothing < 1 or self.attention_smoothing % 2 == 0:
            raise ConfigError(
                f"attention_smoothing is {self.attention_smoothing}, expected an odd number >= 1"
            )
        if self.detail_channels and self.decoder != "pyramid":
            raise ConfigError(
                f"detail_channels is {self.detail_channels} with decoder {self.decoder!r}, "
                "expected 0, or more with decoder 'pyramid'"
            )
        if self.weight_temperature < 0:
            raise ConfigError(f"weight_temperature is {self.weight_temperature}, expected >= 0")
        check_mask_sizes(self.mask_sizes)
        self._check_student()
        self._check_classes()

    def _check_student(self) -> None:
        if self.student_channels and self.attention != "off" and self.attention_gain == "signed":
            raise ConfigError(
                f"student_channels is {self.student_channels} with attention_gain 'signed', "
                "expected 0, or 'magnitude': the sign of a gradient is not to be guessed"
            )

    def _check_classes(self) -> None:
        if not 2 <= len(self.classes) <= 255:
            raise ConfigError(f"{len(self.classes)} classes, expected 2 to 255")
        if len(self.palette) != len(self.classes):
            raise ConfigError(
                f"palette has {len(self.palette)} colours for {len(self.classes)} classes, "
                "expected one each"
            )
        for colour in self.palette:
            if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
                raise ConfigError(f"palette entry {colour}, expected three numbers in 0..255")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Rebuild a description from `to_dict`.

        Raises:
            ConfigError: unknown fields or values.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown model settings {unknown}, expected some of {sorted(known)}")
        values = dict(values)
        try:
            if "classes" in values:
                values["classes"] = tuple(str(name) for name in values["classes"])
            if "mask_sizes" in values:
                values["mask_sizes"] = tuple(float(size) for size in values["mask_sizes"])
            if "palette" in values:
                values["palette"] = tuple(
                    (int(red), int(green), int(blue)) for red, green, blue in values["palette"]
                )
            return cls(**values)
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"malformed model settings: {error}") from error


def check_mask_sizes(sizes: Sequence[float]) -> None:
    """Check `ModelConfig.mask_sizes`.

    Raises:
        ConfigError: none or too many, or an impossible factor.
    """
    least, most = MASK_SIZES
    if not 1 <= len(sizes) <= MASK_READINGS or not all(least <= size <= most for size in sizes):
        raise ConfigError(
            f"mask_sizes is {list(sizes)}, expected 1 to {MASK_READINGS} factors of the image's "
            f"size, each {least:g} to {most:g}"
        )


def class_list(
    classes: Sequence[str], palette: Sequence[tuple[int, int, int]]
) -> dict[str, list[dict[str, Any]]]:
    """Return names and RGB colours by id, as the classes topic and classes.json hold them."""
    return {
        "classes": [
            {"id": index, "name": name, "rgb": list(rgb)}
            for index, (name, rgb) in enumerate(zip(classes, palette, strict=True))
        ]
    }


def _check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}, expected one of {list(allowed)}")
