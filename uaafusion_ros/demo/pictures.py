"""Draws the demo's contact sheet and video from its recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from uaafusion_ros.demo.recording import ClassLegend, Moment, Recording
from uaafusion_ros.inference.render import INFRARED_COLOUR, VISIBLE_COLOUR

COLUMNS = ("visible", "infrared", "fused", "segmentation", "attribution")
ROWS = 4
CELL_WIDTHS = (240, 384)
"""Narrowest and widest picture, in pixels: room for the titles, and five side by side."""

PAPER, INK = 255, (0.13, 0.13, 0.13)
_DOTS = 100
_GAP = 6
_MARGIN = 14
_TITLE_HEIGHT = 34
_LEGEND_HEIGHT = 30
_SMALLEST_SHARE = 0.002
"""Share of the shown pixels below which a class is left out of the legend."""


class Text(NamedTuple):
    """A word on a picture, in pixels from its top left corner; ``y`` is the middle of the line."""

    x: float
    y: float
    text: str
    size: float
    centred: bool = False
    bold: bool = False


class LegendEntry(NamedTuple):
    """A colour (BGR) and what it stands for."""

    bgr: tuple[int, int, int]
    name: str


def draw_pictures(recording: Recording, sheet: Path, video: Path, rate: float) -> None:
    """Write the contact sheet (PNG) and the video (MP4).

    The video has one frame for each visible image and shows the newest fused pair of that time, so
    that it runs as fast as the cameras did and a pair that was dropped is seen as a halt.

    Args:
        recording: with at least one fused image.
        rate: visible images a second.
    """
    shape = cell_shape(recording.shapes["visible"])
    chosen = set(evenly_spaced(len(recording.fused_stamps), ROWS))
    rows: list[Moment] = []
    moments = _keep(recording.moments(), chosen, rows)
    write_video(video, video_frames(moments, recording.visible_stamps, shape), rate)
    if rows:
        start = recording.visible_stamps[0]
        picture = contact_sheet(rows, shape, recording.classes, start)
        cv2.imwrite(str(sheet), picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))


def cell_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width, both even, of the cell in which all pictures of these shapes are shown."""
    heights, widths = np.asarray(shapes, float).T
    width = float(np.clip(np.median(widths), *CELL_WIDTHS))
    height = width * float(np.median(heights / widths))
    return max(2, 2 * round(height / 2)), 2 * round(width / 2)


def evenly_spaced(length: int, count: int) -> list[int]:
    """At most ``count`` different indices below ``length``, the middles of equal parts."""
    return sorted({int((index + 0.5) * length / count) for index in range(count)} if length else ())


def fit(image: np.ndarray, shape: tuple[int, int], background: int = 0) -> np.ndarray:
    """Fit an image into a cell without changing its proportions.

    Args:
        image: [H,W] uint8, uint16 or float32, or [H,W,3] BGR uint8. 16-bit and float images are
            stretched between their extremes, as for looking at.
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


def cells(moment: Moment, shape: tuple[int, int], background: int = 0) -> list[np.ndarray]:
    """The pictures of a moment in the order of `COLUMNS`, each fitted into a cell."""
    pictures = (
        moment.visible,
        moment.infrared,
        moment.fused,
        moment.mask_overlay,
        moment.attribution,
    )
    return [fit(picture, shape, background) for picture in pictures]


def contact_sheet(
    rows: Sequence[Moment], shape: tuple[int, int], classes: dict[int, ClassLegend], start: int
) -> np.ndarray:
    """Draw moments below each other, with titles, times and a legend.

    Args:
        rows: what to show.
        shape: height and width of a picture.
        classes: by id.
        start: stamp that the times count from.

    Returns:
        BGR uint8.
    """
    height, width = shape
    label = 46
    left, top = _MARGIN + label, _MARGIN + _TITLE_HEIGHT
    page_width = left + len(COLUMNS) * (width + _GAP) - _GAP + _MARGIN
    bottom = top + len(rows) * (height + _GAP) + 4
    legend = _legend_lines(_legend(rows, classes), page_width - left - _MARGIN)
    page = np.full((bottom + len(legend) * _LEGEND_HEIGHT + _MARGIN, page_width, 3), PAPER, "u1")
    texts = [
        Text(left + column * (width + _GAP) + width / 2, _MARGIN + 13, title, 13.5, True, True)
        for column, title in enumerate(COLUMNS)
    ]
    for row, moment in enumerate(rows):
        y = top + row * (height + _GAP)
        seconds = (moment.stamp - start) / 1e9
        texts.append(Text(_MARGIN + label / 2 - 4, y + height / 2, f"{seconds:.1f} s", 10, True))
        for column, cell in enumerate(cells(moment, shape, PAPER)):
            x = left + column * (width + _GAP)
            page[y : y + height, x : x + width] = cell
    for line, entries in enumerate(legend):
        y = bottom + line * _LEGEND_HEIGHT + _LEGEND_HEIGHT // 2
        for x, entry in entries:
            x += left
            cv2.rectangle(page, (x, y - 8), (x + 16, y + 8), entry.bgr, cv2.FILLED)
            cv2.rectangle(page, (x, y - 8), (x + 16, y + 8), (90, 90, 90), 1)
            texts.append(Text(x + 24, y, entry.name, 10.5))
    return lettered(page, texts)


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
    moments: Iterable[Moment], slots: Sequence[int], shape: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield one BGR frame, of even size, for each of the stamps ``slots``."""
    height, width = shape
    pitch = width + _GAP
    title = np.full((_TITLE_HEIGHT, len(COLUMNS) * pitch - _GAP, 3), PAPER, np.uint8)
    centres = [column * pitch + width / 2 for column in range(len(COLUMNS))]
    gap = np.full((height, _GAP, 3), PAPER, np.uint8)
    title = lettered(
        title,
        [
            Text(x, _TITLE_HEIGHT / 2, text, 12.5, True, True)
            for x, text in zip(centres, COLUMNS, strict=True)
        ],
    )
    frame: np.ndarray | None = None
    slot = 0
    for moment in moments:
        while frame is not None and slot < len(slots) and slots[slot] < moment.stamp:
            yield frame
            slot += 1
        first, *others = cells(moment, shape)
        row = np.hstack([first, *(part for cell in others for part in (gap, cell))])
        frame = np.vstack((title, row))
    if frame is not None:
        for _ in slots[slot:]:
            yield frame


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


def _keep(moments: Iterable[Moment], indices: set[int], kept: list[Moment]) -> Iterator[Moment]:
    for index, moment in enumerate(moments):
        if index in indices:
            kept.append(moment)
        yield moment


def _legend(rows: Sequence[Moment], classes: dict[int, ClassLegend]) -> list[list[LegendEntry]]:
    """The classes that can be seen, and the colours of the attribution."""
    pixels = np.sum([np.bincount(row.mask.ravel(), minlength=256) for row in rows], axis=0)
    visible = [
        LegendEntry((entry.rgb[2], entry.rgb[1], entry.rgb[0]), entry.name)
        for index, entry in sorted(classes.items())
        if index and pixels[index] >= _SMALLEST_SHARE * pixels.sum()
    ]
    sources = [
        LegendEntry(INFRARED_COLOUR, "from infrared"),
        LegendEntry(VISIBLE_COLOUR, "from visible; brighter: more attention"),
    ]
    return [visible, sources]


def _legend_lines(
    groups: Sequence[Sequence[LegendEntry]], width: int
) -> list[list[tuple[int, LegendEntry]]]:
    """Entries with their x, line by line; each group starts a line."""
    lines: list[list[tuple[int, LegendEntry]]] = []
    for group in groups:
        x = width
        for entry in group:
            needed = 46 + 8 * len(entry.name)
            if x + needed > width:
                lines.append([])
                x = 0
            lines[-1].append((x, entry))
            x += needed
    return lines
