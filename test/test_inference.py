"""The frame path: what cameras deliver becomes the right picture, and bad frames are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from uaafusion_ros.inference.backends import resolve_device
from uaafusion_ros.inference.pipeline import (
    FrameError,
    FusionPipeline,
    PipelineSettings,
    SettingsError,
)
from uaafusion_ros.inference.products import Product
from uaafusion_ros.inference.registration import register
from uaafusion_ros.inference.render import Stretch, attribution_overlay, mask_overlay
from uaafusion_ros.scenes.street import StreetScene

SINGLE = PipelineSettings(gain_smoothing=0.0, stretch_smoothing=0.0)


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> FusionPipeline:
    return FusionPipeline.from_file(tiny_model, device="cpu", settings=SINGLE)


@pytest.fixture(autouse=True)
def fresh(pipeline: FusionPipeline) -> None:
    pipeline.with_settings(SINGLE)
    pipeline.reset()


def street(height: int = 96, width: int = 128):
    return StreetScene(height, width, "night", seed=3).frame(0.5)


def test_result_has_the_visible_images_size_and_the_promised_types(pipeline) -> None:
    frame = street(97, 131)
    small = cv2.resize(frame.infrared, (64, 50))
    result = pipeline(small, frame.visible)
    assert result.fused.shape == (97, 131, 3) and result.fused.dtype == np.uint8
    assert result.mask.shape == (97, 131) and result.mask.dtype == np.uint8
    assert result.mask.max() < len(pipeline.classes)
    for image in (result.infrared_weight, result.attention):
        assert image.shape == (97, 131) and image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
    assert set(result.timings) == {"prepare", "network", "finish"}


@pytest.mark.parametrize("product", [Product.FUSED, Product.MASK, Product.WEIGHT])
def test_only_what_was_asked_for_comes_back(pipeline, product: Product) -> None:
    frame = street()
    result = pipeline(frame.infrared, frame.visible, product)
    found = {
        Product.FUSED: result.fused,
        Product.MASK: result.mask,
        Product.WEIGHT: result.infrared_weight,
        Product.ATTENTION: result.attention,
    }
    assert [key for key, value in found.items() if value is not None] == [product]


def test_colour_comes_from_the_visible_image(pipeline) -> None:
    frame = street()
    result = pipeline(frame.infrared, frame.visible)
    wanted = cv2.cvtColor(frame.visible, cv2.COLOR_BGR2YCrCb)[..., 1:].astype(int)
    found = cv2.cvtColor(result.fused, cv2.COLOR_BGR2YCrCb)[..., 1:].astype(int)
    # Very dark or bright pixels cannot hold their chroma in 8 bits.
    assert np.median(np.abs(found - wanted)) <= 1
    grey = pipeline(frame.infrared, cv2.cvtColor(frame.visible, cv2.COLOR_BGR2GRAY))
    assert np.ptp(grey.fused, axis=2).max() == 0


def test_without_smoothing_the_stretch_is_the_releases(pipeline) -> None:
    frame = street()
    result = pipeline(frame.infrared, frame.visible[..., 1], Product.FUSED | Product.ARRAYS)
    raw = result.arrays.fused
    wanted = np.rint((raw - raw.min()) / (raw.max() - raw.min()) * 255)
    np.testing.assert_array_equal(result.fused[..., 0], wanted)


def test_smoothed_stretch_does_not_flicker_with_a_single_hot_pixel() -> None:
    stretch = Stretch()
    calm = np.linspace(0.2, 0.6, 100, dtype=np.float32).reshape(10, 10)
    before = stretch(calm, 0.9)
    flash = calm.copy()
    flash[0, 0] = 1.0
    after = stretch(flash, 0.9)
    exact = Stretch()
    exact(calm, 0.0)
    assert np.abs(after - before)[5:].max() < 0.1
    assert np.abs(exact(flash, 0.0) - before)[5:].max() > 0.3


def test_max_side_works_smaller_and_keeps_class_ids_whole(pipeline) -> None:
    frame = street(192, 256)
    pipeline.with_settings(replace(SINGLE, max_side=64))
    result = pipeline(frame.infrared, frame.visible, Product.ALL | Product.ARRAYS)
    assert result.arrays.fused.shape == (48, 64)
    assert result.fused.shape == (192, 256, 3)
    assert set(np.unique(result.mask)) <= set(np.unique(result.arrays.mask))


@pytest.mark.parametrize("value", [0, 9000])
def test_a_constant_thermal_image_is_finite(pipeline, value: int) -> None:
    result = pipeline(np.full((64, 64), value, np.uint16), street(64, 64).visible)
    assert result.fused.std() > 0


def test_homography_takes_infrared_pixels_to_visible_ones() -> None:
    visible = np.full((60, 80), 0.25, np.float32)
    infrared = np.zeros((30, 40), np.float32)
    infrared[10, 20] = 1.0
    matrix = (1.0, 0, 15.0, 0, 1.0, 5.0, 0, 0, 1.0)
    found = register(infrared, visible, matrix)
    assert np.unravel_index(found.argmax(), found.shape) == (15, 35)
    assert found[2, 2] == 0.25, "outside the infrared camera's view the visible image stands in"
    assert found[20, 20] == 0


@pytest.mark.parametrize(
    ("infrared", "visible", "message"),
    [
        (np.zeros((0, 0), np.uint8), np.zeros((64, 64, 3), np.uint8), "infrared image is 0x0"),
        (np.zeros((64, 64), np.uint8), np.zeros((20, 64, 3), np.uint8), "visible image is 64x20"),
        (np.zeros((64, 64, 2), np.uint8), np.zeros((64, 64), np.uint8), r"expected \[H,W\]"),
        (np.zeros((64, 64), np.int32), np.zeros((64, 64), np.uint8), "infrared image is int32"),
        (np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint16), "visible image is uint16"),
        (np.full((64, 64), np.nan, np.float32), np.zeros((64, 64), np.uint8), "4096 of 4096"),
    ],
)
def test_frames_that_cannot_be_fused_are_refused(pipeline, infrared, visible, message) -> None:
    with pytest.raises(FrameError, match=message):
        pipeline(infrared, visible)


def test_settings_and_devices_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SettingsError, match="'auto', expected one of"):
        PipelineSettings(gain_control="auto")
    with pytest.raises(SettingsError, match="cannot be inverted"):
        PipelineSettings(homography=(0.0,) * 9)
    with pytest.raises(SettingsError, match="expected auto, cpu, cuda"):
        resolve_device("gpu")
    with pytest.raises(SettingsError, match="CUDA devices"):
        resolve_device("cuda:99")


def test_overlays_show_classes_and_sources() -> None:
    fused = np.full((4, 6, 3), 100, np.uint8)
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 3:] = 1
    overlay = mask_overlay(fused, mask, ((0, 0, 0), (255, 0, 0)), opacity=0.5)
    assert (overlay[:, :3] == 100).all()
    assert (overlay[0, 5] == (50, 50, 178)).all(), "palette is RGB, pictures are BGR"
    weight = np.where(mask == 1, 1.0, 0.0).astype(np.float32)
    picture = attribution_overlay(fused, weight, np.full((4, 6), 0.5, np.float32)).astype(int)
    assert picture[0, 5, 2] > picture[0, 5, 0], "infrared regions are warm"
    assert picture[0, 0, 0] > picture[0, 0, 2], "visible regions are cool"
    attention = np.full((4, 6), 0.5, np.float32)
    attention[2:] = 0.9
    looked = attribution_overlay(fused, weight, attention)
    assert (looked[2:] > picture[2:]).all() and (looked[:2] < picture[:2]).all()
