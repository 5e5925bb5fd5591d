"""What thermal cameras deliver becomes luminance that neither pumps nor saturates."""

from __future__ import annotations

import numpy as np
import pytest

from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.settings import PipelineSettings
from uaafusion_ros.inference.thermal import HOLD, MAXIMUM_STEP, GainControl

SETTINGS = PipelineSettings()
SHAPE = 96, 128
OBJECT = np.s_[30:60, 40:75]
"""About 9 % of the image: far beyond the high percentile."""


class Sequence:
    """A thermal camera with noise: a wall of texture, and what is put before it."""

    def __init__(self, level: float, span: float, dtype: type) -> None:
        self.rng = np.random.default_rng(5)
        self.level, self.span, self.dtype = level, span, dtype
        rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
        self.wall = (np.sin(columns / 9) + np.cos(rows / 7)) / 4 + rows / (2 * SHAPE[0])

    def frame(self, hot: float = 0.0, offset: float = 0.0) -> np.ndarray:
        """An object that is hotter by that many spans of the scene, and a drift of all pixels."""
        scene = self.wall.copy()
        if hot:
            rows, columns = np.mgrid[:30, :35]
            scene[OBJECT] = hot + np.sin(columns / 3) * np.cos(rows / 4) / 2
        noise = self.rng.normal(0, 0.01, SHAPE)
        return (self.level + self.span * (scene + offset + noise)).astype(self.dtype)


SENSORS = [
    pytest.param(7000, 200, np.uint16, id="14-bit counts"),
    pytest.param(29300, 800, np.uint16, id="centikelvin"),
    pytest.param(21.0, 8.0, np.float32, id="celsius"),
]


def background(image: np.ndarray) -> np.ndarray:
    outside = np.ones(SHAPE, bool)
    outside[OBJECT] = False
    return image[outside]


@pytest.mark.parametrize(("level", "span", "dtype"), SENSORS)
@pytest.mark.parametrize("hot", [3.0, 20.0])
def test_a_hot_object_neither_makes_the_rest_pump_nor_turns_flat(level, span, dtype, hot):
    camera, gain = Sequence(level, span, dtype), GainControl()
    for _ in range(30):
        before = gain(camera.frame(), SETTINGS)
    assert 0.85 < np.percentile(before, 99) < 1 and np.percentile(before, 1) < 0.1
    greys = [np.median(background(before))]
    for number in range(400):
        there = number < 200
        image = gain(camera.frame(hot if there else 0.0), SETTINGS)
        greys.append(np.median(background(image)))
        if there:
            thing = image[OBJECT]
            assert np.median(thing) > 0.6  # hot is bright, all the time …
            assert (thing == 1).mean() < 0.05  # … and not flat: from its first frame on
            assert len(np.unique(np.rint(thing * 255))) >= 15
            assert np.median(thing) > np.median(background(image)) + 0.2
    # Median of thousands of pixels: what noise adds is a tenth of a grey level.
    assert np.abs(np.diff(greys)).max() <= MAXIMUM_STEP + 0.1 / 255
    assert greys[-1] == pytest.approx(greys[0], abs=0.05)


def test_what_was_range_before_is_taken_again_when_the_object_stays():
    camera, gain = Sequence(7000, 200, np.uint16), GainControl()
    gain(camera.frame(), SETTINGS)
    for _ in range(600):
        image = gain(camera.frame(hot=20.0), SETTINGS)
    alone = GainControl()(camera.frame(hot=20.0), SETTINGS)
    np.testing.assert_allclose(np.median(image), np.median(alone), atol=0.03)


def test_a_shutter_of_half_a_second_and_its_step_of_offset_leave_no_trace():
    """A flat-field correction: a uniform plate for 15 frames, then all counts have moved."""
    camera, gain = Sequence(7000, 200, np.uint16), GainControl()
    for _ in range(30):
        before = gain(camera.frame(), SETTINGS)
    for _ in range(HOLD // 2):
        plate = camera.rng.normal(7300, 2, SHAPE).astype(np.uint16)
        assert np.isfinite(gain(plate, SETTINGS)).all()
    for _ in range(5):
        after = gain(camera.frame(offset=0.8), SETTINGS)
        assert np.abs(after - before).mean() < 0.03
        assert np.median(after) == pytest.approx(np.median(before), abs=0.01)


def test_a_frozen_image_does_not_move_the_range():
    camera, gain = Sequence(7000, 200, np.uint16), GainControl()
    for _ in range(30):
        before = gain(camera.frame(), SETTINGS)
    still = camera.frame()
    images = [gain(still, SETTINGS) for _ in range(15)]
    assert np.abs(images[-1] - images[0]).max() <= MAXIMUM_STEP
    assert np.median(gain(camera.frame(), SETTINGS)) == pytest.approx(np.median(before), abs=0.01)


def test_another_scene_is_seen_at_once():
    camera, gain = Sequence(7000, 200, np.uint16), GainControl()
    gain(camera.frame(), SETTINGS)
    elsewhere = Sequence(4000, 900, np.uint16).frame()
    np.testing.assert_allclose(
        gain(elsewhere, SETTINGS), GainControl()(elsewhere, SETTINGS), atol=0.02
    )


def test_a_furnace_leaves_the_rest_its_contrast():
    camera = Sequence(7000, 200, np.uint16)
    plain, image = (background(GainControl()(camera.frame(hot), SETTINGS)) for hot in (0.0, 60.0))
    assert image.std() > plain.std() / 6  # its counts would leave it a sixtieth


def test_dead_pixels_of_a_float_image_are_mended_from_their_neighbours():
    clean = Sequence(21.0, 8.0, np.float32).frame()
    holes = clean.copy()
    holes[10, 20], holes[50:53, 60:62] = np.nan, np.nan
    holes[70, 80], holes[5, 5] = np.inf, -np.inf
    image, expected = GainControl()(holes, SETTINGS), GainControl()(clean, SETTINGS)
    assert image[70, 80] == 1 and image[5, 5] == 0
    others = np.isfinite(holes)
    np.testing.assert_allclose(image[others], expected[others], atol=0.02)
    dead = np.isnan(holes)
    np.testing.assert_allclose(image[dead], expected[dead], atol=0.15)
    holes[: SHAPE[0] // 2 + 1] = np.nan
    with pytest.raises(FrameError, match="NaN or infinite, expected less than half"):
        GainControl()(holes, SETTINGS)


def test_centikelvin_of_a_fixed_range_keep_the_same_temperature_at_the_same_grey():
    fixed = PipelineSettings(
        gain_control="fixed", gain_minimum=283.15, gain_maximum=323.15, kelvin_per_count=0.01
    )
    celsius = PipelineSettings(gain_control="fixed", gain_minimum=10.0, gain_maximum=50.0)
    counts = np.array([[28315, 30315, 32315, 40000]], np.uint16).repeat(4, axis=0)
    expected = [0.0, 0.5, 1.0, 1.0]
    np.testing.assert_allclose(GainControl()(counts, fixed)[0], expected, atol=1e-4)
    degrees = counts.astype(np.float32) / 100 - np.float32(273.15)
    np.testing.assert_allclose(GainControl()(degrees, celsius)[0], expected, atol=1e-4)
