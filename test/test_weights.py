"""What ships in models/: no pattern of the network's own in images, masks that gain by fusing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.render import split_colour
from uaafusion_ros.scenes.street import StreetScene
from uaafusion_ros.training.evaluated_model import EvaluatedModel
from uaafusion_ros.training.segmentation_metrics import Confusion

#: Every frame on its own, unstretched.
SETTINGS = PipelineSettings(gain_smoothing=0.0, stretch="none", mode="exact")
#: Grey levels; the noise of the cameras alternates by 1 or so.
ALTERNATION = 4.0
#: Share of the pixels: poles a pixel wide, drawn with more contrast than any camera has, come to
#: 0.02 %; the comb that this is about came to 0.24 %.
ALTERNATING = 5e-4


def alternation(image: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Local amplitude of an alternation from pixel to pixel; even boxes cancel what is smooth."""
    box = np.ones((4, 4)) / 16
    return np.abs(cv2.filter2D(cv2.filter2D(image.astype(np.float64) * signs, -1, box), -1, box))


@pytest.mark.parametrize("name", ["uaafusion_base", "uaafusion_edge"])
def test_fused_images_show_no_comb_or_checkerboard_that_no_camera_shows(name: str) -> None:
    pipeline = FusionPipeline.from_file(name, device="cpu", settings=SETTINGS)
    # Lights in fog: dark in the visible image, warm in the infrared one.
    frame = StreetScene(300, 400, "fog", seed=500005).frame(0.0)
    visible = cv2.cvtColor(frame.visible, cv2.COLOR_BGR2GRAY)
    fused = pipeline(frame.infrared, visible, Product.FUSED).fused
    y, x = np.indices(visible.shape)
    for step in (x, y, x + y):
        own, *cameras = (
            alternation(image, 1.0 - 2 * (step % 2))
            for image in (cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY), frame.infrared, visible)
        )
        assert (own > np.maximum(*cameras) + ALTERNATION).mean() < ALTERNATING


def test_masks_gain_by_fusing_and_by_being_read_at_two_sizes() -> None:
    once, twice = (
        EvaluatedModel.from_file("uaafusion_edge", device="cpu", mode="realtime", mask_sizes=sizes)
        for sizes in ((1.0,), (0.8, 1.6))
    )
    infrared, visible, fused, fused_twice = (Confusion(len(once.classes)) for _ in range(4))
    for seed, condition in enumerate(("night", "fog") * 3, start=500100):
        frame = StreetScene(300, 400, condition, seed=seed).frame(0.0)
        infrared.add(frame.labels, once.segment(frame.infrared))
        visible.add(frame.labels, once.segment(*split_colour(frame.visible)))
        for model, confusion in ((once, fused), (twice, fused_twice)):
            mask = model.fuse(frame.infrared, frame.visible, Product.MASK).mask
            confusion.add(frame.labels, mask)
    better = max(kind.mean_intersection_over_union() for kind in (infrared, visible))
    assert fused.mean_intersection_over_union() > better + 0.01
    gain = fused_twice.mean_intersection_over_union() - fused.mean_intersection_over_union()
    assert gain > 0.005
