"""Brings the infrared image into the visible image's frame, and images to the working size."""

from __future__ import annotations

import cv2
import numpy as np

from uaafusion_ros.inference.cameras import CameraModel, infrared_lookup, rotation_matrix
from uaafusion_ros.inference.errors import FrameError
from uaafusion_ros.inference.settings import MINIMUM_SIDE, PipelineSettings

Cameras = tuple[CameraModel, CameraModel]
"""Infrared and visible."""


class Registration:
    """Brings infrared images into the visible frame as the settings say; remembers its maps."""

    def __init__(self) -> None:
        self._key: object = None
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        settings: PipelineSettings,
        cameras: Cameras | None,
    ) -> np.ndarray:
        """Return the infrared luminance at the visible image's size, float32 [H,W].

        Args:
            infrared, visible: luminance float32 in 0..1, of any two sizes.
            cameras: for images of these sizes; used by `camera_info` alone.

        Raises:
            FrameError: `camera_info` without cameras, or with cameras of other sizes.
        """
        if settings.registration == "camera_info":
            return self._through_cameras(infrared, visible, settings.infrared_rotation, cameras)
        return register(
            infrared, visible, settings.homography if settings.registration != "none" else None
        )

    def _through_cameras(
        self,
        infrared: np.ndarray,
        visible: np.ndarray,
        rotation: tuple[float, ...],
        cameras: Cameras | None,
    ) -> np.ndarray:
        if cameras is None:
            raise FrameError("registration is camera_info, but the cameras are not described yet")
        for image, camera in zip((infrared, visible), cameras, strict=True):
            if image.shape != (camera.height, camera.width):
                raise FrameError(
                    f"image of {image.shape[1]}x{image.shape[0]} pixels, but its camera is "
                    f"described for {camera.width}x{camera.height}"
                )
        key = cameras, rotation
        if key != self._key or self._maps is None:
            self._maps = infrared_lookup(*cameras, rotation_matrix(*rotation))
            self._key = key
        warped = cv2.remap(infrared, *self._maps, cv2.INTER_LINEAR)
        covered = cv2.remap(np.ones_like(infrared), *self._maps, cv2.INTER_LINEAR)
        return _completed(warped, covered, visible)


def register(
    infrared: np.ndarray, visible: np.ndarray, homography: tuple[float, ...] | None
) -> np.ndarray:
    """Return the infrared luminance at the visible image's size, float32 [H,W].

    Args:
        infrared, visible: luminance float32 in 0..1, of any two sizes.
        homography: 3x3 row by row, infrared pixel to visible pixel; None scales the whole image.
    """
    height, width = visible.shape
    if homography is None:
        return resize(infrared, width, height)
    matrix = np.asarray(homography, np.float64).reshape(3, 3)
    warped = cv2.warpPerspective(infrared, matrix, (width, height))
    covered = cv2.warpPerspective(np.ones_like(infrared), matrix, (width, height))
    return _completed(warped, covered, visible)


def _completed(warped: np.ndarray, covered: np.ndarray, visible: np.ndarray) -> np.ndarray:
    # Where the infrared camera does not look, the visible image stands in for it, so that the
    # edge of its view leaves no frame in the fused image.
    return (warped + (1 - covered) * visible).astype(np.float32)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize smoothly: by area when shrinking, bilinearly when growing."""
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    shrinks = width * height < columns * rows
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def resize_labels(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize class ids by nearest neighbour: a mean of two ids is a third class."""
    if labels.shape == (height, width):
        return labels
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)


def working_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return (width, height) with the longer side at most `max_side`; 0 leaves the size."""
    longer = max(width, height)
    if max_side == 0 or longer <= max_side:
        return width, height
    scale = max_side / longer
    return max(MINIMUM_SIDE, round(width * scale)), max(MINIMUM_SIDE, round(height * scale))


#: A model for one size takes images that are at most so much wider or higher than its own: 4:3
#: beside 5:4 or 3:2 does no harm, but in 16:9 made 4:3 its classes have another shape.
MAXIMUM_STRETCH = 1.2


def graph_size(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of a graph that takes images of one `size` (height, width) alone.

    Raises:
        FrameError: images of width x height have another shape.
    """
    rows, columns = size
    stretch = (columns / rows) / (width / height)
    if max(stretch, 1 / stretch) > MAXIMUM_STRETCH:
        raise FrameError(
            f"visible image is {width}x{height}, but the model was exported for "
            f"{columns}x{rows} and takes images of nearly that shape (width to height "
            f"{columns / rows / MAXIMUM_STRETCH:.2f} to {columns / rows * MAXIMUM_STRETCH:.2f})"
            f"; export it with --size {height}x{width} or --size dynamic"
        )
    return columns, rows
