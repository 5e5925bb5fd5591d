"""Where each visible pixel's ray meets the infrared image, from the calibration of both cameras.

Exact for far scenes, or cameras close to each other: the rotation between the two is known, the
distance is taken for none (the infinite homography K_v R K_i^-1, with the distortion of both).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from uaafusion_ros.inference.errors import FrameError, SettingsError

FISHEYE = ("equidistant", "fisheye")
POLYNOMIAL = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14)}
"""Distortion models of ROS (REP 107) and how many coefficients they have."""

_ITERATIONS = 30
"""Corrections of an undistorted point; OpenCV's own stops at five, too early at wide angles."""

_RIM = 32
"""Points along each side of the infrared image that tell how far its view reaches."""


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of a camera for images of ``width`` x ``height``.

    matrix: K, nine numbers row by row, in pixels. distortion: coefficients of ``model``, which has
    one of the names of ROS; an empty name or no coefficients mean none.

    Raises:
        SettingsError: not calibrated, or an unknown or contradictory distortion.
    """

    width: int
    height: int
    matrix: tuple[float, ...]
    distortion: tuple[float, ...] = ()
    model: str = ""

    def __post_init__(self) -> None:
        if len(self.matrix) != 9 or not np.isfinite(self.matrix).all():
            raise SettingsError(f"camera matrix {list(self.matrix)}, expected nine finite numbers")
        if self.matrix[0] <= 0 or self.matrix[4] <= 0:
            raise SettingsError(
                "its CameraInfo has no focal length (K[0] is 0): the camera is not calibrated; "
                "calibrate it, or set registration to homography"
            )
        if not np.isfinite(self.distortion).all():
            raise SettingsError(f"distortion {list(self.distortion)}, expected finite numbers")
        if not any(self.distortion):
            return
        expected = (4,) if self.model in FISHEYE else POLYNOMIAL.get(self.model)
        if expected is None:
            known = ", ".join([*POLYNOMIAL, *FISHEYE])
            raise SettingsError(
                f"distortion model {self.model!r}, expected one of {known}; publish rectified "
                "images with no distortion, or set registration to homography"
            )
        if len(self.distortion) not in expected:
            raise SettingsError(
                f"{len(self.distortion)} coefficients of {self.model}, expected "
                f"{' or '.join(map(str, expected))}"
            )

    @property
    def _k(self) -> np.ndarray:
        return np.array(self.matrix).reshape(3, 3)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels [N,2] to points [N,2] on the plane at distance 1; NaN where there is no ray."""
        points = np.ascontiguousarray(pixels, np.float64).reshape(-1, 1, 2)
        if not any(self.distortion):
            plane = (points[:, 0] - self._k[:2, 2]) @ np.linalg.inv(self._k[:2, :2]).T
            return plane
        undistort = cv2.fisheye if self.model in FISHEYE else cv2
        plane = undistort.undistortPoints(points, self._k, np.array(self.distortion))
        plane = plane.reshape(-1, 2)
        for _ in range(_ITERATIONS):
            step = (points[:, 0] - self.pixels(plane)) @ np.linalg.inv(self._k[:2, :2]).T
            if not np.abs(step).max() > 1e-6:
                break
            plane = np.clip(plane + step, -20, 20)
        # Beyond where the polynomial turns back, undistorting finds some other pixel's ray.
        again = self.pixels(plane)
        plane[~(np.abs(again - points[:, 0]).max(axis=1) < 0.5)] = np.nan
        return plane

    def pixels(self, plane: np.ndarray) -> np.ndarray:
        """Points [N,2] on the plane at distance 1 to pixels [N,2]."""
        plane = np.ascontiguousarray(plane, np.float64)
        if not any(self.distortion):
            return plane @ self._k[:2, :2].T + self._k[:2, 2]
        coefficients, zero = np.array(self.distortion), np.zeros(3)
        if self.model in FISHEYE:
            return cv2.fisheye.distortPoints(plane[:, None], self._k, coefficients).reshape(-1, 2)
        points = np.column_stack([plane, np.ones(len(plane))])
        return cv2.projectPoints(points, zero, zero, self._k, coefficients)[0].reshape(-1, 2)


def rotation_matrix(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation [3,3] about the fixed axes x, y, z in this order, in radians, as in URDF and TF."""
    (sr, sp, sy), (cr, cp, cy) = np.sin([roll, pitch, yaw]), np.cos([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def infrared_lookup(
    infrared: CameraModel, visible: CameraModel, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each visible pixel, where the infrared image shows the same direction.

    Args:
        rotation: [3,3], directions in the infrared camera's optical frame to the visible one's.

    Returns:
        columns and rows, float32 [H,W] each, for `cv2.remap`; far outside where the infrared
        camera does not look.

    Raises:
        FrameError: the two views have nothing in common.
    """
    columns, rows = np.meshgrid(np.arange(visible.width), np.arange(visible.height))
    plane = visible.rays(np.column_stack([columns.ravel(), rows.ravel()]))
    directions = np.column_stack([plane, np.ones(len(plane))]) @ rotation
    ahead = directions[:, 2] > 1e-3
    plane = directions[:, :2] / np.where(ahead, directions[:, 2], np.nan)[:, None]
    low, high = _view(infrared)
    with np.errstate(invalid="ignore"):
        seen = ((plane >= low) & (plane <= high)).all(axis=1)
    if not seen.any():
        raise FrameError(
            "the infrared and the visible camera look at different things by their CameraInfo and "
            "infrared_rotation; check its signs: directions in the infrared camera's optical "
            "frame to the visible one's, roll, pitch and yaw in radians"
        )
    pixels = np.full(plane.shape, -1e4)
    pixels[seen] = infrared.pixels(plane[seen])
    shape = visible.height, visible.width
    maps = pixels.astype(np.float32).T.reshape(2, *shape)
    return np.ascontiguousarray(maps[0]), np.ascontiguousarray(maps[1])


def _view(camera: CameraModel) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the camera's view on the plane at distance 1, a pixel wider than its image."""
    across = np.linspace(-1, camera.width, _RIM)
    down = np.linspace(-1, camera.height, _RIM)
    rim = np.concatenate(
        [
            *(np.column_stack([across, np.full(_RIM, y)]) for y in (-1.0, camera.height)),
            *(np.column_stack([np.full(_RIM, x), down]) for x in (-1.0, camera.width)),
        ]
    )
    plane = camera.rays(rim)
    if np.isnan(plane).all():
        raise FrameError(
            "the infrared CameraInfo's distortion has no inverse at the rim of the image; "
            "calibrate the camera again"
        )
    return np.nanmin(plane, axis=0), np.nanmax(plane, axis=0)
