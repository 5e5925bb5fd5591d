"""Boxes, arrows and texts of the drawings; on a light ground, to be read on dark pages too."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

INFRARED, VISIBLE, NETWORK, RESULT, PLAIN, WARNING = (
    ("#fdebdd", "#d9691c"),
    ("#e0eefb", "#1d70b8"),
    ("#efe7fa", "#6a41a8"),
    ("#e3f3e5", "#2f7d3b"),
    ("#f4f4f2", "#6b6b6b"),
    ("#fdf3d0", "#9a7400"),
)
INK, FAINT = "#1f2328", "#57606a"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


class Drawing:
    """Collects shapes; coordinates are pixels from the top left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="{FONT}" role="img">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="{FAINT}"/></marker>'
            "</defs>",
            f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="10" fill="#ffffff" '
            'stroke="#d0d7de"/>',
        ]

    def box(
        self,
        place: tuple[float, float, float, float],
        title: str,
        lines: Sequence[str] = (),
        colours: tuple[str, str] = PLAIN,
        size: int = 15,
    ) -> None:
        """A box x, y, width, height with a title and smaller lines, centred."""
        x, y, width, height = place
        fill, edge = colours
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{fill}" '
            f'stroke="{edge}" stroke-width="1.5"/>'
        )
        step = 17
        first = y + height / 2 - (len(lines) * step) / 2 + size / 3
        self.text(x + width / 2, first, title, size=size, bold=True)
        for index, line in enumerate(lines, start=1):
            self.text(x + width / 2, first + index * step + 1, line, size=12.5, colour=FAINT)

    def frame(self, place: tuple[float, float, float, float], title: str) -> None:
        """A dashed border around what belongs together, its title inside at the top left."""
        x, y, width, height = place
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="9" fill="none" '
            f'stroke="{FAINT}" stroke-dasharray="5 4"/>'
        )
        self.text(x + 10, y + 18, title, size=13, colour=FAINT, anchor="start")

    def panel(self, place: tuple[float, float, float, float], title: str) -> None:
        """A panel of a window x, y, width, height with a title bar."""
        x, y, width, height = place
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="#f6f8fa" stroke="#d0d7de"/><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            'height="20" fill="#e3e7ec"/>'
        )
        self.text(x + 8, y + 14.5, title, size=12, bold=True, anchor="start")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 13,
        bold: bool = False,
        colour: str = INK,
        anchor: str = "middle",
    ) -> None:
        """One line of text, its baseline at y."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """A line through the points with a tip at its end."""
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{FAINT}" stroke-width="1.7"{dash} '
            'marker-end="url(#tip)"/>'
        )

    def bar(self, place: tuple[float, float, float, float], colour: str) -> None:
        """A filled rectangle x, y, width, height."""
        x, y, width, height = place
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{max(width, 1):.1f}" height="{height}" fill="{colour}"/>'
        )

    def picture(self, place: tuple[float, float, float, float], bgr: np.ndarray) -> None:
        """An image [H,W,3] or [H,W] uint8, fitted to x, y, width, height."""
        x, y, width, height = place
        rectangle = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
        self._parts.append(
            f'<image {rectangle} preserveAspectRatio="none" '
            f'href="data:image/jpeg;base64,{base64.b64encode(data).decode()}"/>'
            f'<rect {rectangle} fill="none" stroke="#8b949e"/>'
        )

    def write(self, path: Path) -> None:
        """Write the file."""
        path.write_text("\n".join([*self._parts, "</svg>", ""]), encoding="utf-8")


def stack(texts: Iterable[str], drawing: Drawing, x: float, y: float, step: float = 18) -> None:
    """Lines below each other, from the left."""
    for index, text in enumerate(texts):
        drawing.text(x, y + index * step, text, size=13, colour=FAINT, anchor="start")
