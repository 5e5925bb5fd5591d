"""What a replay of a recording comes to, and how it differs from an earlier one."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from uaafusion_ros import __version__
from uaafusion_ros.inference.frames import FusionResult
from uaafusion_ros.inference.output_files import write_image, write_json
from uaafusion_ros.inference.products import Product
from uaafusion_ros.node.accounting import STREAMS
from uaafusion_ros.offline.frames import FusedPair
from uaafusion_ros.offline.plan import FusionPlan
from uaafusion_ros.offline.progress import watched
from uaafusion_ros.offline.replay_file import Limits, read_expected
from uaafusion_ros.offline.stream import FusionStream
from uaafusion_ros.stamps import SECOND

PRODUCTS = Product.FUSED | Product.MASK | Product.WEIGHT
FORMAT = 1


@dataclass
class Replay:
    """One replay, as it is written to ``expected.json``.

    checksums: of the outputs of every pair, by its visible stamp in nanoseconds, as text.
    pictures: outputs of some pairs, by stamp and name, uint8; kept as PNG beside the file.
    """

    topics: dict[str, str]
    model: str
    model_sha256: str
    found: dict[str, int]
    rates: dict[str, float]
    """Pairs a second by the stamps of each stream."""

    paired: int
    fused: int
    checksums: dict[str, dict[str, str]]
    damage: list[str]
    pictures: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def pair_ratio(self) -> float:
        """Fused pairs for each image of the camera that has fewer."""
        return self.fused / max(1, min(self.found.values()))

    def content(self) -> dict[str, Any]:
        """All but the pictures, for JSON."""
        return {
            "topics": self.topics,
            "model": {"name": self.model, "sha256": self.model_sha256},
            "found": self.found,
            "rates": self.rates,
            "paired": self.paired,
            "fused": self.fused,
            "pair_ratio": round(self.pair_ratio, 4),
            "damage": self.damage,
            "checksums": self.checksums,
        }


def replay(plan: FusionPlan, keep: int | set[str], console: Console) -> Replay:
    """Fuse a recording, and note what comes out.

    Args:
        keep: the pairs whose pictures are kept: their stamps, or how many, evenly spaced.
    """
    stream = FusionStream(plan, PRODUCTS)
    stamps: dict[str, list[int]] = {stream_name: [] for stream_name in STREAMS}
    checksums: dict[str, dict[str, str]] = {}
    pictures: dict[str, dict[str, np.ndarray]] = {}
    every = 1
    if isinstance(keep, int):
        images = min(stream.recordings.topics[topic].count for topic in stream.topics.values())
        every = max(1, math.ceil(images / max(keep, 1)))
    try:
        for item in watched(stream.run(), stream, console):
            if not isinstance(item, FusedPair) or item.result is None:
                continue
            stamp = str(item.pair.visible_stamp)
            outputs = _outputs(item.result)
            if stamp in keep if isinstance(keep, set) else len(checksums) % every == 0:
                pictures[stamp] = outputs
            checksums[stamp] = {name: _checksum(array) for name, array in outputs.items()}
            stamps["visible"].append(item.pair.visible_stamp)
            stamps["infrared"].append(item.pair.infrared_stamp)
    finally:
        stream.close()
    summary = stream.summary()
    file = stream.fusion.pipeline.model_file
    return Replay(
        topics=stream.topics,
        model=summary["model"],
        model_sha256=file.sha256 if file else "",
        found=summary["found"],
        rates={name: _rate(stamps[name]) for name in STREAMS},
        paired=summary["paired"],
        fused=summary["fused"],
        checksums=checksums,
        damage=summary["damage"],
        pictures=pictures,
    )


def record(path: Path, run: Replay, node: Mapping[str, Any] | None) -> None:
    """Write ``path`` and beside it the folder of its pictures.

    Raises:
        OSError: they cannot be written.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "limits": Limits().content(),
        "replay": run.content(),
    }
    if node is not None:
        content["node"] = dict(node)
    folder = pictures_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for stamp, outputs in run.pictures.items():
        for name, array in outputs.items():
            write_image(folder / f"{stamp}_{name}.png", array)
    write_json(path, content)


def compare(path: Path, run: Replay) -> list[str]:
    """What differs from the stored run by more than its limits, in words.

    Raises:
        SettingsError: ``path`` is no stored run.
    """
    expected = read_expected(path)
    before, limits = expected["replay"], Limits.of(expected)
    differences = []
    for name in STREAMS:
        if run.found[name] != before["found"][name]:
            differences.append(
                f"{run.found[name]} {name} images in the recording, expected "
                f"{before['found'][name]}: it is another recording, or not whole"
            )
        own, other = run.rates[name], before["rates"][name]
        if abs(own - other) > limits.rate * other:
            differences.append(f"{name} pairs come at {own:.2f} Hz, expected {other:.2f}")
    if abs(run.pair_ratio - before["pair_ratio"]) > limits.pair_ratio:
        differences.append(
            f"{run.pair_ratio:.1%} of the images fused, expected {before['pair_ratio']:.1%}: "
            f"{run.fused} pairs instead of {before['fused']}"
        )
    return differences + _compare_outputs(path, run, before["checksums"], limits)


def pictures_folder(path: Path) -> Path:
    """Where the pictures of a stored run lie."""
    return path.with_name(f"{path.stem}_pictures")


def _compare_outputs(
    path: Path, run: Replay, before: dict[str, dict[str, str]], limits: Limits
) -> list[str]:
    if run.checksums == before:
        return []
    differences = []
    missing = before.keys() - run.checksums.keys()
    if missing:
        differences.append(f"{len(missing)} pairs are missing, the first at {min(missing)} ns")
    extra = run.checksums.keys() - before.keys()
    if extra:
        differences.append(f"{len(extra)} pairs are new, the first at {min(extra)} ns")
    changed = [
        stamp for stamp in before if run.checksums.get(stamp, before[stamp]) != before[stamp]
    ]
    if not changed:
        return differences
    if limits.identical:
        differences.append(
            f"{len(changed)} of {len(before)} pairs have other pixels, the first at {changed[0]} ns"
        )
    for name, measure, least, unit in (
        ("fused", psnr, limits.psnr, " dB"),
        ("weight", psnr, limits.psnr, " dB"),
        ("mask", agreement, limits.mask_agreement, ""),
    ):
        worst = _worst(pictures_folder(path), run, name, measure)
        if worst is None:
            differences.append(
                f"pixels differ and {pictures_folder(path)} has no {name} picture to compare with"
            )
        elif worst[0] < least:
            what = "PSNR" if measure is psnr else "agreement"
            differences.append(
                f"{name} images differ: {what} {worst[0]:.3g}{unit} at {worst[1]} ns, expected at "
                f"least {least:g}{unit}"
            )
    return differences


def _worst(folder: Path, run: Replay, name: str, measure: Any) -> tuple[float, str] | None:
    values = []
    for stamp, outputs in run.pictures.items():
        before = cv2.imread(str(folder / f"{stamp}_{name}.png"), cv2.IMREAD_UNCHANGED)
        if before is not None:
            values.append((measure(before, outputs[name]), stamp))
    return min(values, default=None)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal to noise of two uint8 images, in dB; infinite where they are equal."""
    if first.shape != second.shape:
        return 0.0
    error = float(np.mean((first.astype(np.float32) - second) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of equal class ids."""
    return float(np.mean(first == second)) if first.shape == second.shape else 0.0


def stored_stamps(path: Path) -> set[str]:
    """The pairs of a stored run that have pictures."""
    return {picture.stem.rpartition("_")[0] for picture in pictures_folder(path).glob("*.png")}


def _outputs(result: FusionResult) -> dict[str, np.ndarray]:
    assert result.fused is not None and result.mask is not None
    assert result.infrared_weight is not None
    weight = np.rint(result.infrared_weight * 255).astype(np.uint8)
    return {"fused": result.fused, "mask": result.mask, "weight": weight}


def _checksum(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def _rate(stamps: list[int]) -> float:
    steps = [later - earlier for earlier, later in pairwise(sorted(stamps)) if later > earlier]
    return round(SECOND / statistics.median(steps), 3) if steps else 0.0
