"""Infrared pixels find their place in the visible image by the calibration of both cameras."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from uaafusion_ros.inference.cameras import CameraModel, infrared_lookup, rotation_matrix
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.registration import Registration
from uaafusion_ros.inference.settings import PipelineSettings

ROTATION = (0.02, -0.05, 0.03)
PLAIN = CameraModel(160, 128, (150.0, 0, 79.5, 0, 150.0, 63.5, 0, 0, 1))
VISIBLE = CameraModel(320, 240, (260.0, 0, 160.0, 0, 258.0, 118.0, 0, 0, 1))


def distorted(camera, model, *coefficients):
    return CameraModel(camera.width, camera.height, camera.matrix, coefficients, model)


def projected(camera, directions):
    return camera.pixels(directions[:, :2] / directions[:, 2:])


PAIRS = [
    pytest.param(PLAIN, VISIBLE, id="without distortion"),
    pytest.param(
        distorted(PLAIN, "plumb_bob", -0.25, 0.08, 0.001, -0.002, 0.0),
        distorted(VISIBLE, "plumb_bob", -0.1, 0.02, 0.0, 0.001, 0.0),
        id="plumb_bob",
    ),
    pytest.param(
        distorted(PLAIN, "equidistant", 0.02, -0.01, 0.001, 0.0),
        distorted(VISIBLE, "rational_polynomial", 0.1, 0.05, 0, 0, 0.01, 0.2, 0.03, 0.01),
        id="fisheye and rational",
    ),
]


@pytest.mark.parametrize(("infrared", "visible"), PAIRS)
def test_a_far_point_is_found_at_its_place_in_both_images(infrared, visible):
    rng = np.random.default_rng(0)
    directions = np.column_stack([rng.uniform(-0.3, 0.3, (200, 2)), np.ones(200)])
    rotation = rotation_matrix(*ROTATION)
    seen = projected(visible, directions @ rotation.T)
    expected = projected(infrared, directions)
    columns, rows = infrared_lookup(infrared, visible, rotation)
    found = np.column_stack(
        [
            cv2.remap(table, *seen.astype(np.float32).T[:, :, None], cv2.INTER_LINEAR)
            for table in (columns, rows)
        ]
    )
    assert np.abs(found - expected).max() < 0.05


def test_without_distortion_it_is_the_infinite_homography():
    rotation = rotation_matrix(*ROTATION)
    visible_k, infrared_k = (np.array(c.matrix).reshape(3, 3) for c in (VISIBLE, PLAIN))
    homography = visible_k @ rotation @ np.linalg.inv(infrared_k)
    infrared = cv2.GaussianBlur(
        np.random.default_rng(1).random((128, 160)).astype(np.float32), (0, 0), 3
    )
    visible = np.full((240, 320), 0.3, np.float32)
    one = PipelineSettings(registration="camera_info", infrared_rotation=ROTATION)
    other = PipelineSettings(homography=tuple(homography.ravel()))
    found = Registration()(infrared, visible, one, (PLAIN, VISIBLE))
    expected = Registration()(infrared, visible, other, None)
    assert np.abs(found - expected).mean() < 1e-3
    assert found[0, 0] == pytest.approx(0.3), "the visible image stands in outside the view"


def test_roll_pitch_and_yaw_turn_as_in_tf():
    """A quarter turn about each axis alone, and x before y before z."""
    quarter = np.pi / 2
    turned = [rotation_matrix(*angles) @ [1, 2, 3] for angles in np.eye(3) * quarter]
    np.testing.assert_allclose(turned, [[1, -3, 2], [3, 2, -1], [-2, 1, 3]], atol=1e-12)
    both = rotation_matrix(quarter, 0, quarter)
    np.testing.assert_allclose(
        both, rotation_matrix(0, 0, quarter) @ rotation_matrix(quarter, 0, 0), atol=1e-12
    )


def test_no_pixel_beyond_the_lens_folds_back_into_the_image():
    """A strong barrel polynomial turns back beyond the view; a naive map shows the scene twice."""
    infrared = distorted(PLAIN, "plumb_bob", -0.35, 0.0, 0.0, 0.0, 0.0)
    wide = CameraModel(320, 240, (70.0, 0, 160.0, 0, 70.0, 120.0, 0, 0, 1))
    columns, rows = infrared_lookup(infrared, wide, np.eye(3))
    inside = (columns > 0) & (columns < 159) & (rows > 0) & (rows < 127)
    middle = np.hypot(*(np.argwhere(inside) - [120, 160]).T)
    assert inside[120, 160] and middle.max() < 70  # the infrared corners lie 48 pixels out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"matrix": (0.0,) * 9}, "not calibrated"),
        ({"model": "spline", "distortion": (0.1,)}, "'spline', expected one of plumb_bob"),
        ({"model": "plumb_bob", "distortion": (0.1, 0.2)}, "2 coefficients of plumb_bob"),
        ({"distortion": (float("nan"),) * 5}, "finite"),
    ],
)
def test_calibrations_that_cannot_be_used_are_refused(arguments, said):
    values = {"width": 160, "height": 128, "matrix": PLAIN.matrix} | arguments
    with pytest.raises(SettingsError, match=said):
        CameraModel(**values)


def test_cameras_that_look_elsewhere_or_are_missing_are_refused():
    with pytest.raises(FrameError, match=r"different things.*infrared_rotation"):
        infrared_lookup(PLAIN, VISIBLE, rotation_matrix(0, 2.5, 0))
    settings = PipelineSettings(registration="camera_info")
    image = np.zeros((128, 160), np.float32)
    with pytest.raises(FrameError, match="not described yet"):
        Registration()(image, image, settings, None)
    with pytest.raises(FrameError, match="160x128 pixels, but its camera is described for 320x240"):
        Registration()(image, image, settings, (PLAIN, VISIBLE))


def test_camera_infos_become_models_for_the_size_of_the_image():
    pytest.importorskip("sensor_msgs")
    from sensor_msgs.msg import CameraInfo

    from uaafusion_ros.node.camera_info import camera_model

    with pytest.raises(FrameError, match="nothing has come on infrared/camera_info yet"):
        camera_model(None, "infrared/camera_info", 120, 160)
    info = CameraInfo(height=240, width=320, distortion_model="plumb_bob", d=[0.1, 0, 0, 0, 0])
    with pytest.raises(FrameError, match="visible/camera_info: its CameraInfo has no focal"):
        camera_model(info, "visible/camera_info", 240, 320)
    info.k = list(VISIBLE.matrix)
    model = camera_model(info, "visible/camera_info", 120, 160)
    assert model.matrix[0] == 130.0 and model.matrix[2] == 80.0
    assert (model.height, model.width, model.distortion[0]) == (120, 160, 0.1)
