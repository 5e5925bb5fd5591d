"""sensor_msgs/CompressedImage -> NumPy arrays through OpenCV, after a look at the header.

The size is read from the PNG or JPEG header before anything is decoded, so that a small message
cannot make the node reserve gigabytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np

from uaafusion_ros.node.images import (
    MAXIMUM_PIXELS,
    ImageError,
    check_size,
    to_eight_bits,
    to_grey,
)

if TYPE_CHECKING:
    from sensor_msgs.msg import CompressedImage

COMPRESSED_SUFFIX = "/compressed"
"""What image_transport adds to the name of a topic."""

MAXIMUM_BYTES = 3 * MAXIMUM_PIXELS
"""What an image may take when it is decoded."""

TRAILER = 512
"""Bytes in which the end marker must stand; some cameras pad their images."""


def check_compressed(message: CompressedImage) -> None:
    """Refuses a compressed image that is not PNG or JPEG or is larger than ``MAXIMUM_PIXELS``.

    Raises:
        ImageError: with the size found, or what the data begins with.
    """
    if "compressedDepth" in message.format:
        raise ImageError(
            f"format {message.format!r}, expected PNG or JPEG data; subscribe to the camera's "
            "'compressed' topic instead of 'compressedDepth'"
        )
    data = bytes(memoryview(message.data)[:32])
    end = bytes(memoryview(message.data)[-TRAILER:])
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        size = _png_size(data) if b"IEND" in end else None
    elif data.startswith(b"\xff\xd8"):
        size = _jpeg_size(memoryview(message.data)) if b"\xff\xd9" in end else None
    else:
        raise ImageError(
            f"compressed data of {len(message.data)} bytes that begins with {data[:8].hex(' ')!r} "
            f"(format {message.format!r}), expected PNG or JPEG; choose one of them in the "
            "camera's image_transport parameters"
        )
    if size is None:
        raise ImageError(
            f"compressed image of {len(message.data)} bytes without its beginning or end; the "
            "data was cut off, check the network and the driver"
        )
    width, height, pixel = size
    if width == 0 or height == 0:
        raise ImageError(f"compressed image of {width}x{height} pixels; check the camera driver")
    check_size(width, height)
    if width * height * pixel > MAXIMUM_BYTES:
        raise ImageError(
            f"compressed image of {width}x{height} pixels of {pixel} bytes, expected at most "
            f"{MAXIMUM_BYTES} bytes; publish smaller images"
        )


def compressed_infrared_array(message: CompressedImage) -> np.ndarray:
    """Compressed infrared image as [H, W] uint8 or uint16 (16-bit PNG keeps its counts).

    Raises:
        ImageError: see `check_compressed`; also data that OpenCV cannot decode.
    """
    array = _decompress(message)
    return array if array.ndim == 2 else to_grey(array)


def compressed_visible_array(message: CompressedImage) -> np.ndarray:
    """Compressed visible image as [H, W] uint8 or [H, W, 3] BGR uint8.

    Raises:
        ImageError: see `check_compressed`; also data that OpenCV cannot decode.
    """
    return to_eight_bits(_decompress(message), message.format)


def _decompress(message: CompressedImage) -> np.ndarray:
    check_compressed(message)
    try:
        # UNCHANGED keeps 16 bits; message data may stand in an array.array or a NumPy array.
        array = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"compressed image that OpenCV cannot decode: {error}") from error
    if array is None:
        raise ImageError(
            f"compressed image of {len(message.data)} bytes (format {message.format!r}) that "
            "OpenCV cannot decode; the data is cut off or damaged, check network and driver"
        )
    return array


def _png_size(data: bytes) -> tuple[int, int, int] | None:
    """Width, height and bytes a pixel by the IHDR chunk that the PNG format puts first."""
    if len(data) < 26 or data[12:16] != b"IHDR":
        return None
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    # PNG's colour types: grey, colour, palette (decoded to colour), grey or colour with alpha.
    channels = {0: 1, 2: 3, 3: 4, 4: 4, 6: 4}.get(colour, 4)
    return width, height, channels * (2 if depth == 16 else 1)


def _jpeg_size(data: memoryview) -> tuple[int, int, int] | None:
    """Width, height and bytes a pixel by the first start-of-frame segment."""
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", bytes(data[position + 5 : position + 9]))
            return width, height, 3
        if marker == 0xD9 or marker == 0xDA:
            return None
        standalone = marker == 0x01 or 0xD0 <= marker <= 0xD7
        length = (
            0 if standalone else struct.unpack(">H", bytes(data[position + 2 : position + 4]))[0]
        )
        position += 2 + length
    return None
