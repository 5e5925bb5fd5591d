"""Reads the image files of data sets, and refuses those that are damaged by name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from uaafusion_ros.training.errors import DatasetError

SPLITS = ("train", "val", "test")
_END_MARKERS = {".png": b"IEND", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
#: Bytes in which the end marker must stand; some cameras pad their images.
_TRAILER = 512


def missing_folder(folder: Path) -> str:
    """Say that `folder`, of one kind of images, is not there, and where they might be."""
    splits = [name for name in SPLITS if (folder.parent / name).is_dir()]
    hint = f"; {folder.parent} holds {' and '.join(splits)}: give one of these" if splits else ""
    return f"{folder} is not a folder; expected images in it{hint}"


def read_luminance(path: Path) -> np.ndarray:
    """Read an image as luminance uint8 [H,W].

    Raises:
        DatasetError: not an image.
    """
    return _read(path, cv2.IMREAD_GRAYSCALE)


def read_colour(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read an image as luminance uint8 [H,W] and chroma uint8 [H,W,2].

    Raises:
        DatasetError: not an image.
    """
    return part_colour(_read(path, cv2.IMREAD_COLOR))


def read_labels(path: Path) -> np.ndarray:
    """Read class ids uint8 [H,W] that are stored as grey levels.

    Raises:
        DatasetError: not an image, or one in colour.
    """
    image = _read(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and (image[..., :1] == image[..., :3]).all():
        image = image[..., 0]
    if image.ndim != 2 or image.dtype != np.uint8:
        raise DatasetError(
            f"{path} is {image.dtype} {list(image.shape)}, expected class ids as 8-bit grey levels"
        )
    return image


def part_colour(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return luminance uint8 [H,W] and chroma uint8 [H,W,2] of an image uint8 [H,W,3] BGR."""
    converted = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    return np.ascontiguousarray(converted[..., 0]), np.ascontiguousarray(converted[..., 1:])


def _read(path: Path, mode: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    # OpenCV reads images that were cut off, with grey where the data ends.
    marker = _END_MARKERS.get(path.suffix.lower(), b"")
    if marker not in data[-_TRAILER:]:
        raise DatasetError(f"{path} is cut off; remove it or copy it again")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    if image is None:
        raise DatasetError(f"{path} is not a readable image; remove it or copy it again")
    return image
