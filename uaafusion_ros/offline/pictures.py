"""Pictures of recordings side by side, and videos of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

COLUMNS = ("visible", "infrared", "fused", "segmentation", "attribution")
CELL_WIDTHS = (240, 384)
"""Narrowest and widest picture, in pixels: room for the titles, and five side by side."""

PAPER, INK = 255, (0.13, 0.13, 0.13)
GAP = 6
TITLE_HEIGHT = 34
_DOTS = 100


class Text(NamedTuple):
    """A word on a picture, in pixels from its top left corner; ``y`` is the middle of the line."""

    x: float
    y: float
    text: str
    size: float
    centred: bool = False
    bold: bool = False


class HasPictures(Protocol):
    """A moment of a recording: pictures by title, as for `fit`, and when it was."""

    @property
    def stamp(self) -> int: ...

    @property
    def pictures(self) -> Mapping[str, np.ndarray]: ...


def cell_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width, both even, of the cell in which all pictures of these shapes are shown."""
    heights, widths = np.asarray(shapes, float).T
    width = float(np.clip(np.median(widths), *CELL_WIDTHS))
    height = width * float(np.median(heights / widths))
    return max(2, 2 * round(height / 2)), 2 * round(width / 2)


def fit(image: np.ndarray, shape: tuple[int, int], background: int = 0) -> np.ndarray:
    """Fit an image into a cell without changing its proportions.

    Args:
        image: [H,W] uint8, uint16 or float32, or [H,W,3] BGR uint8. 16-bit and float images are
            stretched between their percentiles, as for looking at.
        shape: height and width of the cell.

    Returns:
        BGR uint8 [height,width,3].
    """
    if image.dtype != np.uint8:
        low, high = np.nanpercentile(image, (0.5, 99.5))
        scaled = (image.astype(np.float32) - low) / max(float(high - low), 1e-6)
        image = np.rint(np.clip(np.nan_to_num(scaled), 0, 1) * 255).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    height, width = shape
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    if size != image.shape[1::-1]:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, size, interpolation=method)
    cell = np.full((height, width, 3), background, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = image[:height, :width]
    return cell


def cells(moment: HasPictures, shape: tuple[int, int], background: int = 0) -> list[np.ndarray]:
    """The pictures of a moment in their order, each fitted into a cell."""
    return [fit(picture, shape, background) for picture in moment.pictures.values()]


def lettered(page: np.ndarray, texts: Iterable[Text]) -> np.ndarray:
    """Return BGR uint8 ``page`` with texts on it, otherwise unchanged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = page.shape[:2]
    figure = Figure(figsize=(width / _DOTS, height / _DOTS), dpi=_DOTS)
    canvas = FigureCanvasAgg(figure)
    figure.figimage(page[:, :, ::-1])
    for text in texts:
        figure.text(
            text.x / width,
            1 - text.y / height,
            text.text,
            size=text.size,
            color=INK,
            weight="bold" if text.bold else "normal",
            ha="center" if text.centred else "left",
            va="center_baseline",
        )
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, 2::-1])


def video_frames(
    shown: Iterable[HasPictures], slots: Sequence[int], shape: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield one BGR frame, of even size, for each of the stamps ``slots``: pictures side by side.

    Args:
        shown: in the order of time, all with the same titles.
        shape: height and width of a picture.
    """
    title: np.ndarray | None = None

    def draw(moment: HasPictures) -> np.ndarray:
        nonlocal title
        if title is None:
            title = _titles(tuple(moment.pictures), shape[1])
        gap = np.full((shape[0], GAP, 3), PAPER, np.uint8)
        first, *others = cells(moment, shape)
        row = np.hstack([first, *(part for cell in others for part in (gap, cell))])
        return np.vstack((title, row))

    return in_time(shown, slots, draw)


def in_time(
    shown: Iterable[HasPictures],
    slots: Sequence[int],
    draw: Callable[[HasPictures], np.ndarray],
) -> Iterator[np.ndarray]:
    """Yield for each of the stamps ``slots`` the newest moment of that time, as ``draw`` shows it.

    So the video runs as fast as the cameras did, and a pair that was dropped is seen as a halt.
    """
    frame: np.ndarray | None = None
    slot = 0
    for moment in shown:
        while frame is not None and slot < len(slots) and slots[slot] < moment.stamp:
            yield frame
            slot += 1
        frame = draw(moment)
    if frame is not None:
        for _ in slots[slot:]:
            yield frame


def _titles(columns: Sequence[str], width: int) -> np.ndarray:
    pitch = width + GAP
    blank = np.full((TITLE_HEIGHT, len(columns) * pitch - GAP, 3), PAPER, np.uint8)
    return lettered(
        blank,
        [
            Text(index * pitch + width / 2, TITLE_HEIGHT / 2, column, 12.5, True, True)
            for index, column in enumerate(columns)
        ],
    )


def write_video(path: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    """Write BGR frames of one even size as H.264 in MP4; as MPEG-4 where PyAV lacks the encoder."""
    import av

    try:
        av.codec.Codec("libx264", "w")
    except (ValueError, LookupError):  # PyAV built without it
        _write_video_with_opencv(path, frames, rate)
        return
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(999))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "20", "preset": "medium"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        if stream is not None:
            container.mux(stream.encode())


def _write_video_with_opencv(path: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    writer: cv2.VideoWriter | None = None
    for frame in frames:
        if writer is None:
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(path), codec, rate, frame.shape[1::-1])
        writer.write(frame)
    if writer is not None:
        writer.release()
