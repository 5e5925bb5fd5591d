"""How far an exported graph is from the model in PyTorch, on noise and on the synthetic street."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch

from uaafusion_ros.export.errors import ExportError
from uaafusion_ros.inference.backends import NetworkArrays, TorchBackend
from uaafusion_ros.inference.onnx_backend import OnnxBackend
from uaafusion_ros.inference.onnx_file import OnnxFile
from uaafusion_ros.inference.render import split_colour
from uaafusion_ros.network.modes import FastSettings
from uaafusion_ros.network.unfolding import Output, UAAFusion
from uaafusion_ros.scenes.street import Condition, StreetScene

#: Largest difference of the fused image in float32. Both compute the same sums in another order,
#: which moves them by about 1e-6; but a pixel that stands between two classes may fall to the other
#: by that, and take its weight. What is around such a pixel is not compared, if they are few.
MAXIMUM_DIFFERENCE = 1e-3
AGREEMENT = 0.99
_AROUND = 9
#: Bounds in float16, which has eleven binary digits: it moves the fused image by less than its
#: 8 bits show, but a pixel between two classes may fall to the other and take that region's weight.
#: So no largest difference is asked for, but a mean one of half a grey level (54 dB; rounding to
#: 8 bits alone is 59 dB), and classes that differ at few pixels, as those of a broken graph do not.
HALF_MEAN_SQUARE = (0.5 / 255) ** 2
HALF_AGREEMENT = 0.95
_SIZES = ((96, 128), (97, 131), (256, 320))
#: Seconds; between them a street hardly changes.
_TIMES = (0.0, 0.02)
_CONDITIONS: tuple[Condition, ...] = ("day", "night")


@dataclass(frozen=True)
class Parity:
    """The worst over all pairs that were compared.

    attention: largest difference. fused, infrared_weight: likewise, of pixels whose class agrees;
    the others have another region's. fused_mean_square: of the worst image, whole.
    regions, mask: share of pixels with the same class.
    """

    fused: float
    infrared_weight: float
    attention: float
    fused_mean_square: float
    regions: float
    mask: float

    def summary(self) -> str:
        """Return the figures for people."""
        noise = 10 * np.log10(1 / max(self.fused_mean_square, 1e-12))
        return (
            f"largest difference to PyTorch: fused {self.fused:.1e} (at least {noise:.0f} dB), "
            f"infrared weight {self.infrared_weight:.1e}, attention {self.attention:.1e}; "
            f"classes agree on {self.regions:.3%} of the pixels, {self.mask:.3%} of the mask's"
        )

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)

    def check(self, *, half: bool) -> None:
        """Refuse a graph that differs.

        Raises:
            ExportError: with its differences.
        """
        if half:
            fine = self.fused_mean_square <= HALF_MEAN_SQUARE and self.regions >= HALF_AGREEMENT
            bound = f"54 dB and {HALF_AGREEMENT:.0%} of the classes"
        else:
            fine = self.fused <= MAXIMUM_DIFFERENCE and self.regions >= AGREEMENT
            bound = (
                f"a fused image within {MAXIMUM_DIFFERENCE:g} and {AGREEMENT:.0%} of the classes"
            )
        if not fine:  # also where something is not a number
            raise ExportError(
                f"the graph is not the model, nothing was written: {self.summary()}; expected "
                f"{bound}. " + ("Export it without --half" if half else "Try another torch or onnx")
            )


def compare(model: UAAFusion, file: OnnxFile) -> Parity:
    """Run both on the CPU, on one stream of frames, whose sources are judged or not.

    Args:
        file: the graph; its size is the only one that is compared.
    """
    backends = (
        TorchBackend(model, "cpu"),
        OnnxBackend(file, "cpu", threads=torch.get_num_threads()),
    )
    for backend in backends:
        backend.use("realtime", FastSettings())
    size = file.export.size
    found = [
        _difference(*(backend.run(infrared, visible, Output.ALL, chroma) for backend in backends))
        for infrared, visible, chroma in _pairs((size,) if size else _SIZES)
    ]
    return Parity(
        *(float(np.max([getattr(one, name) for one in found])) for name in _LARGEST),
        *(float(np.min([getattr(one, name) for one in found])) for name in ("regions", "mask")),
    )


_LARGEST = ("fused", "infrared_weight", "attention", "fused_mean_square")


def _difference(expected: NetworkArrays, found: NetworkArrays) -> Parity:
    def difference(name: str) -> np.ndarray:
        return np.abs(getattr(expected, name) - getattr(found, name))

    agree = np.asarray(expected.regions) == np.asarray(found.regions)
    all_agree = cv2.erode(agree.astype(np.uint8), np.ones((_AROUND, _AROUND))) > 0
    return Parity(
        fused=float(difference("fused").max(where=all_agree, initial=0)),
        infrared_weight=float(difference("infrared_weight").max(where=agree, initial=0)),
        attention=float(difference("attention").max()),
        fused_mean_square=float(np.square(difference("fused")).mean()),
        regions=float(agree.mean()),
        mask=float(np.mean(expected.mask == found.mask)),
    )


def _pairs(
    sizes: tuple[tuple[int, int], ...],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Grey noise, and streets by day and by night: float32 [H,W] in 0..1, and chroma uint8 [H,W,2].

    Noise and each street are another scene, where both sources are judged; a street's second frame
    takes what was kept.
    """
    rng = np.random.default_rng(0)
    for height, width in sizes:
        noise = rng.random((2, height, width), np.float32)
        yield noise[0], noise[1], None
        for seed, condition in enumerate(_CONDITIONS):
            scene = StreetScene(height, width, condition, seed=seed)
            for time in _TIMES:
                frame = scene.frame(time)
                luminance, chroma = split_colour(frame.visible)
                yield np.float32(frame.infrared) / 255, luminance, chroma
