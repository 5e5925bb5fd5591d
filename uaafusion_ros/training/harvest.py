"""Turns recordings into training data: aligned infrared/visible pairs, split by time.

    OUT/{train,val}/{infrared,visible[,labels]}/STEM.png    STEM: the visible stamp, s_ns
    OUT/manifest.json    OUT/classes.json (with labels)

Pairing, gain control and registration are the fusion node's. Every image is accounted for: per bag
and stream found = paired + dropped, and paired = kept + pairs dropped, each by reason.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from uaafusion_ros.bag_topics import choose_topics
from uaafusion_ros.bags import CHECKS, DECODERS, Bag, BagImage
from uaafusion_ros.inference.errors import FrameError, SettingsError
from uaafusion_ros.inference.output_files import require_writable, write_image, write_json
from uaafusion_ros.inference.registration import register
from uaafusion_ros.inference.render import split_colour
from uaafusion_ros.inference.thermal import GainControl
from uaafusion_ros.node.accounting import FrameDrop
from uaafusion_ros.node.images import ImageError, is_constant
from uaafusion_ros.node.pairing import Pair, StampPairing
from uaafusion_ros.offline.pairs import recorded_pairing
from uaafusion_ros.stamps import SECOND
from uaafusion_ros.training.harvest_account import (
    MANIFEST,
    STREAMS,
    BagAccount,
    HarvestedPair,
    PairDrop,
    split_by_time,
)
from uaafusion_ros.training.harvest_plan import HarvestPlan

THUMBNAIL = (32, 24)
"""Width and height at which pairs are compared; noise is averaged out."""


def harvest(plan: HarvestPlan, console: Console) -> dict[str, Any]:
    """Write the pairs of all recordings to ``plan.out``; the same input gives the same files.

    Returns:
        what stands in ``manifest.json``.

    Raises:
        BagError: a recording that cannot be read at all.
        SettingsError: topics that a recording does not have, or a folder that is not empty or
            cannot be written to.
        CheckpointError: the model for pseudo-labels cannot be used.
        OSError: the pairs cannot be written.
    """
    if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
        unfinished = plan.out.is_dir() and not (plan.out / MANIFEST).exists()
        why = ", and without the manifest of a finished harvest" if unfinished else ""
        raise SettingsError(f"{plan.out} is not empty{why}; give a new folder, or remove it first")
    require_writable(plan.out)
    labeller = _labeller(plan)
    bags = [Bag(path) for path in plan.bags]
    topics = dict(zip(STREAMS, choose_topics(bags, plan.infrared, plan.visible), strict=True))
    staging = plan.out / ".harvest"
    accounts = []
    try:
        reader = _Harvest(plan, topics, staging, console)
        for bag in bags:
            accounts.append(reader.read(bag))
            for text in accounts[-1].warnings():
                console.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)
        split_by_time(accounts, plan.val_share, round(plan.split_gap * SECOND))
        _move(staging, plan.out, accounts)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    pairs = [pair for account in accounts for pair in account.pairs]
    labels = labeller.label(plan.out, pairs, console) if labeller and pairs else None
    manifest = {
        "topics": topics,
        "splits": {split: sum(pair.split == split for pair in pairs) for split in ("train", "val")},
        "bags": [account.summary() for account in accounts],
        "labels": labels,
        "settings": _settings(plan),
        "pairs": [asdict(pair) for pair in pairs],
    }
    write_json(plan.out / MANIFEST, manifest)
    return manifest


class _Harvest:
    """Reads recordings one after the other and stages the pairs worth keeping."""

    def __init__(
        self, plan: HarvestPlan, topics: dict[str, str], staging: Path, console: Console
    ) -> None:
        self._plan = plan
        self._streams = {topic: stream for stream, topic in topics.items()}
        self._staging = staging
        self._console = console
        self._stems: set[str] = set()
        self._thumbnails: tuple[np.ndarray, np.ndarray] | None = None
        self._last_stamp: int | None = None
        self._gain = GainControl()
        for stream in STREAMS:
            (staging / stream).mkdir(parents=True)

    def read(self, bag: Bag) -> BagAccount:
        account = BagAccount(bag, self._streams)
        plan = self._plan
        pairing = recorded_pairing(plan.max_skew, plan.infrared_offset)
        self._gain.reset()
        resets = 0
        for pair in self._pairs(bag, pairing, account):
            self._take(pair, account)
            if pairing.resets != resets:
                resets = pairing.resets
                self._gain.reset()
        account.close(pairing)
        return account

    def _pairs(
        self, bag: Bag, pairing: StampPairing[BagImage], account: BagAccount
    ) -> Iterator[Pair[BagImage]]:
        total = sum(bag.topics[name].count for name in self._streams)
        images = bag.images(tuple(self._streams))
        for image in track(images, bag.path.name, total, console=self._console, transient=True):
            stream = self._streams[image.topic]
            account.found[stream] += 1
            if image.error:
                account.drop_image(stream, "unreadable_message", image.error)
                continue
            try:
                CHECKS[image.type](image.message)
            except ImageError as error:
                account.drop_image(stream, FrameDrop.INVALID_IMAGE.value, str(error))
                continue
            add = pairing.add_infrared if stream == "infrared" else pairing.add_visible
            yield from add(image.stamp, image, 0)
        yield from pairing.flush()

    def _take(self, pair: Pair[BagImage], account: BagAccount) -> None:
        """Stage a pair, or count why not."""
        try:
            infrared = DECODERS["infrared", pair.infrared.type](pair.infrared.message)
            # The gain follows every pair, as in the node, and not only those that are kept.
            luminance = self._gain(infrared, self._plan.frames)
            if self._too_soon(pair.visible_stamp):
                account.drop_pair(PairDrop.NOT_DUE)
                return
            visible = DECODERS["visible", pair.visible.type](pair.visible.message)
        except ImageError as error:
            account.drop_pair(PairDrop.UNDECODABLE, str(error))
            return
        except FrameError as error:
            account.drop_pair(PairDrop.REFUSED, str(error))
            return
        if is_constant(infrared) or is_constant(visible):
            account.drop_pair(PairDrop.CONSTANT)
            return
        grey, _ = split_colour(visible)
        registered = register(luminance, grey, self._plan.frames.homography)
        thumbnails = _thumbnail(registered), _thumbnail(grey)
        if self._resembles_last(thumbnails):
            account.drop_pair(PairDrop.NEAR_DUPLICATE)
            return
        self._thumbnails, self._last_stamp = thumbnails, pair.visible_stamp
        stem = self._stem(pair.visible_stamp)
        infrared_image = np.rint(registered * 255).astype(np.uint8)
        for stream, image in zip(STREAMS, (infrared_image, visible), strict=True):
            write_image(self._staging / stream / f"{stem}.png", image)
        account.pairs.append(
            HarvestedPair(
                stem=stem,
                bag=str(account.bag.path),
                infrared_stamp=pair.infrared_stamp,
                visible_stamp=pair.visible_stamp,
                skew=pair.skew,
            )
        )

    def _too_soon(self, stamp: int) -> bool:
        last = self._last_stamp
        return last is not None and 0 <= stamp - last < round(self._plan.every * SECOND)

    def _resembles_last(self, thumbnails: tuple[np.ndarray, np.ndarray]) -> bool:
        if self._thumbnails is None:
            return False
        differences = [
            float(np.abs(own - last).mean())
            for own, last in zip(thumbnails, self._thumbnails, strict=True)
        ]
        return max(differences) < self._plan.difference

    def _stem(self, stamp: int) -> str:
        stem = first = f"{stamp // SECOND:010d}_{stamp % SECOND:09d}"
        number = 2
        while stem in self._stems:  # simulated time starts anew with every recording
            stem, number = f"{first}_{number}", number + 1
        self._stems.add(stem)
        return stem


def _thumbnail(luminance: np.ndarray) -> np.ndarray:
    return cv2.resize(luminance, THUMBNAIL, interpolation=cv2.INTER_AREA) * 255


def _move(staging: Path, out: Path, accounts: list[BagAccount]) -> None:
    for pair in (pair for account in accounts for pair in account.pairs):
        for stream in STREAMS:
            folder = out / pair.split / stream
            folder.mkdir(parents=True, exist_ok=True)
            os.replace(staging / stream / f"{pair.stem}.png", folder / f"{pair.stem}.png")


def _labeller(plan: HarvestPlan) -> Any:
    if not plan.label_with:
        return None
    from uaafusion_ros.training.harvest_labels import Labeller

    return Labeller(plan.label_with, plan.confidence)


def _settings(plan: HarvestPlan) -> dict[str, Any]:
    names = ("max_skew", "infrared_offset", "every", "val_share", "split_gap", "difference")
    settings: dict[str, Any] = {name: getattr(plan, name) for name in names}
    frames = asdict(plan.frames)
    used = {name: frames[name] for name in frames if name.startswith(("gain", "kelvin", "homog"))}
    return settings | used
