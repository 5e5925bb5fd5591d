"""sensor_msgs images <-> NumPy arrays, without a copy where the encoding allows it.

The common encodings are read as views of the message's buffer, honouring ``step``, row padding and
byte order (REP 118, sensor_msgs/image_encodings). Every other encoding goes to cv_bridge where it
is installed.

Only the message fields are used, so this module imports no ROS message until it has to make one.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header


MAXIMUM_PIXELS = 64_000_000
"""Larger images are refused before memory is reserved for them (decompression bombs)."""


class ImageError(ValueError):
    """An image message that cannot be used; says what was found, expected and what to do."""


class Encoding(NamedTuple):
    """How the pixels of an encoding lie in memory."""

    dtype: str
    channels: int
    to_bgr: int | None = None
    """OpenCV conversion code to BGR, None when the channels are BGR or grey already."""

    mosaic: tuple[int, int] = (1, 1)
    """Columns and rows of the pattern in which colours are interleaved; sizes are multiples."""


ENCODINGS = {
    "mono8": Encoding("u1", 1),
    "8UC1": Encoding("u1", 1),
    "mono16": Encoding("u2", 1),
    "16UC1": Encoding("u2", 1),
    "32FC1": Encoding("f4", 1),
    "bgr8": Encoding("u1", 3),
    "8UC3": Encoding("u1", 3),
    "rgb8": Encoding("u1", 3, cv2.COLOR_RGB2BGR),
    "bgra8": Encoding("u1", 4, cv2.COLOR_BGRA2BGR),
    "rgba8": Encoding("u1", 4, cv2.COLOR_RGBA2BGR),
    "bgr16": Encoding("u2", 3),
    "rgb16": Encoding("u2", 3, cv2.COLOR_RGB2BGR),
    # ROS names a Bayer pattern by its first two rows, OpenCV by the second row from the second
    # column on.
    **{
        f"bayer_{pattern}{bits}": Encoding(f"u{bits // 8}", 1, code, (2, 2))
        for pattern, code in {
            "rggb": cv2.COLOR_BayerBG2BGR,
            "bggr": cv2.COLOR_BayerRG2BGR,
            "gbrg": cv2.COLOR_BayerGR2BGR,
            "grbg": cv2.COLOR_BayerGB2BGR,
        }.items()
        for bits in (8, 16)
    },
    "uyvy": Encoding("u1", 2, cv2.COLOR_YUV2BGR_UYVY, (2, 1)),
    "yuv422": Encoding("u1", 2, cv2.COLOR_YUV2BGR_UYVY, (2, 1)),
    "yuyv": Encoding("u1", 2, cv2.COLOR_YUV2BGR_YUY2, (2, 1)),
    "yuv422_yuy2": Encoding("u1", 2, cv2.COLOR_YUV2BGR_YUY2, (2, 1)),
}


def check_image(message: Image) -> None:
    """Refuses a message that cannot be decoded, looking only at its fields, not at its pixels.

    Raises:
        ImageError: zero-sized image, unknown encoding, wrong step or data length.
    """
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ImageError(
            f"image of {width}x{height} pixels, expected at least one pixel; "
            "check the camera driver's image size"
        )
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        if not _cv_bridge_knows(message.encoding):
            raise _unknown_encoding(message.encoding)
        check_size(width, height)
        return
    columns, rows = encoding.mosaic
    if width % columns or height % rows:
        raise ImageError(
            f"image of {width}x{height} pixels of {message.encoding}, expected multiples of "
            f"{columns} and {rows}; check the camera driver's image size"
        )
    row = width * encoding.channels * np.dtype(encoding.dtype).itemsize
    if step < row:
        raise ImageError(
            f"step of {step} bytes, expected at least {row} for {width} pixels of "
            f"{message.encoding}; check that width, encoding and step of the driver agree"
        )
    length, shortest, longest = len(message.data), step * (height - 1) + row, step * height
    if not shortest <= length <= longest:
        raise ImageError(
            f"{length} bytes of data, expected {longest} for {height} rows of {step} bytes; "
            "check that height, step and data of the driver agree"
        )
    check_size(width, height)


def check_size(width: int, height: int) -> None:
    """Refuses an image of more than ``MAXIMUM_PIXELS``.

    Raises:
        ImageError: with the size found.
    """
    if width * height > MAXIMUM_PIXELS:
        raise ImageError(
            f"image of {width}x{height} pixels, expected at most {MAXIMUM_PIXELS} pixels; "
            "publish smaller images"
        )


def image_array(message: Image) -> np.ndarray:
    """Pixels of an image message in native byte order.

    Returns:
        [H, W] or [H, W, channels], uint8, uint16 or float32, in the channel order of the message's
        encoding, mosaics as they are; a read-only view where possible. Encodings outside
        ``ENCODINGS`` come back as cv_bridge's BGR (colour) or as it decodes them (grey).

    Raises:
        ImageError: see `check_image`, and whatever cv_bridge refuses.
    """
    check_image(message)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        return _through_cv_bridge(message)
    dtype = np.dtype(encoding.dtype).newbyteorder(">" if message.is_bigendian else "<")
    shape: tuple[int, ...] = (message.height, message.width)
    strides: tuple[int, ...] = (message.step, dtype.itemsize * encoding.channels)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    view = np.ndarray(shape, dtype, buffer=message.data, strides=strides)
    view.flags.writeable = False
    return view.astype(dtype.newbyteorder("="), copy=False)


def infrared_array(message: Image) -> np.ndarray:
    """Infrared image as [H, W] uint8, uint16 or float32; colour encodings become grey.

    Raises:
        ImageError: see `image_array`.
    """
    array = _to_bgr(image_array(message), ENCODINGS.get(message.encoding))
    return array if array.ndim == 2 else to_grey(array)


def visible_array(message: Image) -> np.ndarray:
    """Visible image as [H, W] uint8 or [H, W, 3] BGR uint8; 16-bit images lose their low byte.

    Raises:
        ImageError: see `image_array`; also a floating point image, whose range is not defined.
    """
    array = _to_bgr(image_array(message), ENCODINGS.get(message.encoding))
    return to_eight_bits(array, message.encoding)


def image_message(array: np.ndarray, encoding: str, header: Header) -> Image:
    """Image message with a copy of ``array``.

    Args:
        array: [H, W] or [H, W, channels] of the dtype and channels of ``encoding``.
        encoding: a key of ``ENCODINGS``.
        header: stamp and frame_id of the result.

    Raises:
        ImageError: ``array`` does not fit ``encoding``.
    """
    from sensor_msgs.msg import Image

    layout = ENCODINGS[encoding]
    channels = 1 if array.ndim == 2 else array.shape[2]
    if array.dtype != np.dtype(layout.dtype) or channels != layout.channels:
        raise ImageError(f"array of {array.dtype} with {channels} channels is not {encoding}")
    array = np.ascontiguousarray(array)
    message = Image()
    message.header = header
    message.height, message.width = array.shape[:2]
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big" and array.dtype.itemsize > 1)
    message.step = array.nbytes // message.height
    # On a fresh message `data` is an empty array.array: extending it from the buffer is one memcpy,
    # assigning bytes is checked element by element by some rclpy versions.
    message.data.frombytes(array.data.cast("B"))
    return message


def is_constant(array: np.ndarray) -> bool:
    """Whether all pixels are equal, as with a lens cap on or a closed thermal shutter."""
    coarse = array[::16, ::16]
    # The sparse look settles nearly every image, so the full one is paid for rarely.
    return bool((coarse == array[0, 0]).all() and (array == array[0, 0]).all())


@functools.cache
def cv_bridge_or_none() -> ModuleType | None:
    """The ROS 2 cv_bridge module, or None where it is missing or broken by NumPy's ABI."""
    try:
        module = importlib.import_module("cv_bridge")
    except (ImportError, AttributeError):
        return None
    return module if hasattr(module, "CvBridge") else None


def _cv_bridge_knows(encoding: str) -> bool:
    bridge = cv_bridge_or_none()
    if bridge is None:
        return False
    try:
        bridge.CvBridge().encoding_to_cvtype2(encoding)
    except Exception:  # CvBridgeError, or whatever its compiled part raises
        return False
    return True


def _unknown_encoding(encoding: str) -> ImageError:
    return ImageError(
        f"encoding {encoding!r}, expected one of {', '.join(sorted(ENCODINGS))}; "
        "install cv_bridge for the others, or convert the images with image_proc"
    )


def _through_cv_bridge(message: Image) -> np.ndarray:
    bridge = cv_bridge_or_none()
    if bridge is None:
        raise _unknown_encoding(message.encoding)
    grey = message.encoding.startswith(("mono", "16UC1", "16SC1", "32FC1", "32SC1", "64FC1"))
    try:
        wanted = "passthrough" if grey else "bgr8"
        array = np.asarray(bridge.CvBridge().imgmsg_to_cv2(message, desired_encoding=wanted))
    except Exception as error:  # cv_bridge raises its own, OpenCV's and NumPy's errors
        raise ImageError(
            f"encoding {message.encoding!r} that cv_bridge cannot convert: {error}; "
            f"use one of {', '.join(sorted(ENCODINGS))}"
        ) from error
    return array.astype(np.float32) if array.dtype.kind in "if" else array


def _to_bgr(array: np.ndarray, encoding: Encoding | None) -> np.ndarray:
    if encoding is None or encoding.to_bgr is None:
        return array
    return cv2.cvtColor(np.ascontiguousarray(array), encoding.to_bgr)


def to_grey(bgr: np.ndarray) -> np.ndarray:
    """Luminance [H, W] of a [H, W, 3 or 4] BGR image; exact where the channels are equal."""
    if bgr.shape[2] == 4:
        bgr = bgr[:, :, :3]
    blue, green, red = bgr[:, :, 0], bgr[:, :, 1], bgr[:, :, 2]
    if np.array_equal(blue, green) and np.array_equal(green, red):
        return np.ascontiguousarray(green)
    return cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2GRAY)


def to_eight_bits(array: np.ndarray, encoding: str) -> np.ndarray:
    """[H, W] or [H, W, 3] uint8 from 8 or 16 bits, the fourth channel left out.

    Raises:
        ImageError: another dtype; ``encoding`` names it.
    """
    if array.ndim == 3 and array.shape[2] == 4:
        array = np.ascontiguousarray(array[:, :, :3])
    if array.dtype == np.uint16:
        return (array // 256).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(
            f"visible image of encoding {encoding!r} ({array.dtype}), expected 8 or 16 bits a "
            "channel; check which topic is connected to visible/image_raw"
        )
    return array
