"""Draws how RViz and Foxglove arrange a recording of the demo; its contact sheet for the README.

    python docs/drawing/layouts.py out/demo docs/pictures

Panels, names and proportions are read from config/fusion.rviz and config/foxglove.json, the
pictures and the diagnostics from the recording. They are drawings, not screenshots.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from rosbags.highlevel import AnyReader
from svg import FAINT, Drawing

from uaafusion_ros.demo.recording import Moment, Recording
from uaafusion_ros.demo.topics import ATTRIBUTION, FUSED, INFRARED, MASK_OVERLAY, VISIBLE

CONFIG = Path(__file__).resolve().parents[2] / "config"
WIDTH, HEIGHT = 1000, 500
LEVELS = ("#2f7d3b", "#9a7400", "#b42318")
"""Colours of OK, WARN and ERROR."""


class Panel(NamedTuple):
    """A named place: x, y, width, height as parts of the window, 0..1."""

    name: str
    place: tuple[float, float, float, float]


def rviz_panels(file: Path) -> list[Panel]:
    """Docked panels of an RViz layout, as Qt's QMainWindow::saveState wrote their places."""
    state = yaml.safe_load(file.read_text())["Window Geometry"]["QMainWindow State"]
    reader = _QtState(bytes.fromhex(state))
    docks = list(reader.docks())
    width = max(x + w for _, (x, _, w, _) in docks)
    height = max(y + h for _, (_, y, _, h) in docks)
    top = min(y for _, (_, y, _, _) in docks)
    return [
        Panel(name, (x / width, (y - top) / (height - top), w / width, h / (height - top)))
        for name, (x, y, w, h) in docks
    ]


class _QtState:
    """The dock areas of QMainWindow's state: markers of Qt's source, big-endian integers."""

    DOCKS, TABS, SEQUENCE, WIDGET = 0xFD, 0xFA, 0xFC, 0xFB
    VERTICAL = 2
    CENTRE = 46
    """Pixels that the central view keeps between the docks at its left and right."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 8  # version and toolbar marker's count

    def docks(self) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        assert self._byte() == self.DOCKS
        left = 0
        for _ in range(self._number()):
            self._number()  # side
            width, height = self._number(), self._number()
            yield from self._area((left, 0, width, height))
            left += width + self.CENTRE

    def _area(self, place: tuple[int, int, int, int]) -> Iterator[tuple[str, Any]]:
        assert self._byte() == self.SEQUENCE, "tabbed docks are not drawn"
        vertical = self._byte() == self.VERTICAL
        x, y, width, height = place
        start: int | None = None
        for _ in range(self._number()):
            kind = self._byte()
            name = ""
            if kind == self.WIDGET:
                size = self._number()
                name = self._take(size).decode("utf-16-be")
                self._byte()
            position, length, _, _ = (self._number() for _ in range(4))
            start = position if start is None else start
            offset = position if vertical else position - start
            part = (x, offset, width, length) if vertical else (x + offset, y, length, height)
            if kind == self.WIDGET:
                yield name, part
            else:
                yield from self._area(part)

    def _byte(self) -> int:
        return self._take(1)[0]

    def _number(self) -> int:
        return struct.unpack(">i", self._take(4))[0]

    def _take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]


def foxglove_panels(file: Path) -> list[Panel]:
    """Panels of a Foxglove layout."""
    layout = json.loads(file.read_text())
    titles = {key: panel["foxglovePanelTitle"] for key, panel in layout["configById"].items()}

    def parts(node: Any, place: tuple[float, float, float, float]) -> Iterator[Panel]:
        if isinstance(node, str):
            yield Panel(titles[node], place)
            return
        share = node.get("splitPercentage", 50) / 100
        x, y, width, height = place
        if node["direction"] == "row":
            first = (x, y, width * share, height)
            second = (x + width * share, y, width * (1 - share), height)
        else:
            first = (x, y, width, height * share)
            second = (x, y + height * share, width, height * (1 - share))
        yield from parts(node["first"], first)
        yield from parts(node["second"], second)

    return list(parts(layout["layout"], (0, 0, 1, 1)))


def draw(
    title: str,
    panels: list[Panel],
    pictures: dict[str, np.ndarray],
    statuses: list[tuple[int, str, str]],
) -> Drawing:
    """The window with its panels; panels without a picture list what they would show."""
    drawing = Drawing(WIDTH, HEIGHT + 44, title)
    drawing.text(16, 28, title, bold=True, size=14, anchor="start")
    for name, (x, y, width, height) in panels:
        left, top = 10 + x * (WIDTH - 20), 42 + y * HEIGHT * 0.98
        right, bottom = left + width * (WIDTH - 20) - 6, top + height * HEIGHT * 0.98 - 6
        drawing.panel((left, top, right - left, bottom - top), name)
        if name in pictures:
            drawing.picture(_inside(pictures[name], left, top + 22, right, bottom), pictures[name])
        elif name == "Displays":
            for index, entry in enumerate(pictures):
                drawing.text(left + 14, top + 46 + index * 22, f"☑ {entry}", anchor="start")
        else:
            for index, (level, status, message) in enumerate(statuses):
                y_line = top + 37 + index * 18
                drawing.bar((left + 10, y_line - 10, 10, 10), LEVELS[level])
                text = f"{status}: {message}"
                limit = int((right - left - 36) / 6.2)
                shown = text if len(text) < limit else text[: limit - 1] + "…"
                drawing.text(left + 26, y_line, shown, size=11.5, colour=FAINT, anchor="start")
    return drawing


def _inside(
    image: np.ndarray, left: float, top: float, right: float, bottom: float
) -> tuple[float, float, float, float]:
    """The largest place of the image's shape in a rectangle, centred."""
    scale = min((right - left - 8) / image.shape[1], (bottom - top - 8) / image.shape[0])
    width, height = image.shape[1] * scale, image.shape[0] * scale
    return (left + right - width) / 2, (top + bottom - height) / 2, width, height


def by_topic(moment: Moment) -> dict[str, np.ndarray]:
    """The pictures of a moment by their topics."""
    low, high = moment.infrared.min(), moment.infrared.max()
    infrared = np.interp(moment.infrared, (low, high), (0, 255)).astype(np.uint8)
    return {
        INFRARED: infrared,
        VISIBLE: moment.visible,
        FUSED: moment.fused,
        MASK_OVERLAY: moment.mask_overlay,
        ATTRIBUTION: moment.attribution,
    }


def diagnostics(bag: Path) -> list[tuple[int, str, str]]:
    """Level, name and message of the statuses in the middle of a recording."""
    with AnyReader([bag]) as reader:
        found = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/diagnostics"
        ]
    middle = found[len(found) // 2]
    return [
        (int(s.level), s.name, s.message) for s in sorted(middle.status, key=lambda s: -s.level)
    ]


if __name__ == "__main__":
    demo, folder = map(Path, sys.argv[1:])
    bag = demo / "outputs.mcap"
    sheet = cv2.imread(str(demo / "demo.png"))
    cv2.imwrite(str(folder / "demo.webp"), sheet, (cv2.IMWRITE_WEBP_QUALITY, 88))
    moments = list(Recording(bag).moments())
    images = by_topic(moments[len(moments) // 8])
    displays = yaml.safe_load((CONFIG / "fusion.rviz").read_text())["Visualization Manager"]
    rviz = {entry["Name"]: images[entry["Topic"]["Value"]] for entry in displays["Displays"]}
    panels = json.loads((CONFIG / "foxglove.json").read_text())["configById"].values()
    foxglove = {
        panel["foxglovePanelTitle"]: images[panel["imageMode"]["imageTopic"]]
        for panel in panels
        if "imageMode" in panel
    }
    for file, title, places, shown in (
        ("rviz", "RViz, config/fusion.rviz", rviz_panels(CONFIG / "fusion.rviz"), rviz),
        (
            "foxglove",
            "Foxglove, config/foxglove.json",
            foxglove_panels(CONFIG / "foxglove.json"),
            foxglove,
        ),
    ):
        draw(f"{title} (a drawing of the layout)", places, shown, diagnostics(bag)).write(
            folder / f"{file}.svg"
        )
