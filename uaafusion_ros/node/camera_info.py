"""The camera description that belongs to the fused image."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from uaafusion_ros.inference.cameras import CameraModel
from uaafusion_ros.inference.errors import FrameError, SettingsError

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

CAMERA_INFO_TOPICS = {"infrared": "infrared/camera_info", "visible": "visible/camera_info"}


def fused_camera_info(visible: CameraInfo, header: Header, height: int, width: int) -> CameraInfo:
    """The visible camera's description for a fused image of ``height`` x ``width``.

    The fused image lies in the visible camera's pixels, so only the header changes. Where the
    description is of another size than the image, its intrinsics are scaled to the image (K and P
    in pixels, REP 104); the distortion does not depend on the size.

    Args:
        visible: what the visible camera published; left as it is.
        header: the fused image's header.
    """
    info = deepcopy(visible)
    info.header = header
    described_height = (info.roi.height or info.height) // max(info.binning_y, 1)
    described_width = (info.roi.width or info.width) // max(info.binning_x, 1)
    if (described_height, described_width) == (height, width):
        return info
    if described_height and described_width:
        vertical, horizontal = height / described_height, width / described_width
        left = info.roi.x_offset / max(info.binning_x, 1)
        top = info.roi.y_offset / max(info.binning_y, 1)
        binning_x, binning_y = max(info.binning_x, 1), max(info.binning_y, 1)
        # What a broken driver says can be beyond all numbers; where it is used, it is checked.
        with np.errstate(over="ignore", invalid="ignore"):
            for matrix, columns in ((info.k, 3), (info.p, 4)):
                matrix[0] *= horizontal / binning_x
                matrix[2] = (matrix[2] / binning_x - left) * horizontal
                matrix[columns + 1] *= vertical / binning_y
                matrix[columns + 2] = (matrix[columns + 2] / binning_y - top) * vertical
            info.p[3] *= horizontal / binning_x
            info.p[7] *= vertical / binning_y
    info.height, info.width = height, width
    info.binning_x = info.binning_y = 0
    roi = info.roi  # reset by hand: messages of recordings have no defaults
    roi.x_offset = roi.y_offset = roi.height = roi.width = 0
    roi.do_rectify = False
    return info


def camera_model(info: CameraInfo | None, topic: str, height: int, width: int) -> CameraModel:
    """What a CameraInfo says of a camera, for images of ``height`` x ``width``.

    Args:
        info: None before the first has come on ``topic``.

    Raises:
        FrameError: there is none yet, or it cannot be used; says what to do.
    """
    if info is None:
        raise FrameError(
            f"registration is camera_info, but nothing has come on {topic} yet; publish the "
            "camera's CameraInfo there, or set registration to homography"
        )
    scaled = fused_camera_info(info, info.header, height, width)
    try:
        return CameraModel(width, height, tuple(scaled.k), tuple(scaled.d), scaled.distortion_model)
    except SettingsError as error:
        raise FrameError(f"{topic}: {error}") from error
