"""The pictures that the page can show, and what is sent of one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

PICTURES = ("infrared", "visible", "fused", "segmentation", "attribution")
"""Nothing else can be asked for."""

_PREFIX = struct.Struct(">BIq")
"""Of a frame: which of ``PICTURES``, its number, and its stamp in nanoseconds. The JPEG follows."""


@dataclass(frozen=True)
class Decoded:
    """An image as the page shows it, before it is shrunk."""

    array: np.ndarray
    """[H, W] or [H, W, 3] BGR, uint8."""

    description: str
    """Size and encoding as the sender had them, for people."""

    stamp: int
    """Of the message's header, in nanoseconds."""


Decoders = Mapping[str, Callable[[Any], Decoded]]
"""What makes an image of a message, by picture. Raises ValueError with a sentence."""


@dataclass(frozen=True)
class Frame:
    """One image of a picture, ready to be sent to any number of viewers."""

    picture: str
    number: int
    data: bytes
    description: str


def make_frame(
    picture: str, number: int, decoded: Decoded, longest_side: int, quality: int
) -> Frame:
    """Shrinks and compresses an image.

    Args:
        number: of the image since the start.
        longest_side: pixels. quality: 1 to 100.

    Raises:
        ValueError: OpenCV cannot compress it.
    """
    height, width = decoded.array.shape[:2]
    image, scale = decoded.array, longest_side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    fine, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not fine:
        raise ValueError(f"image of {width}x{height} pixels that OpenCV cannot make a JPEG of")
    which = PICTURES.index(picture)
    prefix = _PREFIX.pack(which, number & 0xFFFFFFFF, decoded.stamp)
    return Frame(picture, number, prefix + jpeg.tobytes(), decoded.description)
