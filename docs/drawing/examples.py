"""Draws what the shipped model finds in one pair of the synthetic street, for docs/method.md.

python docs/drawing/examples.py docs/pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from svg import FAINT, INFRARED, VISIBLE, Drawing
from torch import Tensor

from uaafusion_ros.inference.models import read_model
from uaafusion_ros.inference.render import split_colour
from uaafusion_ros.network.attribution import region_areas, region_scores
from uaafusion_ros.network.exact import Attribution, Exact, Frame
from uaafusion_ros.network.unfolding import UAAFusion
from uaafusion_ros.scenes.street import StreetScene

WIDTH, HEIGHT = 320, 256
SCENE = StreetScene(HEIGHT, WIDTH, "night", seed=2)
TIME = 2.4
ROWS = 8
"""Regions that the table of weights shows, the largest ones."""


class Watched:
    """Mode `exact` that remembers every f_k and gate."""

    def __init__(self, model: UAAFusion) -> None:
        self._exact = Exact(model)
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def __call__(self, frame: Frame) -> Attribution:
        self.frame = frame
        self._attribution = self._exact(frame)
        return self

    def contributions(self):
        return self._attribution.contributions()

    def gate(self, fused: Tensor) -> Tensor | None:
        gate = self._attribution.gate(fused)
        self.seen.append((fused, gate))
        return gate

    def reset(self) -> None:
        self.seen.clear()


def grey(image: Tensor) -> np.ndarray:
    """An image [1,1,H,W] in 0..1 as uint8 [H,W]."""
    return np.rint(image[0, 0].clamp(0, 1).numpy() * 255).astype(np.uint8)


def coloured(image: Tensor, low: float, high: float) -> np.ndarray:
    """An image [1,1,H,W] from blue (low) over white to orange (high), BGR uint8."""
    share = ((image[0, 0].numpy() - low) / (high - low)).clip(0, 1)[..., None]
    blue, white, orange = (
        np.array(c, np.float32) for c in ((184, 112, 29), (255,) * 3, (28, 105, 217))
    )
    lower = blue + (white - blue) * (share * 2)
    upper = white + (orange - white) * (share * 2 - 1)
    return np.where(share < 0.5, lower, upper).astype(np.uint8)


def weights(model: UAAFusion, watched: Watched, share: Tensor) -> Drawing:
    """Which source helps which region, with this pair's numbers."""
    frame, config = watched.frame, model.config
    labels = frame.labels
    regions = np.array(config.palette, np.uint8)[labels[0].numpy()][..., ::-1]
    drawing = Drawing(1000, 520, "Which source helps which region, in numbers of one pair")
    for index, (title, picture) in enumerate(
        (
            ("infrared", grey(frame.infrared)),
            ("visible (luminance)", grey(frame.visible)),
            ("regions: argmax S(f₀)", np.ascontiguousarray(regions)),
            ("wᵢ: orange infrared", coloured(share, 0, 1)),
        )
    ):
        x = 20 + index * 243
        drawing.picture((x, 36, 231, 185), picture)
        drawing.text(x + 115, 26, title, bold=True)
    with torch.no_grad():
        infrared, visible = (
            region_scores(model.segmentation(source), labels)[0]
            for source in (frame.infrared, frame.visible)
        )
    areas = region_areas(labels, len(config.classes))[0]
    drawing.text(40, 258, "region", bold=True, anchor="start")
    drawing.text(
        200,
        258,
        "F_c(i): its mean score in infrared",
        bold=True,
        anchor="start",
        colour=INFRARED[1],
    )
    drawing.text(
        560, 258, "F_c(v): in the visible image", bold=True, anchor="start", colour=VISIBLE[1]
    )
    drawing.text(960, 258, "wᵢ", bold=True, anchor="end")
    for row, label in enumerate(areas.argsort(descending=True)[:ROWS].tolist()):
        y = 286 + row * 26
        red, green, blue = config.palette[label]
        drawing.bar((40, y - 12, 14, 14), f"rgb({red},{green},{blue})")
        drawing.text(62, y, config.classes[label], anchor="start")
        for x, score, (_, colour) in ((200, infrared, INFRARED), (560, visible, VISIBLE)):
            value = float(score[label])
            drawing.bar((x, y - 12, 280 * value, 14), colour)
            drawing.text(x + 280 * value + 8, y, f"{value:.2f}", anchor="start", colour=FAINT)
        weight = float(share[0, 0][labels[0] == label][0])
        drawing.text(960, y, f"{weight:.2f}", anchor="end", bold=True)
    drawing.text(
        40,
        502,
        f"uaafusion_edge: wᵢ = σ((F_c(i) − F_c(v)) / {config.weight_temperature})",
        anchor="start",
        colour=FAINT,
    )
    return drawing


def attention(watched: Watched) -> Drawing:
    """Where the stages looked, along the path of this pair."""
    path = watched.seen
    drawing = Drawing(1000, 550, "Attention along the network's own path")
    last = len(path) - 1
    places = [(20 + index * 335, 40) for index in range(len(path))]
    for index, ((fused, _), (x, y)) in enumerate(zip(path, places, strict=True)):
        drawing.picture((x, y, 230, 184), grey(fused))
        name = {0: "f₀, the average", last: f"f{'₀₁₂₃₄₅'[last]}, the fused image"}.get(
            index, f"f{'₀₁₂₃₄₅'[index]}"
        )
        drawing.text(x + 115, y - 12, name, bold=True)
        if index:
            before, _ = places[index - 1]
            drawing.arrow((before + 238, y + 92), (x - 8, y + 92))
            drawing.text((before + 230 + x) / 2, y + 80, f"stage {index}", colour=FAINT)
    for index, ((_, gate), (x, _)) in enumerate(zip(path, places, strict=True)):
        if gate is None:
            continue
        drawing.arrow((x + 115, 228), (x + 115, 268))
        drawing.picture((x, 290, 230, 184), coloured(gate, 0.05, 0.95))
        drawing.text(x + 115, 284, f"σ(A{'₀₁₂₃₄₅'[index]})", bold=True)
    lines = (
        "Aₖ tells, pixel by pixel, how much S minds the step from fₖ blurred to fₖ: the magnitude "
        "of the gradient of",
        "M·S(fₖ) times what sets fₖ off from its surroundings. Orange: much of what S goes by is "
        "here; white: nothing.",
        "σ(Aₖ) gates a branch of stage k + 1; the last one is published.",
    )
    for index, line in enumerate(lines):
        drawing.text(20, 500 + index * 18, line, anchor="start", colour=FAINT)
    return drawing


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    model, *_ = read_model("uaafusion_edge")
    model.prepare_for_inference()
    scene = SCENE.frame(TIME)
    luminance, _ = split_colour(scene.visible)
    pair = (
        torch.from_numpy(np.ascontiguousarray(image))[None, None]
        for image in (scene.infrared.astype(np.float32) / 255, luminance)
    )
    watched = Watched(model)
    found = model(*pair, mode=watched)
    weights(model, watched, found.contributions.infrared_weight_B1HW).write(folder / "weights.svg")
    attention(watched).write(folder / "attention.svg")
    for name in ("weights", "attention"):
        print(folder / f"{name}.svg")
