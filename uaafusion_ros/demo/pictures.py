"""Draws the demo's contact sheet and video from its recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from uaafusion_ros.demo.recording import ClassLegend, Moment, Recording
from uaafusion_ros.inference.output_files import write_image
from uaafusion_ros.inference.render import INFRARED_COLOUR, VISIBLE_COLOUR
from uaafusion_ros.offline.pictures import (
    COLUMNS,
    GAP,
    PAPER,
    TITLE_HEIGHT,
    Text,
    cell_shape,
    cells,
    lettered,
    video_frames,
    write_video,
)

ROWS = 4
_MARGIN = 14
_LEGEND_HEIGHT = 30
_SMALLEST_SHARE = 0.002
"""Share of the shown pixels below which a class is left out of the legend."""


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

    Raises:
        OSError: the sheet cannot be written.
    """
    shape = cell_shape(recording.shapes["visible"])
    chosen = set(evenly_spaced(len(recording.fused_stamps), ROWS))
    rows: list[Moment] = []
    moments = _keep(recording.moments(), chosen, rows)
    write_video(video, video_frames(moments, recording.visible_stamps, shape), rate)
    if rows:
        start = recording.visible_stamps[0]
        picture = contact_sheet(rows, shape, recording.classes, start)
        write_image(sheet, picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))


def evenly_spaced(length: int, count: int) -> list[int]:
    """At most ``count`` different indices below ``length``, the middles of equal parts."""
    return sorted({int((index + 0.5) * length / count) for index in range(count)} if length else ())


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
    left, top = _MARGIN + label, _MARGIN + TITLE_HEIGHT
    page_width = left + len(COLUMNS) * (width + GAP) - GAP + _MARGIN
    bottom = top + len(rows) * (height + GAP) + 4
    legend = _legend_lines(_legend(rows, classes), page_width - left - _MARGIN)
    page = np.full((bottom + len(legend) * _LEGEND_HEIGHT + _MARGIN, page_width, 3), PAPER, "u1")
    texts = [
        Text(left + column * (width + GAP) + width / 2, _MARGIN + 13, title, 13.5, True, True)
        for column, title in enumerate(COLUMNS)
    ]
    for row, moment in enumerate(rows):
        y = top + row * (height + GAP)
        seconds = (moment.stamp - start) / 1e9
        texts.append(Text(_MARGIN + label / 2 - 4, y + height / 2, f"{seconds:.1f} s", 10, True))
        for column, cell in enumerate(cells(moment, shape, PAPER)):
            x = left + column * (width + GAP)
            page[y : y + height, x : x + width] = cell
    for line, entries in enumerate(legend):
        y = bottom + line * _LEGEND_HEIGHT + _LEGEND_HEIGHT // 2
        for x, entry in entries:
            x += left
            cv2.rectangle(page, (x, y - 8), (x + 16, y + 8), entry.bgr, cv2.FILLED)
            cv2.rectangle(page, (x, y - 8), (x + 16, y + 8), (90, 90, 90), 1)
            texts.append(Text(x + 24, y, entry.name, 10.5))
    return lettered(page, texts)


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
