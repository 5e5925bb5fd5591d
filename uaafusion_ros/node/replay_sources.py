"""Where replayed images come from: two folders or the synthetic street. Free of ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from uaafusion_ros.scenes.street import StreetScene

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


class SourceError(ValueError):
    """Images that cannot be had; says what was looked for and where."""


class ImageSource(Protocol):
    """Images of two cameras that look at one scene."""

    @property
    def length(self) -> int | None:
        """Number of moments; None: endless."""

    def image(self, stream: str, moment: int, time: float) -> np.ndarray:
        """The ``infrared`` or ``visible`` image of a moment.

        Args:
            moment: running number, beyond ``length`` it starts anew.
            time: seconds after the start at which the camera takes it.

        Returns:
            [H, W] uint8 or uint16, or [H, W, 3] BGR uint8.

        Raises:
            SourceError: an unreadable file.
        """


class StreetSource:
    """The synthetic street, each image at the very time that it is taken."""

    length: int | None = None

    def __init__(self, height: int, width: int, condition: str, seed: int) -> None:
        try:
            self._scene = StreetScene(height, width, condition, seed)  # type: ignore[arg-type]
        except ValueError as error:
            raise SourceError(str(error)) from error
        self._rendered = (-1.0, self._scene.frame(0.0))

    def image(self, stream: str, moment: int, time: float) -> np.ndarray:
        """See `ImageSource`; both images of one time are rendered together."""
        if self._rendered[0] != time:
            self._rendered = (time, self._scene.frame(time))
        frame = self._rendered[1]
        return frame.infrared if stream == "infrared" else frame.visible


class FolderSource:
    """Two folders whose files have the same stems, in the order of their names.

    Raises:
        SourceError: a folder is missing, or no stem is in both.
    """

    def __init__(self, infrared: str | Path, visible: str | Path) -> None:
        files = {"infrared": _images(infrared), "visible": _images(visible)}
        stems = sorted(files["infrared"].keys() & files["visible"].keys())
        if not stems:
            raise SourceError(
                f"no file name is in both {infrared} ({len(files['infrared'])} images) and "
                f"{visible} ({len(files['visible'])} images); give the two files of a pair the "
                "same name"
            )
        self._files = {stream: [named[stem] for stem in stems] for stream, named in files.items()}
        self.unmatched = len(files["infrared"].keys() ^ files["visible"].keys())
        self.length = len(stems)

    def image(self, stream: str, moment: int, time: float) -> np.ndarray:
        """See `ImageSource`."""
        path = self._files[stream][moment % self.length]
        array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if array is None or array.dtype not in (np.uint8, np.uint16):
            raise SourceError(f"{path} is not an 8 or 16 bit image that OpenCV can read")
        if array.ndim == 3 and array.dtype == np.uint16:
            array = (array // 256).astype(np.uint8)
        return np.ascontiguousarray(array[:, :, :3]) if array.ndim == 3 else array


def _images(folder: str | Path) -> dict[str, Path]:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise SourceError(
            f"folder {str(folder)!r} does not exist; set infrared_folder and visible_folder"
        )
    return {file.stem: file for file in path.iterdir() if file.suffix.lower() in SUFFIXES}
