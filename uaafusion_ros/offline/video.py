"""`uaafusion video`: a recording as a film, of the fused image alone or beside all others."""

from __future__ import annotations

import importlib.util
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from uaafusion_ros.bag_topics import guess_topics
from uaafusion_ros.bags import CHECKS, DECODERS, BagError, BagImage, deserialised_image
from uaafusion_ros.inference.errors import SettingsError
from uaafusion_ros.inference.render import attribution_overlay, mask_overlay
from uaafusion_ros.node.images import ImageError
from uaafusion_ros.node.outputs import Output, needed_products
from uaafusion_ros.offline.frames import FusedPair
from uaafusion_ros.offline.messages import resolved
from uaafusion_ros.offline.pictures import (
    HasPictures,
    cell_shape,
    fit,
    in_time,
    video_frames,
    write_video,
)
from uaafusion_ros.offline.plan import FusionPlan
from uaafusion_ros.offline.progress import watched
from uaafusion_ros.offline.recordings import Recordings
from uaafusion_ros.offline.stream import FusionStream
from uaafusion_ros.stamps import SECOND

OUTPUTS = {
    "fused": Output.FUSED,
    "segmentation": Output.MASK_OVERLAY,
    "attribution": Output.ATTRIBUTION,
}
"""Our pictures by title, in the order in which a grid shows them behind the inputs."""

_PATIENCE = 10 * SECOND
"""After so much time a moment that still lacks a picture is given up."""


class Moment(NamedTuple):
    """Pictures of one time, by title."""

    stamp: int
    pictures: dict[str, np.ndarray]


@dataclass(frozen=True)
class VideoJob:
    """What to film: recordings with our outputs, or of cameras, which are fused on the way.

    rate: frames a second; 0 takes the visible camera's.
    """

    plan: FusionPlan
    out: Path
    grid: bool = False
    rate: float = 0.0

    def __post_init__(self) -> None:
        if self.out.suffix.lower() != ".mp4":
            raise SettingsError(f"{self.out} is no .mp4 file, which is what is written")
        if not 0 <= self.rate < 1000:
            raise SettingsError(f"rate is {self.rate}, expected frames a second, or 0")


def film(job: VideoJob, console: Console) -> int:
    """Write the video; returns the number of moments in it.

    Raises:
        BagError: a recording that cannot be read, or that has nothing to show.
        SettingsError: topics that do not tell.
        CheckpointError: the model cannot be used.
        OSError: the video cannot be written.
    """
    _require_modules()
    recordings = Recordings(job.plan.bags)
    fused = recordings.topics.get(resolved(Output.FUSED.topic))
    counter = _Counter()
    if fused is not None and fused.count:
        film = _Recorded(recordings, job)
        moments: Iterable[Moment] = film.moments(console)
        stamps = film.stamps
    else:
        stream = FusionStream(job.plan, needed_products(list(OUTPUTS.values())))
        recordings = stream.recordings
        stamps = _stamps(recordings, stream.topics["visible"])
        moments = _fused(stream, job.grid, console)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = job.out.with_name(f".{job.out.stem}.unfinished.mp4")
    try:
        _write(unfinished, counter.count(moments), stamps, job)
        if not counter.moments:
            raise BagError(f"{recordings.path} has no pair that could be shown")
        os.replace(unfinished, job.out)
    finally:
        unfinished.unlink(missing_ok=True)
    for text in recordings.damage:
        console.print(f"damaged: {text}", markup=False, soft_wrap=True)
    return counter.moments


def _require_modules() -> None:
    missing = [name for name in ("av", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"videos need {' and '.join(missing)}: pip install 'uaafusion_ros[demo]'"
        )


class _Counter:
    def __init__(self) -> None:
        self.moments = 0

    def count(self, moments: Iterable[Moment]) -> Iterator[Moment]:
        for moment in moments:
            self.moments += 1
            yield moment


def _write(path: Path, moments: Iterator[Moment], stamps: Sequence[int], job: VideoJob) -> None:
    first = next(moments, None)
    if first is None:
        return
    slots = [stamp for stamp in stamps if stamp >= first.stamp]
    shape = first.pictures["fused"].shape[:2]
    both = chain([first], moments)
    if job.grid:
        frames = video_frames(both, slots, cell_shape([shape]))
    else:
        even = shape[0] // 2 * 2, shape[1] // 2 * 2

        def draw(moment: HasPictures) -> np.ndarray:
            image = moment.pictures["fused"]
            return image[: even[0], : even[1]] if image.shape[:2] == shape else fit(image, even)

        frames = in_time(both, slots, draw)
    write_video(path, frames, job.rate or _rate(stamps))


def _rate(stamps: Sequence[int]) -> float:
    steps = [later - earlier for earlier, later in pairwise(stamps) if later > earlier]
    return SECOND / statistics.median(steps) if steps else 10.0


def _fused(stream: FusionStream, grid: bool, console: Console) -> Iterator[Moment]:
    palette = stream.fusion.pipeline.palette
    try:
        for item in watched(stream.run(), stream, console):
            if not isinstance(item, FusedPair) or item.result is None:
                continue
            result = item.result
            assert item.visible is not None and item.infrared is not None
            assert result.fused is not None and result.mask is not None
            assert result.infrared_weight is not None and result.attention is not None
            pictures = {"fused": result.fused}
            if grid:
                overlay = mask_overlay(result.fused, result.mask, palette)
                attribution = attribution_overlay(
                    result.fused, result.infrared_weight, result.attention
                )
                pictures = {
                    "visible": item.visible,
                    "infrared": item.infrared,
                    "fused": result.fused,
                    "segmentation": overlay,
                    "attribution": attribution,
                }
            yield Moment(item.pair.visible_stamp, pictures)
    finally:
        stream.close()


class _Recorded:
    """A recording that has our outputs, and perhaps what they were made of."""

    def __init__(self, recordings: Recordings, job: VideoJob) -> None:
        self._recordings = recordings
        topics = recordings.topics
        guessed = guess_topics(topics.values())
        self._inputs = {
            "visible": job.plan.visible or guessed[1],
            "infrared": job.plan.infrared or guessed[0],
        }
        outputs = {title: resolved(output.topic) for title, output in OUTPUTS.items()}
        wanted = {**self._inputs, **outputs} if job.grid else {"fused": outputs["fused"]}
        self._titles = {
            topic: title
            for title, topic in wanted.items()
            if topic is not None and topic in topics and topics[topic].count
        }
        visible = self._inputs["visible"]
        self.stamps = _stamps(
            recordings, visible if visible and visible in topics else outputs["fused"]
        )

    def moments(self, console: Console) -> Iterator[Moment]:
        """What belongs to each fused image; an infrared image is the nearest that came by then."""
        complete = {title for title in self._titles.values() if title != "infrared"}
        waiting: dict[int, dict[str, np.ndarray]] = {}
        infrared: dict[int, np.ndarray] = {}
        keys = [(topic, self._recordings.topics[topic].type) for topic in self._titles]
        total = sum(self._recordings.topics[topic].count for topic, _ in keys)
        raws = self._recordings.messages(keys)
        for raw in track(raws, "filming", total, console=console, transient=True):
            title = self._titles[raw.topic]
            image = deserialised_image(raw)
            array = _decoded(image, title)
            if array is None:
                continue
            if title == "infrared":
                infrared[image.stamp] = array
                continue
            found = waiting.setdefault(image.stamp, {})
            found[title] = array
            if complete <= found.keys():
                stamp = image.stamp
                if "infrared" in self._titles.values():
                    if not infrared:
                        continue  # all moments show the same pictures
                    found["infrared"] = infrared[min(infrared, key=lambda s: abs(s - stamp))]
                order = (*self._inputs, *OUTPUTS)
                yield Moment(stamp, {name: found[name] for name in order if name in found})
                for images in (waiting, infrared):
                    for old in [key for key in images if key <= stamp - _PATIENCE]:
                        del images[old]
                del waiting[stamp]


def _decoded(image: BagImage, title: str) -> np.ndarray | None:
    if image.error:
        return None
    try:
        CHECKS[image.type](image.message)
        stream = "infrared" if title == "infrared" else "visible"
        return DECODERS[stream, image.type](image.message)
    except ImageError:
        return None


def _stamps(recordings: Recordings, topic: str) -> list[int]:
    """Stamps of a topic in the order of receipt."""
    key = topic, recordings.topics[topic].type
    images = (deserialised_image(raw) for raw in recordings.messages([key]))
    return [image.stamp for image in images if not image.error]
