"""The shipped model on real night pairs, from files and through the node."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from uaafusion_ros.inference.pipeline import FusionPipeline, PipelineSettings

ROADSCENE = Path(__file__).resolve().parents[2] / "shared/data/roadscene/train"
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not ROADSCENE.is_dir(), reason=f"the RoadScene pairs are not at {ROADSCENE}"
    ),
]
PAIRS = 8


def darkest(count: int) -> list[str]:
    """Names of the night pairs: those with the darkest visible images."""
    brightness = {
        path.name: float(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).mean())
        for path in sorted((ROADSCENE / "visible").iterdir())
    }
    return sorted(brightness, key=lambda name: brightness[name])[:count]


def read(name: str) -> tuple[np.ndarray, np.ndarray]:
    infrared = cv2.imread(str(ROADSCENE / "infrared" / name), cv2.IMREAD_GRAYSCALE)
    return infrared, cv2.imread(str(ROADSCENE / "visible" / name), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def nights() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(infrared, visible luminance, fused luminance) of the darkest pairs."""
    settings = PipelineSettings(gain_smoothing=0.0, stretch_smoothing=0.0, max_side=320)
    pipeline = FusionPipeline.from_file(device="cpu", settings=settings)
    found = []
    for name in darkest(PAIRS):
        infrared, visible = read(name)
        fused = pipeline(infrared, visible).fused
        grey = cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY)
        found.append((infrared, grey, cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY)))
    return found


def contrast(image: np.ndarray, region: np.ndarray, around: np.ndarray) -> float:
    return float(image[region].mean()) - float(image[around].mean())


def test_warm_objects_that_the_visible_camera_misses_stand_out_in_the_fused_image(nights) -> None:
    contrasts = []
    for infrared, visible, fused in nights:
        warm = (infrared > np.percentile(infrared, 90)) & (visible < np.percentile(visible, 80))
        around = cv2.dilate(warm.astype(np.uint8), np.ones((25, 25))).astype(bool) & ~warm
        if warm.sum() < 200:
            continue
        wanted = contrast(infrared, warm, around)
        contrasts.append(contrast(fused, warm, around) / wanted)
    assert len(contrasts) >= PAIRS // 2
    assert min(contrasts) > 0.3
    assert float(np.median(contrasts)) > 0.5


def above_black(image: np.ndarray) -> np.ndarray:
    """Grey levels above the camera's own black: a night sky behind a veil of glare is no object."""
    return image - np.percentile(image, 1)


def test_shadows_are_not_crushed_to_black(nights) -> None:
    for infrared, visible, fused in nights:
        seen = np.maximum(above_black(infrared), above_black(visible)) > 40
        assert seen.mean() > 0.5
        assert (fused[seen] < 10).mean() < 0.001


def test_night_pairs_through_the_node_are_all_accounted_for(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip("rosbags")
    from uaafusion_ros.demo import DemoPlan, run_demo

    for name in darkest(PAIRS):
        for folder in ("infrared", "visible"):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(ROADSCENE / folder / name, tmp_path / folder / name)
    plan = DemoPlan(
        out=tmp_path / "out",
        infrared=tmp_path / "infrared",
        visible=tmp_path / "visible",
        seconds=8.0,
        rate=3.0,
        condition="night",
        model="",
    )
    summary = run_demo(plan, Console(stderr=True))
    assert summary["accounted"]
    assert summary["published"] > 0
    for stream, sent in summary["sent"].items():
        dropped = sum(summary["dropped"][stream].values())
        assert sent == 24 == summary["published"] + dropped
