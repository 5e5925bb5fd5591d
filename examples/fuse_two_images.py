"""Fuses an infrared and a visible image, and says what is in the result.

    python examples/fuse_two_images.py OUT.png [INFRARED VISIBLE]

Without images, a pair of the synthetic street at night is fused.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from uaafusion_ros.inference.pipeline import FusionPipeline
from uaafusion_ros.inference.render import mask_overlay
from uaafusion_ros.scenes.street import StreetScene


def main(out: Path, infrared_file: str = "", visible_file: str = "") -> None:
    """Write inputs, fused image and classes side by side to ``out``."""
    if infrared_file:
        # 16-bit counts stay counts.
        infrared: np.ndarray | None = cv2.imread(infrared_file, cv2.IMREAD_UNCHANGED)
        visible: np.ndarray | None = cv2.imread(visible_file)
    else:
        scene = StreetScene(240, 320, "night").frame(2.0)
        infrared, visible = scene.infrared, scene.visible
    if infrared is None or visible is None:
        sys.exit(f"not readable as images: {infrared_file}, {visible_file}")

    pipeline = FusionPipeline.from_file()  # the default model; a path or a name for another
    result = pipeline(infrared, visible)  # all products; a third argument asks for some of them
    fused, mask, weight = result.fused, result.mask, result.infrared_weight
    assert fused is not None and mask is not None and weight is not None  # None if not asked for

    for class_id, pixels in enumerate(np.bincount(mask.ravel())):
        if pixels:
            share, from_infrared = pixels / mask.size, weight[mask == class_id].mean()
            name = pipeline.classes[class_id]
            print(f"{name}: {share:.1%} of the image, infrared {from_infrared:.0%}")
    height, width = visible.shape[:2]
    grey = np.interp(infrared, (infrared.min(), infrared.max()), (0, 255)).astype(np.uint8)
    thermal = cv2.cvtColor(cv2.resize(grey, (width, height)), cv2.COLOR_GRAY2BGR)
    classes = mask_overlay(fused, mask, pipeline.palette)
    cv2.imwrite(str(out), np.hstack((thermal, visible, fused, classes)))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
